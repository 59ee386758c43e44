"""The same as `socket_table.py` where there is no ``/proc``, as the package psutil tells it: macOS, Windows, the BSDs.

Processes of other users are told to administrators only, and then only where the system does.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Final

from tomada.transports.system.socket_table import Entry, Process

if TYPE_CHECKING:
    from collections.abc import Iterator

_STATES: Final = {
    "ESTABLISHED": "01",
    "SYN_SENT": "02",
    "SYN_RECV": "03",
    "FIN_WAIT1": "04",
    "FIN_WAIT2": "05",
    "TIME_WAIT": "06",
    "CLOSE": "07",
    "CLOSE_WAIT": "08",
    "LAST_ACK": "09",
    "LISTEN": "0A",
    "CLOSING": "0B",
}
_UNCONNECTED, _CONNECTED = "07", "01"


def is_installed() -> bool:
    """Whether psutil is there."""
    try:
        import psutil  # noqa: F401, PLC0415 - only whether it is there
    except ImportError:
        return False
    return True


def all_sockets() -> tuple[list[Entry], dict[str, list[Process]]]:
    """Every TCP and UDP socket that psutil tells of, and who has each; by a key that stands for the inode."""
    entries, holders = [], {}
    for number, (found, process) in enumerate(_connections(), 1):
        key = f"{number}"
        entries.append(_entry(found, key, process))
        holders[key] = [process] if process is not None else []
    return entries, holders


def _connections() -> Iterator[tuple[Any, Process | None]]:
    import psutil  # noqa: PLC0415 - an extra, for some systems only

    known: dict[int | None, Process | None] = {None: None}
    try:
        everything = psutil.net_connections("inet")
    except psutil.AccessDenied:  # macOS tells all of them to root only
        yield from _own_connections()
        return
    for found in everything:
        if found.pid not in known:
            known[found.pid] = _process(psutil, found.pid)
        yield found, known[found.pid]


def _own_connections() -> Iterator[tuple[Any, Process | None]]:
    """Those of the processes that this user may look into."""
    import psutil  # noqa: PLC0415 - an extra, for some systems only

    for one in psutil.process_iter():
        try:
            found = one.net_connections("inet")
        except psutil.Error:
            continue
        process = _process(psutil, one.pid) if found else None
        for connection in found:
            yield connection, process


def _process(psutil: Any, pid: int) -> Process | None:
    try:
        one = psutil.Process(pid)
        with one.oneshot():
            return Process(
                pid, one.name(), _asked(psutil, lambda: " ".join(one.cmdline())), _asked(psutil, one.username)
            )
    except psutil.Error:
        return None


def _asked(psutil: Any, question: Any) -> str:
    try:
        return str(question())
    except psutil.Error:
        return ""


def _entry(found: Any, key: str, process: Process | None) -> Entry:
    protocol = "tcp" if found.type == socket.SOCK_STREAM else "udp"
    host, port = found.laddr or ("", 0)
    peer_host, peer_port = found.raddr or ("", 0)
    state = _STATES.get(found.status, _CONNECTED if found.raddr else _UNCONNECTED)
    return Entry(
        host=host.removeprefix("::ffff:") if "." in host else host,
        port=port,
        path="",
        state=state,
        user=process.user if process is not None else "",
        inode=key,
        kind=f"{protocol}6" if found.family == socket.AF_INET6 else protocol,
        receives=state == ("0A" if protocol == "tcp" else _UNCONNECTED),
        peer_host=peer_host,
        peer_port=peer_port,
    )
