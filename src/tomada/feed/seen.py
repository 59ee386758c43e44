"""One connection, or byte stream, as the collector knows it: what need not be found out again, and its row."""

from __future__ import annotations

import socket
from operator import attrgetter
from struct import Struct, error
from typing import TYPE_CHECKING, Final

from tomada.connection_state import ConnectionState
from tomada.feed.messages import ConnectionRow
from tomada.link import Link
from tomada.transports import own_address

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from tomada.address import Address
    from tomada.streams.flow import Flow

_TCP_INFO: Final = getattr(socket, "TCP_INFO", None)
_ROUND_TRIP: Final = Struct("@68xI")
"""Of Linux' struct tcp_info: the smoothed round-trip time, in microseconds."""
_SHORTEST: Final = 1e-3
UNKNOWN: Final = 1e9
"""Sorts what is not known behind all that is."""
DASHBOARD: Final = "dashboard"
"""What those are called who speak to the application through it."""


class Seen:
    """What has been seen of one connection. There may be thousands: what few ask for is made when they do.

    Args:
        end: The connection's link, or the stream's flow.
        number: Its own, in this process.
        pid: The process.
        own: The socket file of the dashboard's users.
    """

    __slots__ = (
        "_address",
        "_own",
        "_peer",
        "_pid",
        "_text",
        "end",
        "number",
        "received_bytes",
        "received_messages",
        "received_rate",
        "sent_bytes",
        "sent_messages",
        "sent_rate",
    )

    def __init__(self, end: Link | Flow, number: int, pid: int, own: str = "") -> None:
        self.end = end
        self._own = own
        self._pid = pid
        self.number = number
        self.received_messages = self.sent_messages = self.received_bytes = self.sent_bytes = 0
        """As of the last look."""
        self.received_rate = 0.0
        self.sent_rate = 0.0
        self._address: Address | None = None
        """Of whom `_peer` and `_text` tell."""
        self._peer = ""
        self._text = ""

    # Counting.

    def count(self, seconds: float, total: list[int]) -> None:
        """Add what has gone and come since the last look, that many seconds ago, to `total`."""
        end = self.end
        received_bytes, sent_bytes = end.received_bytes, end.sent_bytes
        moved_in, moved_out = received_bytes - self.received_bytes, sent_bytes - self.sent_bytes
        self.received_bytes, self.sent_bytes = received_bytes, sent_bytes
        total[2] += moved_in
        total[3] += moved_out
        if isinstance(end, Link):
            engine = end.engine
            moved_in = engine.received_messages - self.received_messages
            moved_out = engine.sent_messages - self.sent_messages
            self.received_messages += moved_in
            self.sent_messages += moved_out
            total[0] += moved_in
            total[1] += moved_out
        if (age := self.age) < seconds:
            seconds = max(age, _SHORTEST)
        self.received_rate, self.sent_rate = moved_in / seconds, moved_out / seconds

    def leave(self, total: list[int]) -> None:
        """Take what it has moved out of `total`: it is gone."""
        total[0] -= self.received_messages
        total[1] -= self.sent_messages
        total[2] -= self.received_bytes
        total[3] -= self.sent_bytes

    @property
    def age(self) -> float:
        """In seconds."""
        return self.end.loop.time() - self.end.opened_at

    # What is found and sorted.

    @property
    def id(self) -> str:
        """As viewers name it."""
        return f"{self._pid}-{self.number}"

    @property
    def peer(self) -> str:
        """Who it is, which changes where a session goes on over another connection."""
        end = self.end
        if end.peer is not self._address:
            self._address, self._peer, self._text = end.peer, str(end.peer), ""
            if end.peer.scheme == "unix" and end.peer.path == self._own:
                self._peer = DASHBOARD
            elif end.peer.scheme == "unix" and end.credentials is not None and end.credentials.process:
                self._peer = f"{self._peer} (process {end.credentials.process})"
        return self._peer

    def matches(self, query: str) -> bool:
        """Whether a query, in lower case, is in one of its texts."""
        peer = self.peer
        if not self._text:
            self._text = f"{peer}\n{self.kind}\n{self.software}\n{self.id}".lower()
        return query in self._text or query in self.state

    @property
    def kind(self) -> str:
        """Of what."""
        return "messages" if isinstance(self.end, Link) else "stream"

    @property
    def software(self) -> str:
        """What the peer says it is."""
        return self.end.peer_software if isinstance(self.end, Link) else ""

    @property
    def state(self) -> str:
        """Where in its life it is."""
        return ConnectionState.of(self.end.engine).value if isinstance(self.end, Link) else "open"

    @property
    def waiting_bytes(self) -> int:
        """Of what is to be sent: so much the system has not taken."""
        end = self.end
        if not isinstance(end, Link):
            return end.waiting
        held = end.transport.get_write_buffer_size() if end.clogged and end.transport is not None else 0
        return end.engine.normal.unsent + end.engine.urgent.unsent + held

    @property
    def handlers(self) -> int:
        """That run for it."""
        return self.end.running if isinstance(self.end, Link) else 1

    @property
    def round_trip(self) -> float | None:
        """As TCP has measured it, in seconds."""
        return None if self.end.transport is None else round_trip(self.end.transport)

    def row(self, worker: int) -> ConnectionRow:
        """All about it."""
        end, transport = self.end, self.end.transport
        unacknowledged = held = credit = handlers = requests = resumed = 0
        if isinstance(end, Link):
            told = end.statistics()
            unacknowledged, held, credit = told.unacknowledged_bytes, told.held_bytes, told.credit_bytes
            handlers, resumed = told.handlers, told.resumed
            requests = told.own_requests + told.peer_requests
        else:
            held, handlers = end.statistics().unread_bytes, 1
        return ConnectionRow(
            id=self.id,
            worker=worker,
            peer=self.peer,
            kind=self.kind,
            state=self.state,
            address="" if transport is None else str(own_address(transport)),
            age=self.age,
            received_messages=self.received_messages,
            sent_messages=self.sent_messages,
            received_bytes=self.received_bytes,
            sent_bytes=self.sent_bytes,
            received_rate=self.received_rate,
            sent_rate=self.sent_rate,
            waiting_bytes=self.waiting_bytes,
            unacknowledged_bytes=unacknowledged,
            held_bytes=held,
            credit_bytes=credit,
            round_trip=self.round_trip,
            handlers=handlers,
            requests=requests,
            resumed=resumed,
            software=self.software,
        )


def count(several: Iterable[Seen], seconds: float, total: list[int]) -> None:
    """Add what went over them since the last look, that many seconds ago, to `total`.

    This runs for all connections at every look: no structures are made, and what has not moved costs least.
    """
    seconds = max(seconds, _SHORTEST)
    for seen in several:
        end = seen.end
        # Whether the numbers are the same objects: to compare them would fetch both from memory.
        if end.received_bytes is not seen.received_bytes or end.sent_bytes is not seen.sent_bytes:
            seen.count(seconds, total)
        elif seen.received_rate or seen.sent_rate:
            seen.received_rate = seen.sent_rate = 0.0


def round_trip(transport: asyncio.Transport) -> float | None:
    """What TCP has measured, in seconds; None over other transports, or where the system does not tell."""
    own = transport.get_extra_info("socket")
    if _TCP_INFO is None or own is None or own.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    try:
        (micros,) = _ROUND_TRIP.unpack(own.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _ROUND_TRIP.size))
    except (OSError, ValueError, error):  # it is gone already, which uvloop calls a ValueError; or another system
        return None
    return micros / 1e6 if micros else None


_AS_THEY_ARE: Final = (
    "peer", "kind", "state", "received_messages", "sent_messages", "received_bytes", "sent_bytes", "received_rate",
    "sent_rate", "waiting_bytes", "handlers",
)  # fmt: skip
KEYS: Final[dict[str, Callable[[Seen], str | float | int]]] = {name: attrgetter(name) for name in _AS_THEY_ARE} | {
    "age": lambda seen: -seen.end.opened_at,  # the same clock in all processes; the age would change meanwhile
    "round_trip": lambda seen: UNKNOWN if (measured := seen.round_trip) is None else measured,
}
"""What the connections of one process are sorted by."""
