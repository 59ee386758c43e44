"""Which process holds a TCP or UDP port, read from Linux's ``/proc``: what the text of ``AddressInUse`` names."""

# Importing pathlib would slow every start, for the text of a rare error.
# ruff: noqa: PTH115, PTH123, PTH208

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_LISTEN = "0A"  # TCP_LISTEN in the kernel's include/net/tcp_states.h
_NO_INODE = "0"  # of sockets that no process holds any more, as those in TIME_WAIT


class PortHolder(NamedTuple):
    """A process that has a socket on the port."""

    pid: int
    name: str

    def __str__(self) -> str:
        """The holder as error texts name it."""
        return f"process {self.pid} ({self.name})"


def port_holder(port: int, proc: str = "/proc", kind: str = "tcp") -> PortHolder | None:
    """The process that listens on ``port``, or else one that is connected from it.

    Args:
        port: From 1 to 65535, on any of this machine's addresses.
        proc: Where the proc file system is mounted.
        kind: ``tcp`` or ``udp``, whose ports are apart.

    Returns:
        ``None`` where nobody holds it, where the holder is another user's process, and on other systems than Linux.
    """
    for inode in _inodes(port, proc, kind):
        holder = _holder(f"socket:[{inode}]", proc)
        if holder is not None:
            return holder
    return None


def _inodes(port: int, proc: str, kind: str) -> list[str]:
    """The sockets on ``port``, those that listen first."""
    found = [row for table in (kind, f"{kind}6") for row in _rows(f"{proc}/net/{table}", port)]
    return [inode for state, inode in sorted(found, key=lambda row: row[0] != _LISTEN) if inode != _NO_INODE]


def _rows(table: str, port: int) -> Iterator[tuple[str, str]]:
    """State and inode of each socket on ``port``; the columns are described in proc(5)."""
    ending = f":{port:04X}"
    with suppress(OSError), open(table, encoding="ascii") as lines:
        next(lines, None)  # the names of the columns
        for line in lines:
            columns = line.split()
            if columns[1].endswith(ending):
                yield columns[3], columns[9]


def _holder(link: str, proc: str) -> PortHolder | None:
    """The process that has an open file whose link reads ``link``."""
    with suppress(OSError):
        for pid in filter(str.isdigit, os.listdir(proc)):
            if _has_open(f"{proc}/{pid}/fd", link):
                return PortHolder(int(pid), _name(f"{proc}/{pid}/comm"))
    return None


def _has_open(folder: str, link: str) -> bool:
    # Another user's process, or one that has just ended, cannot be looked into: the search goes on without it.
    with suppress(OSError):
        return any(_link(f"{folder}/{name}") == link for name in os.listdir(folder))
    return False


def _link(path: str) -> str:
    with suppress(OSError):  # closed since it was listed
        return os.readlink(path)
    return ""


def _name(path: str) -> str:
    with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        return file.read().strip()
    return "unknown"
