"""The sockets of this machine and the processes that have them, read from Linux's ``/proc``; described in proc(5)."""

# Importing pathlib would slow every start, for what is rarely asked.
# ruff: noqa: PTH115, PTH116, PTH123, PTH208

from __future__ import annotations

import os
import sys
from contextlib import suppress
from functools import cache
from socket import AF_INET, AF_INET6, inet_ntop
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

LISTENING: Final = "0A"  # TCP_LISTEN in the kernel's include/net/tcp_states.h
RECEIVING: Final = {"tcp": (LISTENING,), "udp": ("07",)}
"""The states of those that take what comes from anybody; 07 is TCP_CLOSE, where UDP sockets are until they connect."""
NO_INODE: Final = "0"
"""Of sockets that no process holds any more, as those in TIME_WAIT."""
TABLES: Final = ("tcp", "tcp6", "udp", "udp6")
_ACCEPTS = 0x10000  # __SO_ACCEPTCON in include/uapi/linux/net.h
_UNIX_KINDS = {"0001": "unix", "0002": "unixgram", "0005": "unixpacket"}
_UNIX_CONNECTED = ("02", "03")  # SS_CONNECTING and SS_CONNECTED in include/uapi/linux/net.h
_MAPPED = "::ffff:"
_INET_COLUMNS, _UNIX_COLUMNS = 10, 7

_TCP_STATES: Final = {
    "01": "established",
    "02": "syn-sent",
    "03": "syn-received",
    "04": "fin-wait-1",
    "05": "fin-wait-2",
    "06": "time-wait",
    "07": "closed",
    "08": "close-wait",
    "09": "last-ack",
    "0A": "listening",
    "0B": "closing",
    "0C": "syn-received",  # TCP_NEW_SYN_RECV
}
_OTHER_STATES: Final = {
    "udp": {"01": "connected", "07": "receiving"},
    # A connection that its listener has not accepted yet belongs to no process: the kernel calls that connecting.
    "unix": {"01": "unconnected", "02": "waiting", "03": "connected", "04": "closing"},
}


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
    kind: str = ""
    """``tcp``, ``tcp6``, ``udp``, ``udp6``, ``unix``, ``unixgram`` or ``unixpacket``."""
    receives: bool = False
    """Whether it takes what comes from anybody: it listens, or is a socket for datagrams without a peer."""
    peer_host: str = ""
    peer_port: int = 0
    unread: int = 0
    """Bytes that have come and were not taken; of one that listens: connections that it has not accepted."""
    unsent: int = 0
    """Bytes that the other end has not acknowledged; of datagrams: not sent yet."""

    @property
    def state_word(self) -> str:
        """The state in the words of RFC 9293 (TCP), or in plain ones."""
        if self.receives and self.kind in ("unix", "unixpacket"):
            return "listening"
        states = _OTHER_STATES.get(self.kind.removesuffix("6").removesuffix("gram").removesuffix("packet"), _TCP_STATES)
        return states.get(self.state, self.state)


def inet_sockets(kind: str, port: int, states: Collection[str] = (), proc: str = "/proc") -> list[Entry]:
    """The ``tcp`` or ``udp`` sockets on ``port`` that somebody holds; those in one of ``states``, if any are given."""
    ending = f":{port:04X}"
    return [
        _inet_entry(table, columns, user_name)
        for table in (kind, f"{kind}6")
        for columns in _inet_rows(table, proc)
        if columns[1].endswith(ending) and columns[9] != NO_INODE and (not states or columns[3] in states)
    ]


def all_inet_sockets(proc: str = "/proc") -> list[Entry]:
    """Every TCP and UDP socket of this machine; also those that no process holds any more (`NO_INODE`)."""
    name = cache(user_name)
    return [_inet_entry(table, columns, name) for table in TABLES for columns in _inet_rows(table, proc)]


def unix_sockets(scheme: str, path: str, proc: str = "/proc") -> list[Entry]:
    """The sockets bound to ``path`` that accept streams (``unix``) or take datagrams (``unixgram``)."""
    found = [entry for entry in all_unix_sockets(proc) if entry.kind == scheme and entry.path == path]
    return [entry for entry in found if entry.receives or scheme == "unixgram"]


def all_unix_sockets(proc: str = "/proc") -> list[Entry]:
    """Every Unix socket of this machine; one that was accepted has its listener's path, most have none."""
    return list(_unix_entries(proc))


def is_readable(proc: str = "/proc") -> bool:
    """Whether there are such tables."""
    return os.access(f"{proc}/net/tcp", os.R_OK)


def processes(inodes: Collection[str], proc: str = "/proc") -> dict[str, list[Process]]:
    """Who has each of the sockets; nobody, where they are other users' processes and this one may not look."""
    links = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[str, list[Process]] = {inode: [] for inode in inodes}
    with suppress(OSError):
        for pid in sorted(map(int, filter(str.isdigit, os.listdir(proc)))) if links else ():
            held = _open_files(f"{proc}/{pid}/fd") & links.keys()
            if held:
                process = _process(pid, proc)
                for link in held:
                    found[links[link]].append(process)
    return found


def user_name(number: int) -> str:
    """The name of a user, or the number where it has none."""
    import pwd  # noqa: PLC0415 - Windows has none, and no such tables either

    with suppress(KeyError):
        return pwd.getpwuid(number).pw_name
    return str(number)


def _inet_rows(table: str, proc: str) -> Iterator[list[str]]:
    for line in _lines(f"{proc}/net/{table}"):
        columns = line.split()
        if len(columns) >= _INET_COLUMNS:
            yield columns


def _inet_entry(table: str, columns: list[str], name: Callable[[int], str]) -> Entry:
    host, port = _place(columns[1])
    peer_host, peer_port = _place(columns[2])
    unsent, _, unread = columns[4].partition(":")
    return Entry(
        host=host,
        port=port,
        path="",
        state=columns[3],
        user=name(int(columns[7])),
        inode=columns[9],
        kind=table,
        receives=columns[3] in RECEIVING[table.removesuffix("6")],
        peer_host=peer_host,
        peer_port=peer_port,
        unread=int(unread, 16),
        unsent=int(unsent, 16),
    )


def _unix_entries(proc: str) -> Iterator[Entry]:
    for line in _lines(f"{proc}/net/unix"):
        columns = line.rstrip("\n").split(maxsplit=_UNIX_COLUMNS)
        # The kernel prints paths as they are: with a line break in it one makes a line of its own, which does not fit.
        if len(columns) < _UNIX_COLUMNS or columns[4] not in _UNIX_KINDS or not columns[6].isdigit():
            continue
        path = columns[_UNIX_COLUMNS] if len(columns) > _UNIX_COLUMNS else ""
        kind, state = _UNIX_KINDS[columns[4]], columns[5]
        with suppress(ValueError):
            accepts = bool(int(columns[3], 16) & _ACCEPTS)
            receives = accepts or (kind == "unixgram" and bool(path) and state not in _UNIX_CONNECTED)
            yield Entry("", 0, path, state, "", columns[6], kind, receives)


def _lines(table: str) -> Iterator[str]:
    with suppress(OSError), open(table, encoding="utf-8", errors="surrogateescape") as lines:
        next(lines, None)  # the names of the columns
        yield from lines


def _place(column: str) -> tuple[str, int]:
    digits, _, port = column.partition(":")
    return _host(digits), int(port, 16)


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
