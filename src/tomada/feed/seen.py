"""One connection, or byte stream, as the collector knows it: what need not be found out again, and its row."""

from __future__ import annotations

import socket
from struct import Struct, error
from typing import TYPE_CHECKING, Final

from tomada.connection_state import ConnectionState
from tomada.feed.messages import ConnectionRow
from tomada.link import Link
from tomada.transports import own_address

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from tomada.address import Address
    from tomada.streams.flow import Flow

_TCP_INFO: Final = getattr(socket, "TCP_INFO", None)
_ROUND_TRIP: Final = Struct("@68xI")
"""Of Linux' struct tcp_info: the smoothed round-trip time, in microseconds."""
STATES: Final = (*(state.value for state in ConnectionState), "open")
_SHORTEST: Final = 1e-3
UNKNOWN: Final = 1e9
"""Sorts what is not known behind all that is."""


DASHBOARD: Final = "dashboard"
"""What those are called who speak to the application through it."""


class Seen:
    """What has been seen of one connection.

    Args:
        end: The connection's link, or the stream's flow.
        number: Its own, in this process.
        pid: The process.
        own: The socket file of the dashboard's users.
    """

    __slots__ = (
        "_address",
        "_lower",
        "_own",
        "end",
        "id",
        "is_stream",
        "number",
        "peer",
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
        self.number = number
        self.id = f"{pid}-{number}"
        self.is_stream = not isinstance(end, Link)
        self.received_messages = self.sent_messages = self.received_bytes = self.sent_bytes = 0
        """As of the last look."""
        self.received_rate = 0.0
        self.sent_rate = 0.0
        self._address: Address | None = None
        self.peer = ""
        self._lower = ""
        self.look_at_peer()

    # Counting.

    def count(self, seconds: float, total: list[int]) -> None:
        """Add what has gone and come since the last look, that many seconds ago, to `total`.

        This runs for all connections at every look: no structures are made, and what has not moved costs least.
        """
        end = self.end
        came, went = end.received_bytes - self.received_bytes, end.sent_bytes - self.sent_bytes
        if not came and not went:
            self.received_rate = self.sent_rate = 0.0
            return
        self.received_bytes += came
        self.sent_bytes += went
        total[2] += came
        total[3] += went
        if self.is_stream:
            moved_in, moved_out = came, went
        else:
            engine = end.engine  # type: ignore[union-attr] # a link has one
            moved_in = engine.received_messages - self.received_messages
            moved_out = engine.sent_messages - self.sent_messages
            self.received_messages += moved_in
            self.sent_messages += moved_out
            total[0] += moved_in
            total[1] += moved_out
        if end.peer is not self._address:
            self.look_at_peer()
        seconds = max(min(seconds, self.age), _SHORTEST)
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

    def look_at_peer(self) -> None:
        """Who it is, which changes where a session goes on over another connection."""
        end = self.end
        if end.peer is self._address:
            return
        self._address = end.peer
        self.peer = str(end.peer)
        if end.peer.scheme == "unix" and end.peer.path == self._own:
            self.peer = DASHBOARD
        elif end.peer.scheme == "unix" and end.credentials is not None and end.credentials.process:
            self.peer = f"{end.peer} (process {end.credentials.process})"
        self._lower = f"{self.peer}\n{self.kind}\n{self.software}\n{self.id}".lower()

    def matches(self, query: str) -> bool:
        """Whether a query, in lower case, is in one of its texts."""
        return query in self._lower or query in self.state

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
        held = 0 if end.transport is None else end.transport.get_write_buffer_size()
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
        self.look_at_peer()
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


KEYS: Final[dict[str, Callable[[Seen], str | float | int]]] = {
    "peer": lambda seen: seen.peer,
    "kind": lambda seen: seen.kind,
    "state": lambda seen: seen.state,
    "age": lambda seen: -seen.end.opened_at,  # the same clock in all processes; the age would change meanwhile
    "received_messages": lambda seen: seen.received_messages,
    "sent_messages": lambda seen: seen.sent_messages,
    "received_bytes": lambda seen: seen.received_bytes,
    "sent_bytes": lambda seen: seen.sent_bytes,
    "received_rate": lambda seen: seen.received_rate,
    "sent_rate": lambda seen: seen.sent_rate,
    "waiting_bytes": lambda seen: seen.waiting_bytes,
    "round_trip": lambda seen: UNKNOWN if (measured := seen.round_trip) is None else measured,
    "handlers": lambda seen: seen.handlers,
}
"""What the connections of one process are sorted by."""
