"""Who listens where, gathered from what the system tells."""

from __future__ import annotations

import re
from collections import Counter
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, NamedTuple

from tomada.cli.output import UsageError
from tomada.cli.ports.own_servers import OwnServers
from tomada.cli.ports.rows import Connected, Listening, Survey
from tomada.transports.system import psutil_table, socket_table
from tomada.transports.system.accept_queues import accept_queues
from tomada.transports.system.ports import port_class, service_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tomada.transports.system.socket_table import Entry, Process

Holders = dict[str, "list[Process]"]
_ANY: Final = {"0.0.0.0", "::"}  # noqa: S104 - as listeners name them
_RANGE: Final = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")
_NO_TABLES: Final = "this system does not say who has which socket; tomada asks psutil then: pip install 'tomada[dev]'"
_ORDER: Final = ("tcp", "tcp6", "udp", "udp6", "unix", "unixgram", "unixpacket")


class Wanted(NamedTuple):
    """What is asked for."""

    words: tuple[str, ...] = ()
    """Ports (``4477``), ranges of them (``4000-5000``), or text that occurs; a row must fit one of each kind given."""
    connections: bool = False
    """Connections, too."""
    unix: bool = False
    """All Unix sockets, not just tomada's own."""


def survey(wanted: Wanted, proc: str = "/proc") -> Survey:
    """What there is now. It takes a moment on machines with many processes: each is looked into.

    Raises:
        UsageError: This system tells it by psutil only, which is not installed.
    """
    entries, holders = _read(proc)
    own = OwnServers()
    left = [entry for entry in entries if entry.receives]
    found = [*_listening(left, entries, holders, own)]
    shown = [row for row in found if _is_wanted(row, wanted)]
    fitting = [row for row in shown if _fits(row, wanted.words)]
    connected, nameless = _connected(entries, holders, own, wanted) if wanted.connections else ([], 0)
    return Survey(
        listening=sorted(fitting, key=_place),
        connected=connected,
        unix_left_out=0 if wanted.words else len(found) - len(shown),
        nameless_left_out=0 if wanted.words else nameless,
        notes=own.notes,
    )


def _read(proc: str) -> tuple[list[Entry], Holders]:
    if socket_table.is_readable(proc):
        entries = [*socket_table.all_inet_sockets(proc), *socket_table.all_unix_sockets(proc)]
        held = [entry.inode for entry in entries if entry.inode != socket_table.NO_INODE]
        return entries, socket_table.processes(held, proc)
    if psutil_table.is_installed():
        return psutil_table.all_sockets()
    raise UsageError(_NO_TABLES)


def _listening(receiving: list[Entry], entries: list[Entry], holders: Holders, own: OwnServers) -> list[Listening]:
    """One row for each place, whose sockets may be several: with SO_REUSEPORT each worker has its own."""
    places: dict[tuple[str, str, int, str], list[Entry]] = {}
    for entry in receiving:
        places.setdefault((entry.kind, entry.host, entry.port, entry.path), []).append(entry)
    counts = _connections_by_place(entries, places.keys())
    queues = accept_queues()
    rows = []
    for place, sockets in places.items():
        first = sockets[0]
        row = _row(first, _merged(sockets, holders), counts.get(place, {}))
        row.sockets = len(sockets)
        known = [queues[entry.inode] for entry in sockets if entry.inode in queues]
        if known:
            row.waiting, row.limit = sum(queue.waiting for queue in known), sum(queue.limit for queue in known)
        elif first.port:
            row.waiting = sum(entry.unread for entry in sockets)
        row.tomada = own.of(row.processes)
        rows.append(row)
    return rows


def _row(entry: Entry, processes: list[Process], connections: dict[str, int]) -> Listening:
    row = Listening(
        protocol=entry.kind,
        address=_address(entry.host, entry.port) if entry.port else _readable(entry.path),
        reach="network" if entry.port and _is_reached(entry.host) else "machine",
        connections=connections,
        user=entry.user or (processes[0].user if processes else ""),
        processes=processes,
    )
    if entry.port:
        row.host, row.port = entry.host, entry.port
        row.class_, row.service = port_class(entry.port), service_name(entry.port, entry.kind.removesuffix("6"))
    return row


def _connections_by_place(
    entries: Iterable[Entry], places: Iterable[tuple[str, str, int, str]]
) -> dict[tuple[str, str, int, str], dict[str, int]]:
    """How many connections in which state each place has; the most exact place has a connection."""
    counters: dict[tuple[str, str, int, str], Counter[str]] = {place: Counter() for place in places}
    for entry in entries:
        if entry.receives or not (entry.port or entry.path):
            continue
        hosts = (entry.host, "::" if entry.kind.endswith("6") else "0.0.0.0") if entry.port else ("",)  # noqa: S104
        # An IPv4 caller of a socket for both is in the table of IPv6.
        found = ((entry.kind, host, entry.port, entry.path) for host in hosts)
        place = next((place for place in found if place in counters), None)
        if place is not None:
            counters[place][entry.state_word] += 1
    return {place: dict(counter.most_common()) for place, counter in counters.items()}


def _connected(entries: list[Entry], holders: Holders, own: OwnServers, wanted: Wanted) -> tuple[list[Connected], int]:
    rows, nameless = [], 0
    for entry in entries:
        if entry.receives:
            continue
        if not (entry.port or entry.path):
            nameless += entry.kind.startswith("unix")
            continue
        row = _connection(entry, holders.get(entry.inode, []), own)
        if _fits(row, wanted.words) and (entry.port or wanted.unix or wanted.words):
            rows.append(row)
    return sorted(rows, key=lambda row: (row.state, row.address)), nameless


def _connection(entry: Entry, processes: list[Process], own: OwnServers) -> Connected:
    return Connected(
        protocol=entry.kind,
        address=_address(entry.host, entry.port) if entry.port else _readable(entry.path),
        peer=_address(entry.peer_host, entry.peer_port) if entry.peer_port else "",
        state=entry.state_word,
        unread=entry.unread,
        unsent=entry.unsent,
        user=entry.user or (processes[0].user if processes else ""),
        processes=processes,
        tomada=own.of(processes),
    )


def _merged(sockets: list[Entry], holders: Holders) -> list[Process]:
    found = {process.pid: process for entry in sockets for process in holders.get(entry.inode, ())}
    return [found[pid] for pid in sorted(found)]


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _readable(path: str) -> str:
    """A path as text that can be sent on: what is no UTF-8 in it is replaced."""
    return path.encode(errors="surrogateescape").decode(errors="replace")


def _is_reached(host: str) -> bool:
    return host in _ANY or not ip_address(host.partition("%")[0]).is_loopback


def _place(row: Listening) -> tuple[int, str, int]:
    return row.port or 1 << 16, row.address, _ORDER.index(row.protocol)


def _is_wanted(row: Listening, wanted: Wanted) -> bool:
    if row.port or wanted.unix or wanted.words:
        return True
    return row.tomada is not None and not row.tomada.is_private(row.address)


def _fits(row: Listening | Connected, words: Sequence[str]) -> bool:
    """Whether it has one of the ports, if any are given, and all of the texts."""
    ranges = [found for found in map(_RANGE.fullmatch, words) if found]
    texts = [word.lower() for word in words if not _RANGE.fullmatch(word)]
    if ranges and not any(_is_within(found, port) for found in ranges for port in _ports(row)):
        return False
    if not texts:
        return True
    known = "\n".join(_words(row)).lower()
    return all(text in known for text in texts)


def _ports(row: Listening | Connected) -> list[int]:
    if isinstance(row, Listening):
        return [row.port] if row.port else []
    ends = (row.address.rpartition(":")[2], row.peer.rpartition(":")[2])
    return [int(end) for end in ends if end.isascii() and end.isdigit()]


def _is_within(found: re.Match[str], port: int) -> bool:
    return int(found[1]) <= port <= int(found[2] or found[1])


def _words(row: Listening | Connected) -> list[str]:
    words = [row.protocol, row.address, row.user]
    words += [word for process in row.processes for word in (str(process.pid), process.name, process.command)]
    if isinstance(row, Listening):
        words += [row.service or "", row.class_ or ""]
    else:
        words += [row.peer, row.state]
    return words if row.tomada is None else [*words, "tomada", row.tomada.app]
