"""What the product's interface has by now, in one place: lanes, sessions, what was not delivered."""

from __future__ import annotations

import inspect
from collections.abc import Coroutine
from typing import Any, TypeAlias

import tomada
from tomada.protocol import GoodbyeCode

Call: TypeAlias = Coroutine[Any, Any, Any]

HAS_LANES = "urgent" in inspect.signature(tomada.Connection.send).parameters
HAS_SESSIONS = "sessions" in inspect.signature(tomada.connect).parameters
LANES: tuple[bool, ...] = (False, True) if HAS_LANES else (False,)
"""Whether a lane is the urgent one."""


async def send(connection: tomada.Connection, message: tomada.Message, *, urgent: bool) -> None:
    """Send a one-way message in a lane."""
    if HAS_LANES:
        await connection.send(message, urgent=urgent)  # type: ignore[call-arg, unused-ignore] # there by now
    else:
        await connection.send(message)


def ask(connection: tomada.Connection, request: Any, *, urgent: bool, timeout: float | None) -> Call:
    """Ask in a lane."""
    if HAS_LANES:
        return connection.ask(request, urgent=urgent, timeout=timeout)  # type: ignore[call-arg, unused-ignore] # as above
    return connection.ask(request, timeout=timeout)


def is_whole(connection: tomada.Connection) -> bool:
    """Whether the peer has answered this end's goodbye, so that all that was sent over it, either way, has come."""
    return connection._link.engine.farewell is GoodbyeCode.CLOSED
