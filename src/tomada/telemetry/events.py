"""The events. Each is frozen, and tells of one thing that has happened; what took time says how long.

Times are in seconds, sizes in bytes. Peers and listeners are told as text, as their addresses are written.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import ClassVar

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all events.

    Attributes:
        subscribers: Who wants to know of events of this class. Where there is nobody, none is made: what an event costs
            then is one look at this.
    """

    subscribers: ClassVar[tuple[Callable[[Event], None], ...]] = ()


class Outcome(Enum):
    """What a limit does to those who meet it."""

    REFUSED = "refused"
    """The peer is told why, where it can be."""
    DROPPED = "dropped"
    """Without a word: nothing was known of the peer yet."""
    PAUSED = "paused"
    """Nothing more is received, or accepted, until there is room."""


class ListenerOpened(Event, frozen=True, kw_only=True):
    """An address is listened on."""

    address: str


class ListenerClosed(Event, frozen=True, kw_only=True):
    """An address is not listened on any more."""

    address: str


class AcceptFailed(Event, frozen=True, kw_only=True):
    """The system gives no more connections: it lacks descriptors or memory. Accepting pauses, and tries again."""

    address: str
    reason: str


class AcceptResumed(Event, frozen=True, kw_only=True):
    """The system gives connections again."""

    address: str
    seconds: float
    dropped: int
    """Callers that were dropped meanwhile, for they could not be kept."""


class HandshakeEnded(Event, frozen=True, kw_only=True):
    """The handshake of a caller is complete, or has failed: one event for all its layers, TLS, WebSocket and tomada's.

    Told at the accepting end; at the other one `connect` raises. A byte stream without layers has no handshake.
    """

    address: str
    peer: str
    seconds: float
    """From the moment the caller was accepted."""
    reason: str = ""
    """Why it failed; empty where it did not."""
    is_wrong: bool = False
    """Whether it failed otherwise than by a caller, or a server, that went away."""


class ConnectionInterrupted(Event, frozen=True, kw_only=True):
    """A connection is lost; its session is kept, and goes on when the client comes back."""

    peer: str
    reason: str


class SessionResumed(Event, frozen=True, kw_only=True):
    """A session goes on over a new connection."""

    peer: str
    seconds: float
    """For how long it had none."""
    epoch: int
    """How often it has gone on by now."""


class SessionRefused(Event, frozen=True, kw_only=True):
    """A caller wanted to go on with a session, and was refused."""

    peer: str
    reason: str
    """Not what the caller was told, who learns less."""


class SessionEnded(Event, frozen=True, kw_only=True):
    """A session has ended, and the fate of messages of this end is not known."""

    peer: str
    reason: str
    undelivered: int
    """How many: `Connection.undelivered` has them."""


class ConnectionOpened(Event, frozen=True, kw_only=True):
    """A connection, or a byte stream, is open: its handshake is complete, and there was room for it."""

    peer: str
    kind: str
    """``messages`` or ``stream``."""
    accepted: bool
    """Whether this end accepted it; else it connected."""


class ConnectionEnded(Event, frozen=True, kw_only=True):
    """A connection, or byte stream, that was open has ended."""

    peer: str
    kind: str
    accepted: bool
    seconds: float
    """How long it was open."""
    reason: str
    is_wrong: bool
    """Whether it ended by a fault: of the peer, of the network, of this end, or by a deadline. Where a peer has only
    closed its end, there is none."""
    received_bytes: int
    sent_bytes: int
    received_messages: int = 0
    """Requests, one-way messages and answers alike; none on a byte stream."""
    sent_messages: int = 0


class RequestEnded(Event, frozen=True, kw_only=True, gc=False):
    """A handler has ended: of a request, of a one-way message, or of a datagram."""

    peer: str
    name: str
    """The message's type; of a datagram without one, its handler."""
    seconds: float
    """From the moment its handler began, or began to wait for a thread."""
    failure: str = ""
    """``raised`` or ``cancelled``; empty where all is well."""


class LimitStruck(Event, frozen=True, kw_only=True):
    """Somebody has met a limit."""

    limit: str
    """Its name in `Limits`, or in `Children`."""
    allowed: int
    outcome: Outcome
    where: str
    """The peer, or the listener's address."""


class DeadlineStruck(Event, frozen=True, kw_only=True):
    """Something was later than a deadline allows, and has been ended."""

    deadline: str
    """Its name in `Deadlines`; ``ask`` for the time-out of a call that asks."""
    seconds: float
    peer: str


class LoopBlocked(Event, frozen=True, kw_only=True):
    """A handler has kept the event loop to itself: everybody else waited.

    This event comes from a thread of its own, since the loop's may not be able to tell it.
    """

    handler: str
    place: str
    """The file and line where it stood."""
    seconds: float
    is_over: bool
    """Whether the loop runs again."""
    unreported: int = 0
    """How often it happened before without an event: there is one in ten seconds for each handler and place."""


class ChildStarted(Event, frozen=True, kw_only=True):
    """A child process waits for its first connection."""

    pid: int


class ChildEnded(Event, frozen=True, kw_only=True):
    """A child process is gone."""

    pid: int
    seconds: float
    reason: str
    is_wrong: bool
    """Whether it ended otherwise than it should."""
    connections: int
    """How many it has served."""


class WorkerStarted(Event, frozen=True, kw_only=True):
    """A worker process accepts connections."""

    number: int
    pid: int
    seconds: float
    """How long its start took."""


class WorkerEnded(Event, frozen=True, kw_only=True):
    """A worker process is gone."""

    number: int
    pid: int
    seconds: float
    reason: str
    is_wrong: bool


class Reloaded(Event, frozen=True, kw_only=True):
    """The application was loaded anew, or could not be."""

    seconds: float
    reason: str = ""
    """Why it could not; empty where all is well."""


class SessionEvicted(Event, frozen=True, kw_only=True):
    """A store has dropped sessions for one of its bounds; their peers begin new ones."""

    store: str
    reason: str
    """The bound's name in `Sessions`. For ``keep`` it was only their time: nobody had come back to them."""
    sessions: int


class CommitFailed(Event, frozen=True, kw_only=True):
    """What has changed in sessions could not be stored. It is tried again; nothing is acknowledged until it goes well.

    Told once for each reason in a row of failures.
    """

    store: str
    reason: str
    waiting_bytes: int
    """That wait to be stored."""


class CommitResumed(Event, frozen=True, kw_only=True):
    """What changes in sessions is stored again."""

    store: str
    seconds: float
    """Since it failed first."""
