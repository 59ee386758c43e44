"""The sockets of this machine and the processes that have them, read from Linux's ``/proc``; described in proc(5)."""

# Importing pathlib would slow every start, for what is rarely asked.
# ruff: noqa: PTH115, PTH116, PTH123, PTH208

from __future__ import annotations

import os
import sys
from contextlib import suppress
from socket import AF_INET, AF_INET6, inet_ntop
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

LISTENING: Final = "0A"  # TCP_LISTEN in the kernel's include/net/tcp_states.h
RECEIVING: Final = {"tcp": (LISTENING,), "udp": ("07",)}
"""The states of those that take what comes from anybody; 07 is TCP_CLOSE, where UDP sockets are until they connect."""
_NO_INODE = "0"  # of sockets that no process holds any more, as those in TIME_WAIT
_ACCEPTS = 0x10000  # __SO_ACCEPTCON in include/uapi/linux/net.h
_UNIX_TYPES = {"unix": "0001", "unixgram": "0002"}
_MAPPED = "::ffff:"


class Process(msgspec.Struct, frozen=True):
    """A process that has a socket."""

    pid: int
    name: str
    command: str
    user: str


class Entry(msgspec.Struct, frozen=True):
    """A socket in the kernel's tables."""

    host: str
    port: int
    path: str
    state: str
    user: str
    inode: str


def inet_sockets(kind: str, port: int, states: Collection[str] = (), proc: str = "/proc") -> list[Entry]:
    """The ``tcp`` or ``udp`` sockets on ``port`` that somebody holds; those in one of ``states``, if any are given."""
    ending = f":{port:04X}"
    found = []
    for table in (kind, f"{kind}6"):
        for line in _lines(f"{proc}/net/{table}"):
            columns = line.split()
            local, state, inode = columns[1], columns[3], columns[9]
            if local.endswith(ending) and inode != _NO_INODE and (not states or state in states):
                found.append(Entry(_host(local.partition(":")[0]), port, "", state, user_name(int(columns[7])), inode))
    return found


def unix_sockets(scheme: str, path: str, proc: str = "/proc") -> list[Entry]:
    """The sockets bound to ``path`` that accept streams (``unix``) or take datagrams (``unixgram``)."""
    found = []
    for line in _lines(f"{proc}/net/unix"):
        columns = line.rstrip("\n").split(maxsplit=7)
        if len(columns) == 8 and columns[7] == path and columns[4] == _UNIX_TYPES[scheme]:  # noqa: PLR2004 - as proc(5) has it
            if scheme == "unix" and not int(columns[3], 16) & _ACCEPTS:
                continue  # a connection, which has its listener's path
            found.append(Entry("", 0, path, columns[5], "", columns[6]))
    return found


def is_readable(proc: str = "/proc") -> bool:
    """Whether there are such tables."""
    return os.access(f"{proc}/net/tcp", os.R_OK)


def processes(inodes: Collection[str], proc: str = "/proc") -> dict[str, list[Process]]:
    """Who has each of the sockets; nobody, where they are other users' processes and this one may not look."""
    links = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[str, list[Process]] = {inode: [] for inode in inodes}
    with suppress(OSError):
        for pid in sorted(map(int, filter(str.isdigit, os.listdir(proc)))) if links else ():
            for link in _open_files(f"{proc}/{pid}/fd") & links.keys():
                found[links[link]].append(_process(pid, proc))
    return found


def user_name(number: int) -> str:
    """The name of a user, or the number where it has none."""
    import pwd  # noqa: PLC0415 - Windows has none, and no such tables either

    with suppress(KeyError):
        return pwd.getpwuid(number).pw_name
    return str(number)


def _lines(table: str) -> Iterator[str]:
    with suppress(OSError), open(table, encoding="utf-8", errors="surrogateescape") as lines:
        next(lines, None)  # the names of the columns
        yield from lines


def _host(digits: str) -> str:
    """The address that the kernel prints as one number, or four, of 32 bits each in the processor's byte order."""
    words = [bytes.fromhex(digits[at : at + 8]) for at in range(0, len(digits), 8)]
    packed = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    host = inet_ntop(AF_INET6 if len(words) > 1 else AF_INET, packed)
    return host.removeprefix(_MAPPED) if "." in host else host


def _open_files(folder: str) -> set[str]:
    # Another user's process, or one that has just ended, cannot be looked into: the search goes on without it.
    with suppress(OSError):
        return {_link(f"{folder}/{name}") for name in os.listdir(folder)}
    return set()


def _link(path: str) -> str:
    with suppress(OSError):  # closed since it was listed
        return os.readlink(path)
    return ""


def _process(pid: int, proc: str) -> Process:
    command = _text(f"{proc}/{pid}/cmdline").replace("\0", " ").strip()
    user = ""
    with suppress(OSError):
        user = user_name(os.stat(f"{proc}/{pid}").st_uid)
    return Process(pid, _text(f"{proc}/{pid}/comm").strip() or "unknown", command, user)


def _text(path: str) -> str:
    with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
    return ""
