"""Which send was met by which receive, which connect by which accept: at both ends of the same connection.

Theory of operation: two of the kernel's sockets are the ends of one connection if each has the other's address, at the
same time. What one has sent and the other received are then two runs of bytes over the same offsets, cut differently:
where a piece of one overlaps a piece of the other, bytes went from that send to that receive. Datagrams keep their
bounds, and may be lost: each receive is met by the first send to it, not met before, that fits.
"""

from __future__ import annotations

from collections import defaultdict, deque
from itertools import islice
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tomada.recording.calls import Call
    from tomada.recording.story import End, Event

_CONNECTS: Final = frozenset({"connect", "connect_ex"})
_WINDOW: Final = 256
"""Among so many datagrams under way the one that was received is looked for."""
_OVERTAKEN: Final = 64
"""So many that were sent earlier may still come after it."""
_UNSPECIFIED: Final = frozenset({"0.0.0.0", "[::]"})  # noqa: S104 - compared, not bound


class Link(msgspec.Struct, frozen=True):
    """From one call to another one, by their indexes among all calls."""

    source: int
    target: int
    what: str
    """``bytes``, ``connection`` or ``end``."""
    size: int = 0


class _Traffic:
    """The calls on one of the kernel's sockets, by what they are."""

    def __init__(self) -> None:
        self.sends: dict[bool, list[int]] = {False: [], True: []}
        """In the clear text of TLS, and else."""
        self.receives: dict[bool, list[int]] = {False: [], True: []}
        self.ends: list[int] = []
        """Receives that said that nothing more comes."""
        self.shut: int | None = None
        self.closed: int | None = None
        """The last one: while another process has the socket, the peer is told nothing."""
        self.connect: int | None = None
        self.accept: int | None = None

    @property
    def finished(self) -> int | None:
        """The call after which nothing more could be sent."""
        return self.closed if self.shut is None else self.shut


def links(events: list[Event]) -> list[Link]:
    """All that can be said to have gone from one call to another."""
    traffic = _sorted_out(events)
    partners = _partners(events, traffic)
    found = [link for first, second in partners for link in _of_connection(events, traffic[first], traffic[second])]
    found += _of_connection_bytes(events, traffic, partners)
    found += _of_datagrams(events, {end for pair in partners for end in pair})
    return sorted(found, key=lambda link: (link.source, link.target))


def _sorted_out(events: list[Event]) -> dict[End, _Traffic]:
    traffic: dict[End, _Traffic] = defaultdict(_Traffic)
    for index, event in enumerate(events):
        if event.made is not None and event.call.call == "accept":
            traffic[event.made.end].accept = index
        if event.lane is not None:
            _sort_out(index, event.call, traffic[event.lane.end])
    for found in traffic.values():  # what was received is in order when it has come, not when it was asked for
        for receives in found.receives.values():
            receives.sort(key=lambda index: events[index].call.ended)
    return traffic


def _sort_out(index: int, call: Call, found: _Traffic) -> None:
    if call.is_send:
        found.sends[call.tls].append(index)
    elif call.is_end:
        found.ends.append(index)
    elif call.is_receive:
        found.receives[call.tls].append(index)
    elif call.call in _CONNECTS:
        found.connect = index
    elif call.call == "shutdown" and call.args != "SHUT_RD" and not call.error:
        found.shut = index if found.shut is None else found.shut
    elif call.call == "close" and not call.deferred:
        found.closed = index


def _partners(events: list[Event], traffic: dict[End, _Traffic]) -> list[tuple[End, End]]:
    """The pairs of sockets that are the two ends of one connection."""
    pairs = [
        (event.lane.end, event.made.end)
        for event in events
        if event.call.call == "socketpair" and event.lane is not None and event.made is not None
    ]
    waiting: dict[tuple[str, str], deque[tuple[int, End]]] = defaultdict(deque)
    for at, end in sorted(_connecting(events, traffic), key=lambda found: found[0]):
        waiting[_key(end, is_accepted=False)].append((at, end))
    accepted = [(found.accept, end) for end, found in traffic.items() if found.accept is not None]
    for index, end in sorted(accepted, key=lambda found: events[found[0]].call.ended):
        caller = _caller(end, waiting[_key(end, is_accepted=True)], events[index].call.ended)
        if caller is not None:
            pairs.append((caller, end))
    return pairs + _by_address(traffic, {end for pair in pairs for end in pair})


def _by_address(traffic: dict[End, _Traffic], paired: set[End]) -> list[tuple[End, End]]:
    """Those whose connect or accept is not in the recording."""
    found: dict[tuple[str, str], End] = {}
    pairs = []
    for end in traffic:
        if end in paired or not (end.is_stream and end.local and end.peer):
            continue
        other = found.pop((plain(end.peer), plain(end.local)), None)
        if other is None:
            found[plain(end.local), plain(end.peer)] = end
        else:
            pairs.append((other, end))
    return pairs


def _connecting(events: list[Event], traffic: dict[End, _Traffic]) -> Iterator[tuple[int, End]]:
    for end, found in traffic.items():
        if found.connect is not None and end.is_stream:
            yield events[found.connect].call.at, end


def _key(end: End, *, is_accepted: bool) -> tuple[str, str]:
    """The accepting end's address and the caller's; on Unix sockets callers mostly have none."""
    local, peer = plain(end.local), plain(end.peer)
    accepting, calling = (local, peer) if is_accepted else (peer, local)
    return (accepting, "" if end.is_unix else calling)


def _caller(end: End, waiting: deque[tuple[int, End]], accepted: int) -> End | None:
    """Who connected to be accepted then: the first of those who called a Unix socket, else the last with that port."""
    found: End | None = None
    while waiting and waiting[0][0] <= accepted:
        found = waiting.popleft()[1]
        if end.is_unix:
            break
    return found


def plain(address: str) -> str:
    """An address without the form that IPv6 gives to IPv4."""
    return address.removeprefix("[::ffff:").replace("]", "", 1) if address.startswith("[::ffff:") else address


def _of_connection(events: list[Event], caller: _Traffic, accepting: _Traffic) -> Iterator[Link]:
    """Its begin, and its end in either direction."""
    if caller.connect is not None and accepting.accept is not None:
        yield Link(caller.connect, accepting.accept, "connection")
    for ending, told in ((caller, accepting), (accepting, caller)):
        if ending.finished is not None and told.ends:
            index = told.ends[0]
            if events[ending.finished].call.at <= events[index].call.ended:
                yield Link(ending.finished, index, "end")


def _of_connection_bytes(
    events: list[Event], traffic: dict[End, _Traffic], partners: Iterable[tuple[End, End]]
) -> list[Link]:
    found: list[Link] = []
    for pair in partners:
        for sender, receiver in (pair, pair[::-1]):
            source, target = traffic[sender], traffic[receiver]
            if sender.keeps_bounds:
                found += _in_order(events, source.sends[False], target.receives[False])
                continue
            has_tls = bool(source.sends[True] or target.receives[True])
            for tls in (False, True):
                bases = (sender.sent, receiver.received) if tls is has_tls else (0, 0)
                found += _overlaps(events, source.sends[tls], target.receives[tls], bases)
    return found


def _overlaps(events: list[Event], sends: list[int], receives: list[int], bases: tuple[int, int]) -> Iterator[Link]:
    """Where pieces of both runs of bytes overlap. `bases` are their offsets at the recording's begin."""
    sent, received = bases
    position = 0
    for target in receives:
        begin, received = received, received + events[target].call.size
        while position < len(sends):
            source, size = sends[position], events[sends[position]].call.size
            overlap = min(sent + size, received) - max(sent, begin)
            if overlap > 0:
                yield Link(source, target, "bytes", overlap)
            if sent + size > received:
                break
            sent += size
            position += 1


def _in_order(events: list[Event], sends: list[int], receives: list[int]) -> Iterator[Link]:
    """Of a pair of sockets that keep the bounds of messages, and lose none. An empty one looks like the end."""
    filled = (index for index in sends if events[index].call.size)
    for source, target in zip(filled, (index for index in receives if events[index].call.size), strict=False):
        yield Link(source, target, "bytes", events[target].call.size)


def _of_datagrams(events: list[Event], paired: set[End]) -> Iterator[Link]:
    """What datagram sockets without a partner received, and from which send."""
    under_way: dict[str, dict[str, deque[int]]] = defaultdict(lambda: defaultdict(deque))
    """By where they go, and where they come from."""
    for _, index, end in sorted(_moves(events, paired), key=lambda move: move[:2]):
        call = events[index].call
        own, other = _port(end.local), _port(call.address or end.peer)
        if call.is_send:
            under_way[other][own].append(index)
            continue
        senders = under_way.get(own, {})
        queues = [senders.get(other, deque())] if other else islice(senders.values(), _WINDOW)
        found = [(queue[place], place, queue) for queue in queues for place in _fitting(events, queue, events[index])]
        if found:
            source, place, queue = min(found, key=lambda one: one[0])
            yield Link(source, index, "bytes", call.size)
            del queue[place]
            for _ in range(place - _OVERTAKEN):  # those are lost
                queue.popleft()


def _moves(events: list[Event], paired: set[End]) -> Iterator[tuple[int, int, End]]:
    for index, event in enumerate(events):
        call, lane = event.call, event.lane
        if lane is None or lane.end.is_stream or lane.end in paired:
            continue
        if call.is_send:
            yield call.at, index, lane.end
        elif call.is_receive:
            yield call.ended, index, lane.end


def _port(address: str) -> str:
    """The part of an address that is the same however the host is named: its port, or the path."""
    host, _, port = plain(address).rpartition(":")
    return port if host and port.isdigit() and not address.startswith(("/", "@")) else address


def _host(address: str) -> str:
    return plain(address).rpartition(":")[0]


def _fitting(events: list[Event], waiting: deque[int], received: Event) -> Iterator[int]:
    """The place of the first one that may be it, if there is one."""
    found = (place for place, index in enumerate(islice(waiting, _WINDOW)) if _fits(events[index], received))
    return islice(found, 1)


def _fits(sent: Event, received: Event) -> bool:
    """Whether that may be the same datagram: its receiver may have taken less of it than there was."""
    first, second = sent.call, received.call
    if first.size < second.size or sent.lane is None or received.lane is None:
        return False
    shown, seen = first.hex or first.data, second.hex or second.data
    if bool(first.hex) == bool(second.hex) and not shown.startswith(seen) and not seen.startswith(shown):
        return False
    return _may_meet(first.address or sent.lane.end.peer, received.lane.end.local) and _may_meet(
        second.address or received.lane.end.peer, sent.lane.end.local
    )


def _may_meet(named: str, own: str) -> bool:
    """Whether what one end calls the other is the other's own address, or part of what it is bound to."""
    hosts = {_host(named), _host(own)}
    return len(hosts) == 1 or bool(hosts & _UNSPECIFIED) or any(_is_name(host) for host in hosts)


def _is_name(host: str) -> bool:
    """Whether it is a name, which may mean any address, or nothing at all."""
    return not host or ("[" not in host and any(letter.isalpha() for letter in host))
