"""What the product's interface has by now, in one place: lanes, sessions, what was not delivered."""

from __future__ import annotations

import inspect
from collections.abc import Coroutine, Iterable
from typing import Any, TypeAlias

import tomada
from tomada import errors, settings, telemetry
from tomada.protocol import GoodbyeCode
from tomada.sessions import Store

Call: TypeAlias = Coroutine[Any, Any, Any]

HAS_LANES = "urgent" in inspect.signature(tomada.Connection.send).parameters
HAS_SESSIONS = "sessions" in inspect.signature(tomada.connect).parameters
LANES: tuple[bool, ...] = (False, True) if HAS_LANES else (False,)
"""Whether a lane is the urgent one."""
NOT_SENT: type[Exception] = getattr(errors, "SessionLost", ZeroDivisionError)
"""The error that promises that the other end has never seen what it is raised for."""
EVENTS: tuple[type[telemetry.Event], ...] = tuple(
    vars(telemetry)[name]
    for name in (
        "ConnectionEnded",
        "ConnectionInterrupted",
        "DeadlineStruck",
        "LimitStruck",
        "SessionEnded",
        "SessionRefused",
        "SessionResumed",
    )
    if name in vars(telemetry)
)
"""What the history tells of: nothing that happens per message, which would change what is done."""


def limits(**wanted: int) -> tomada.Limits:
    """Those of them that there are."""
    known = tomada.Limits.__struct_fields__
    return tomada.Limits(**{name: value for name, value in wanted.items() if name in known})


def serving(keep: float, store: Store | None) -> dict[str, Any]:
    """How a server keeps sessions: for so many seconds, in a store or in memory."""
    return {"sessions": settings.Sessions(keep=keep), "store": store or "memory"}


def connecting(*, sessions: bool) -> dict[str, Any]:
    """Whether a client wants a session."""
    return {"sessions": sessions} if HAS_SESSIONS else {}


async def send(connection: tomada.Connection, message: tomada.Message, *, urgent: bool) -> None:
    """Send a one-way message in a lane."""
    options: dict[str, Any] = {"urgent": urgent} if HAS_LANES else {}
    await connection.send(message, **options)


def ask(connection: tomada.Connection, request: Any, *, urgent: bool, timeout: float | None) -> Call:
    """Ask in a lane."""
    options: dict[str, Any] = {"urgent": urgent} if HAS_LANES else {}
    return connection.ask(request, timeout=timeout, **options)


def undelivered(connection: tomada.Connection) -> Iterable[tomada.Message]:
    """What the connection gives back at its end, as its fate is not known."""
    giving: Any = getattr(connection, "undelivered", dict)
    return list(giving().values())


def in_session(connection: tomada.Connection) -> bool:
    """Whether the connection outlives those of the network."""
    return getattr(connection._link.engine, "session", None) is not None


def is_whole(connection: tomada.Connection) -> bool:
    """Whether the peer has answered this end's goodbye, so that all that was sent over it, either way, has come."""
    return connection._link.engine.farewell is GoodbyeCode.CLOSED
