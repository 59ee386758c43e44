"""The log as a subscriber: a line per event that an operator wants to read, by the standard `logging`.

The logger is called ``tomada``. Each record carries the event itself as ``record.event``, for formatters that write
structured lines.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from tomada.telemetry.events import (
    AcceptFailed,
    AcceptResumed,
    ChildEnded,
    ChildStarted,
    CommitFailed,
    CommitResumed,
    ConnectionEnded,
    DeadlineStruck,
    Event,
    HandshakeEnded,
    LimitStruck,
    ListenerClosed,
    ListenerOpened,
    LoopBlocked,
    Reloaded,
    SessionEvicted,
    WorkerEnded,
    WorkerStarted,
)
from tomada.telemetry.hub import Subscription, subscribe
from tomada.telemetry.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable

_log: Final = logging.getLogger("tomada")


def _at(level: int) -> Callable[[Event], int]:
    return lambda _: level


def _if_wrong(otherwise: int = logging.DEBUG) -> Callable[[Any], int]:
    return lambda event: logging.WARNING if event.is_wrong else otherwise


def _connection_level(event: ConnectionEnded) -> int:
    """Who connected, and lost the connection, hears of it by the errors of its calls."""
    is_news = event.accepted or not event.reason.startswith("the connection was lost")
    return logging.WARNING if event.is_wrong and is_news else logging.DEBUG


def _connection_ended(event: ConnectionEnded) -> str:
    had = f"{event.received_bytes:,} bytes in, {event.sent_bytes:,} out"
    if event.received_messages or event.sent_messages:
        had += f"; {event.received_messages:,} messages in, {event.sent_messages:,} out"
    return f"{event.peer}: closed: {event.reason} ({event.seconds:.1f} s, {had})"


def _handshake_ended(event: HandshakeEnded) -> str:
    if not event.reason:
        return f"{event.peer}: shook hands in {1000 * event.seconds:.1f} ms"
    return f"{event.peer}: refused: {event.reason}"


def _loop_blocked(event: LoopBlocked) -> str:
    how = "kept the event loop" if event.is_over else "still keeps the event loop"
    often = f"; and {event.unreported:,} times before, since it was told last" if event.unreported else ""
    what = f"{event.handler} {how} to itself for {event.seconds:.2f} s, at {event.place}{often}"
    return f"{what}: let it wait with await, or make it a plain def, which runs in a thread"


def _reloaded(event: Reloaded) -> str:
    return f"not reloaded: {event.reason}" if event.reason else f"reloaded in {event.seconds:.1f} s"


_LINES: Final[dict[type[Event], tuple[Callable[..., int], Callable[..., str]]]] = {
    ListenerOpened: (_at(logging.DEBUG), lambda event: f"{event.address}: listening"),
    ListenerClosed: (_at(logging.DEBUG), lambda event: f"{event.address}: not listening any more"),
    AcceptFailed: (
        _at(logging.ERROR),
        lambda event: f"{event.address}: no connection can be accepted: {event.reason}",
    ),
    AcceptResumed: (
        _at(logging.WARNING),
        lambda event: (
            f"{event.address}: connections are accepted again after {event.seconds:.1f} s; {event.dropped} were dropped"
        ),
    ),
    HandshakeEnded: (_if_wrong(), _handshake_ended),
    ConnectionEnded: (_connection_level, _connection_ended),
    LimitStruck: (
        _at(logging.WARNING),
        lambda event: f"{event.where}: {event.outcome.value}: the limit {event.limit} is {event.allowed:,}",
    ),
    DeadlineStruck: (
        _at(logging.DEBUG),  # what it ended says so, too
        lambda event: f"{event.peer}: the deadline {event.deadline} of {event.seconds:g} s has passed",
    ),
    LoopBlocked: (_at(logging.WARNING), _loop_blocked),
    ChildStarted: (_at(logging.DEBUG), lambda event: f"child {event.pid}: ready"),
    ChildEnded: (_if_wrong(), lambda event: f"child {event.pid}: {event.reason}"),
    WorkerStarted: (
        _at(logging.INFO),
        lambda event: f"worker {event.number} ({event.pid}): accepts, after {event.seconds:.1f} s",
    ),
    WorkerEnded: (
        _if_wrong(logging.INFO),
        lambda event: f"worker {event.number} ({event.pid}): {event.reason}, after {event.seconds:.1f} s",
    ),
    SessionEvicted: (
        lambda event: logging.DEBUG if event.reason == "keep" else logging.WARNING,
        lambda event: (
            f"{event.store}: dropped for its bound {event.reason}: the {event.sessions:,} longest untouched of its"
            " sessions"
        ),
    ),
    CommitFailed: (
        _at(logging.ERROR),
        lambda event: (
            f"{event.store}: sessions cannot be stored, it is tried again: {event.reason}"
            f" ({event.waiting_bytes:,} bytes wait)"
        ),
    ),
    CommitResumed: (
        _at(logging.WARNING),
        lambda event: f"{event.store}: sessions are stored again after {event.seconds:.1f} s",
    ),
    Reloaded: (lambda event: logging.ERROR if event.reason else logging.INFO, _reloaded),
}
"""How loud each is told, and in what words, which are put together only where they are wanted."""


def _tell(event: Event) -> None:
    line = _LINES.get(type(event))
    if line is None:
        return  # a class of somebody else, below one of these
    how_loud, _ = line
    level = how_loud(event)
    if not _log.isEnabledFor(level):
        return
    if level >= logging.WARNING:
        _throttle.pass_on(event)
    else:
        _write(event)


def _write(event: Event, before: int = 0, seconds: float = 0.0) -> None:
    how_loud, words = _LINES[type(event)]
    line = words(event)
    if before:
        line += f"; and {before:,} more like this within {seconds:.1f} s"
    _log.log(how_loud(event), "%s", line, extra={"event": event})


_throttle: Final = Throttle(_write)


def start() -> Subscription:
    """Write to the log from now on."""
    return subscribe(_tell, *_LINES)
