"""What the engine tells its driver."""

from __future__ import annotations

from typing import Any

import msgspec

from tomada.protocol.handshake import Goodbye, Hello, TypeEntry, Welcome
from tomada.protocol.metadata import Trace


class _Event(msgspec.Struct, frozen=True, gc=False):
    """Base of all events."""


class Opened(_Event, frozen=True):
    """The handshake is complete; `peer` is what the other end said of itself."""

    peer: Hello | Welcome


class Resumed(_Event, frozen=True):
    """The session goes on over a new connection."""


class Resuming(_Event, frozen=True):
    """The peer wants to go on with a session that began over another connection: at the accepting end, in its hello.

    Either another engine takes the connection over (`Engine.resume`), or this one refuses (`Engine.refuse_session`).
    """

    hello: Hello


class Received(_Event, frozen=True):
    """A one-way message, to be handled; until it has been, `Engine.hold` it."""

    type: int
    payload: bytes
    origin: int
    """Where it came: its last frame's sequence in the normal lane; in the urgent lane that, inverted (``~``)."""
    trace: Trace | None = None
    """Whose work it is part of, where the peer says so."""


class Asked(_Event, frozen=True):
    """A request, to be answered exactly once with `Engine.reply` or `Engine.fail`."""

    id: int
    type: int
    payload: bytes
    origin: int
    """As of `Received`."""
    deadline: int | None = None
    """For how many milliseconds from now on its caller waits, where the caller has said so; `Engine.late` minds it."""
    key: str | None = None
    """By which the caller wants it to be recognised; none: `Engine.key` tells."""
    trace: Trace | None = None
    """As of `Received`."""


class Item(_Event, frozen=True):
    """One item of a stream; `Engine.consume` it when it has been used."""

    id: int
    """Of the request that it belongs to."""
    tag: Any
    """Of a request of this end: what was given to `Engine.ask`, or None when it was given up; else None."""
    type: int
    payload: bytes


class Ended(_Event, frozen=True):
    """The peer's items of the peer's request `id` are complete."""

    id: int


class Answered(_Event, frozen=True):
    """The one answer to a request of this end, or the end of its items. `tag` is what was given to `Engine.ask`."""

    tag: Any
    kind: int
    """`REPLY`, `ERROR` or `END`."""
    type: int
    payload: bytes


class Credited(_Event, frozen=True):
    """The peer takes more items of the request `id`."""

    id: int


class Cancelled(_Event, frozen=True):
    """The peer has given up its request `id`, which is still to be answered."""

    id: int


class Declared(_Event, frozen=True):
    """The peer has appended types to its catalogue."""

    types: tuple[TypeEntry, ...]


class Refused(_Event, frozen=True):
    """The peer could not deliver a one-way message of this end (an error frame with id 0)."""

    type: int
    payload: bytes


class Ponged(_Event, frozen=True):
    """The answer to a ping, with the ping's payload."""

    payload: bytes


class Left(_Event, frozen=True):
    """The peer has said goodbye. Answers to what is under way still come."""

    goodbye: Goodbye


Event = (
    Opened
    | Resumed
    | Resuming
    | Received
    | Asked
    | Item
    | Ended
    | Answered
    | Cancelled
    | Credited
    | Declared
    | Refused
    | Ponged
    | Left
)
