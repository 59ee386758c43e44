"""What the engine tells its driver."""

from __future__ import annotations

from typing import Any

import msgspec

from tomada.protocol.handshake import Goodbye, Hello, TypeEntry, Welcome


class _Event(msgspec.Struct, frozen=True, gc=False):
    """Base of all events."""


class Opened(_Event, frozen=True):
    """The handshake is complete; `peer` is what the other end said of itself."""

    peer: Hello | Welcome


class Received(_Event, frozen=True):
    """A one-way message."""

    type: int
    payload: bytes


class Asked(_Event, frozen=True):
    """A request, to be answered exactly once with `Engine.reply` or `Engine.fail`."""

    id: int
    type: int
    payload: bytes
    deadline: int | None = None
    """For how many milliseconds from now on its caller waits, where the caller has said so; `Engine.late` minds it."""


class Answered(_Event, frozen=True):
    """The one answer to a request of this end. `tag` is what was given to `Engine.ask`."""

    tag: Any
    failed: bool
    type: int
    payload: bytes


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


Event = Opened | Received | Asked | Answered | Cancelled | Declared | Refused | Ponged | Left
