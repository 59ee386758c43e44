"""One connection, or byte stream, as the collector knows it: what need not be found out again, and its row."""

from __future__ import annotations

import socket
from struct import Struct, error
from typing import TYPE_CHECKING, Final

from tomada.connection_state import ConnectionState
from tomada.feed.messages import ConnectionRow
from tomada.link import Link
from tomada.telemetry.statistics import Moved
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
        "moved",
        "number",
        "peer",
        "received_rate",
        "sent_rate",
    )

    def __init__(self, end: Link | Flow, number: int, pid: int, own: str = "") -> None:
        self.end = end
        self._own = own
        self.number = number
        self.id = f"{pid}-{number}"
        self.moved = Moved()
        self.received_rate = 0.0
        self.sent_rate = 0.0
        self._address: Address | None = None
        self.peer = ""
        self._lower = ""
        self.look_at_peer()

    # Counting.

    def count(self, seconds: float) -> None:
        """What has gone and come since the last look, that many seconds ago."""
        end, before = self.end, self.moved
        if end.received_bytes == before.received_bytes and end.sent_bytes == before.sent_bytes:
            self.received_rate = self.sent_rate = 0.0
            return
        if isinstance(end, Link):
            engine = end.engine
            now = Moved(engine.received_messages, engine.sent_messages, end.received_bytes, end.sent_bytes)
            self.received_rate = (now.received_messages - before.received_messages) / seconds
            self.sent_rate = (now.sent_messages - before.sent_messages) / seconds
        else:
            now = Moved(received_bytes=end.received_bytes, sent_bytes=end.sent_bytes)
            self.received_rate = (now.received_bytes - before.received_bytes) / seconds
            self.sent_rate = (now.sent_bytes - before.sent_bytes) / seconds
        self.moved = now

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
        end, moved, transport = self.end, self.moved, self.end.transport
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
            received_messages=moved.received_messages,
            sent_messages=moved.sent_messages,
            received_bytes=moved.received_bytes,
            sent_bytes=moved.sent_bytes,
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
    "age": lambda seen: seen.age,
    "received_messages": lambda seen: seen.moved.received_messages,
    "sent_messages": lambda seen: seen.moved.sent_messages,
    "received_bytes": lambda seen: seen.moved.received_bytes,
    "sent_bytes": lambda seen: seen.moved.sent_bytes,
    "received_rate": lambda seen: seen.received_rate,
    "sent_rate": lambda seen: seen.sent_rate,
    "waiting_bytes": lambda seen: seen.waiting_bytes,
    "round_trip": lambda seen: UNKNOWN if (measured := seen.round_trip) is None else measured,
    "handlers": lambda seen: seen.handlers,
}
"""What the connections of one process are sorted by."""
