"""The log as a subscriber: a line per event that an operator wants to read, by the standard `logging`.

The logger is called ``tomada``. Each record carries the event itself as ``record.event``, for formatters that write
structured lines.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from tomada.telemetry.events import (
    AcceptFailed,
    AcceptResumed,
    ChildEnded,
    ChildStarted,
    ConnectionEnded,
    DeadlineStruck,
    Event,
    HandshakeEnded,
    LimitStruck,
    ListenerClosed,
    ListenerOpened,
    LoopBlocked,
    Reloaded,
    WorkerEnded,
    WorkerStarted,
)
from tomada.telemetry.hub import Subscription, subscribe

if TYPE_CHECKING:
    from collections.abc import Callable

_log: Final = logging.getLogger("tomada")


def _connection_ended(event: ConnectionEnded) -> tuple[int, str]:
    level = logging.WARNING if event.is_wrong else logging.DEBUG
    had = f"{event.seconds:.1f} s, {event.received_bytes:,} bytes in, {event.sent_bytes:,} out"
    return level, f"{event.peer}: closed: {event.reason} ({had})"


def _handshake_ended(event: HandshakeEnded) -> tuple[int, str]:
    if not event.reason:
        return logging.DEBUG, f"{event.peer}: shook hands in {1000 * event.seconds:.1f} ms"
    return logging.WARNING, f"{event.peer}: refused: {event.reason}"


def _loop_blocked(event: LoopBlocked) -> tuple[int, str]:
    how = "kept the event loop" if event.is_over else "still keeps the event loop"
    return logging.WARNING, f"{event.handler} {how} to itself for {event.seconds:.2f} s, at {event.place}"


def _child_ended(event: ChildEnded) -> tuple[int, str]:
    return logging.WARNING if event.is_wrong else logging.DEBUG, f"child {event.pid}: {event.reason}"


def _worker_ended(event: WorkerEnded) -> tuple[int, str]:
    level = logging.WARNING if event.is_wrong else logging.INFO
    return level, f"worker {event.number} ({event.pid}): {event.reason}, after {event.seconds:.1f} s"


def _reloaded(event: Reloaded) -> tuple[int, str]:
    if event.reason:
        return logging.ERROR, f"not reloaded: {event.reason}"
    return logging.INFO, f"reloaded in {event.seconds:.1f} s"


def _limit_struck(event: LimitStruck) -> tuple[int, str]:
    return logging.WARNING, f"{event.where}: {event.outcome.value}: the limit {event.limit} is {event.allowed:,}"


_LINES: Final[dict[type[Event], Callable[..., tuple[int, str]]]] = {
    ListenerOpened: lambda event: (logging.DEBUG, f"{event.address}: listening"),
    ListenerClosed: lambda event: (logging.DEBUG, f"{event.address}: not listening any more"),
    AcceptFailed: lambda event: (logging.ERROR, f"{event.address}: no connection can be accepted: {event.reason}"),
    AcceptResumed: lambda event: (
        logging.WARNING,
        f"{event.address}: connections are accepted again after {event.seconds:.1f} s; {event.dropped} were dropped",
    ),
    HandshakeEnded: _handshake_ended,
    ConnectionEnded: _connection_ended,
    LimitStruck: _limit_struck,
    DeadlineStruck: lambda event: (
        logging.DEBUG,  # what it ended says so, too
        f"{event.peer}: the deadline {event.deadline} of {event.seconds:g} s has passed",
    ),
    LoopBlocked: _loop_blocked,
    ChildStarted: lambda event: (logging.DEBUG, f"child {event.pid}: ready"),
    ChildEnded: _child_ended,
    WorkerStarted: lambda event: (
        logging.INFO,
        f"worker {event.number} ({event.pid}): accepts, after {event.seconds:.1f} s",
    ),
    WorkerEnded: _worker_ended,
    Reloaded: _reloaded,
}


def _tell(event: Event) -> None:
    level, line = _LINES[type(event)](event)
    if _log.isEnabledFor(level):
        _log.log(level, "%s", line, extra={"event": event})


def start() -> Subscription:
    """Write to the log from now on."""
    return subscribe(_tell, *_LINES)
