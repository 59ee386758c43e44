"""What is asked of a server's feed, and what it answers. Times are in seconds, sizes in bytes, rates per second.

A dashboard that watches several workers answers the same questions, with what all of them say.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from tomada.errors import RemoteError
from tomada.message import Message, Request, StreamRequest

SHORTEST_PAUSE = 0.5
"""Nobody is told more often."""
LONGEST_QUERY = 1_000
"""Characters."""
MOST_ROWS = 200
"""Of the table of connections, at once."""

Query = Annotated[str, msgspec.Meta(max_length=LONGEST_QUERY)]
Column = Literal[
    "peer", "kind", "state", "age", "received_messages", "sent_messages", "received_bytes", "sent_bytes",
    "received_rate", "sent_rate", "waiting_bytes", "round_trip", "handlers", "worker",
]  # fmt: skip


class NotAllowed(RemoteError):
    """It needs the right to act, which the dashboard's token gives."""

    why: str


class ConnectionRow(Message):
    """One connection of messages, or byte stream."""

    id: str
    """Of this connection, for `Watch.connection` and `Close`; never the number of another one."""
    worker: int
    """The number of its process; 0 where there is one only."""
    peer: str
    kind: str
    """``messages`` or ``stream``."""
    state: str
    """`ConnectionState.value`; of a stream ``open``."""
    address: str
    """Where it was accepted."""
    age: float
    received_messages: int
    sent_messages: int
    received_bytes: int
    sent_bytes: int
    received_rate: float
    """Messages per second since the last look; of streams, bytes."""
    sent_rate: float
    waiting_bytes: int
    """Of what is to be sent: so much the system has not taken yet."""
    unacknowledged_bytes: int
    """Sent, and not handled by the peer yet, or not said so."""
    held_bytes: int
    """Come, and not handled yet."""
    credit_bytes: int
    """So much more the peer takes."""
    round_trip: float | None
    """As TCP, or the last heartbeat, measured it; None where it is not known."""
    handlers: int
    """That run for it."""
    requests: int
    """Open in either direction."""
    resumed: int
    """How often its session has gone on over another connection."""
    software: str
    """What the peer says it is."""


class FrameRow(Message):
    """One message, or a group of alike ones, of the connection that is looked at."""

    at: float
    """Since the connection began."""
    is_received: bool
    kind: str
    """As the protocol names it: ask, reply, send, item, …"""
    name: str
    """The message's type; empty for what has none."""
    id: int
    lane: str
    """``control``, ``urgent`` or ``normal``."""
    sequence: int
    size: int
    count: int = 1
    is_repeated: bool = False
    """Whether it was sent before, over a connection that was lost."""


class TypeRow(Message):
    """One type of request or message that this end handles."""

    name: str
    handled: int
    rate: float
    failed: int
    failure_rate: float
    p50: float | None
    """Half of the handlers of the last minute took no longer; None where none was timed."""
    p99: float | None


class WorkerRow(Message):
    """One process that serves."""

    number: int
    pid: int
    seconds: float
    state: str
    """``serving``, ``draining`` or ``gone``."""
    connections: int
    processor: float
    """How much of one processor it uses, from 0 to 1."""
    memory_bytes: int
    children: int = 0
    """Processes that serve one connection each (isolation process)."""


class Strike(Message):
    """A limit or deadline that somebody met."""

    kind: str
    """``limit`` or ``deadline``."""
    name: str
    allowed: float
    count: int
    where: str
    """The last who met it."""
    seconds_ago: float


class LogLine(Message):
    """One line of the log, or one event."""

    number: int
    """Each is one more than that before it, so that who watches sees what was passed over."""
    time: float
    """Of the wall clock, since 1970."""
    level: str
    text: str
    worker: int = 0


class Totals(Message):
    """All of the server."""

    connections: int
    streams: int
    handshakes: int
    handlers: int
    accepted: int
    opened: int
    failed: int
    turned_away: dict[str, int]
    received_messages: int
    sent_messages: int
    received_bytes: int
    sent_bytes: int
    received_rate: float
    sent_rate: float
    received_byte_rate: float
    sent_byte_rate: float


class Picture(Message):
    """The server at one moment, as far as was asked."""

    time: float
    """Of the wall clock, since 1970."""
    app: str
    addresses: list[str]
    seconds: float
    """Since it was started."""
    totals: Totals
    types: list[TypeRow]
    workers: list[WorkerRow]
    strikes: list[Strike]
    log: list[LogLine]
    """Since the picture before; the last 100 in the first."""
    matching: int
    """How many connections fit the query; `connections` has one page of them."""
    connections: list[ConnectionRow]
    looked_at: ConnectionRow | None = None
    """The connection of `Watch.connection`; None where there is none, or it has ended."""
    frames: list[FrameRow] = []
    """Of that connection, since the picture before."""
    frames_passed_over: int = 0
    """So many more there were: a busy connection is sampled."""
    settings: dict[str, float | None] = {}
    """`Limits` and `Deadlines` by name, in the first picture only; None is off."""
    may_act: bool = False
    """Whether `Close` and `Drain` will be obeyed."""


class Watch(StreamRequest[Picture]):
    """Pictures of the server, one after the other."""

    query: Query = ""
    """Connections whose peer, state, kind, software or id contains this, whatever its case."""
    sort: Column = "peer"
    descending: bool = False
    first: Annotated[int, msgspec.Meta(ge=0)] = 0
    count: Annotated[int, msgspec.Meta(ge=0, le=MOST_ROWS)] = 50
    connection: str = ""
    """The id of a connection to look at closely."""
    every: Annotated[float, msgspec.Meta(ge=SHORTEST_PAUSE, le=60)] = SHORTEST_PAUSE


class Close(Request[bool]):
    """Close a connection, with a goodbye; whether there was one. `NotAllowed` without the right to act."""

    connection: str


class Drain(Request[bool]):
    """Let a worker end what is under way and be replaced; whether there was one. `NotAllowed` without the right."""

    worker: int
