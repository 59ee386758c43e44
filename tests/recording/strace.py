"""Reads what ``strace -f -e trace=network`` wrote, and counts what a recording must have too."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tomada.recording.file import Record

NOT_COUNTED = frozenset({"getsockname", "getpeername", "getsockopt"})
"""Python asks these by itself, and so does the recorder; they change nothing and are not recorded."""
SYSTEM_CALLS = {
    "accept": "accept",
    "connect_ex": "connect",
    "recv": "recvfrom",
    "recv_into": "recvfrom",
    "recvfrom_into": "recvfrom",
    "recvmsg_into": "recvmsg",
    "send": "sendto",
    "sendall": "sendto",
}
"""What the C library calls it, where it is not the method's own name."""
NETWORK = frozenset(
    {"socket", "socketpair", "bind", "listen", "accept", "connect", "shutdown", "setsockopt"}
    | {"sendto", "sendmsg", "recvfrom", "recvmsg"}
)
_LINE = re.compile(r"^(\d+)\s+(\w+)\((\d+|AF_\w+)?(.*)$")
_INTERRUPTED = re.compile(r"^\d+\s+(?:<\.\.\. )?(\w+)")
_RESULT = re.compile(r"\)\s+= (\d+)")


def why_not() -> str:
    """Why strace cannot be used here; empty where it can."""
    program = shutil.which("strace")
    if program is None:
        return "strace is not installed"
    done = subprocess.run(
        [program, "-f", "-qq", "-e", "trace=network", sys.executable, "-c", ""], capture_output=True, check=False
    )
    return "" if done.returncode == 0 else "ptrace is not permitted here"


def counted(files: Iterable[Path]) -> Counter[str]:
    """The calls of the programs themselves, by name: without those of the C library, on its own sockets."""
    found: Counter[str] = Counter()
    for file in files:
        foreign: set[tuple[str, str]] = set()
        for line in file.read_text().splitlines():
            if " = ? ERESTART" in line:  # a signal came, and the call is made again by the system or by Python
                found[_name(_INTERRUPTED.findall(line)[0])] -= 1
            parts = _LINE.match(line)
            if parts is None:  # a signal, an exit, or the end of a call that is counted where it began
                continue
            pid, name, first, rest = parts.groups()
            name = _name(name)
            if name in NOT_COUNTED or _is_of_the_library(foreign, name, (pid, str(first), rest)):
                continue
            found[name] += 1
    return found


def _name(name: str) -> str:
    return {"accept4": "accept"}.get(name, name)


def _is_of_the_library(foreign: set[tuple[str, str]], name: str, call: tuple[str, str, str]) -> bool:
    """Whether ``getaddrinfo`` and its like made the call, to ask the system for its interfaces or for names."""
    pid, first, rest = call
    if name != "socket":
        return (pid, first) in foreign
    result = _RESULT.search(rest)
    made = (pid, result[1] if result else "")
    # Neither Python nor its programs ask for netlink, nor open their sockets as not to wait.
    is_foreign = first == "AF_NETLINK" or "SOCK_NONBLOCK" in rest
    (foreign.add if is_foreign else foreign.discard)(made)
    return is_foreign


def recorded(records: Iterable[Record]) -> Counter[str]:
    """The same of a recording. A call that never ended counts, as there; one that timed out was never made.

    Python waits for a socket with a time-out by ``poll``, and calls only when there is something.
    """
    calls = {(record["pid"], record["n"]): record for record in records if record["kind"] in {"begun", "call"}}
    made = [record for record in calls.values() if record.get("error") != "TimeoutError" and not record.get("by")]
    names = [SYSTEM_CALLS.get(record["call"], record["call"]) for record in made]
    return Counter(name for name in names if name in NETWORK)
