"""Counts what is told as events: what happens seldom, beside what the server counts itself."""

from __future__ import annotations

from bisect import bisect_left
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tomada.metrics.families import Distribution, Number
from tomada.telemetry import (
    AcceptFailed,
    ChildEnded,
    CommitFailed,
    ConnectionInterrupted,
    DeadlineStruck,
    Event,
    HandshakeEnded,
    LimitStruck,
    LoopBlocked,
    Reloaded,
    SessionEnded,
    SessionEvicted,
    SessionRefused,
    SessionResumed,
    WorkerEnded,
    WorkerStarted,
    subscribe,
)
from tomada.telemetry.tally import cumulative

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomada.metrics.families import Labels

BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Of handshakes, in seconds."""
_UNLABELLED: Final = ((),)
_WELL_OR_NOT: Final = (("completed",), ("failed",))


class _Rule(NamedTuple):
    """What one event counts."""

    name: str
    labels: Callable[[Any], Labels] = lambda _: ()
    known: tuple[Labels, ...] = _UNLABELLED
    """What is told as 0 before it happens: no rate would see its first time."""


def _outcome(event: Any) -> Labels:
    return ("failed" if event.is_wrong else "completed",)


def _handshake(event: HandshakeEnded) -> Labels:
    return ("completed" if not event.reason else "failed" if event.is_wrong else "abandoned",)


_RULES: Final[dict[type[Event], _Rule]] = {
    AcceptFailed: _Rule("tomada_accept_failures_total"),
    ChildEnded: _Rule("tomada_children_ended_total", _outcome, _WELL_OR_NOT),
    CommitFailed: _Rule("tomada_commit_failures_total"),
    ConnectionInterrupted: _Rule("tomada_connections_interrupted_total"),
    DeadlineStruck: _Rule("tomada_deadlines_struck_total", lambda event: (event.deadline,), ()),
    HandshakeEnded: _Rule("tomada_handshakes_total", _handshake, (*_WELL_OR_NOT, ("abandoned",))),
    LimitStruck: _Rule("tomada_limits_struck_total", lambda event: (event.limit, event.outcome.value), ()),
    SessionEnded: _Rule("tomada_sessions_lost_total"),
    SessionRefused: _Rule("tomada_sessions_refused_total"),
    SessionResumed: _Rule("tomada_sessions_resumed_total"),
}
"""In a process that serves; each counts one."""
_ABOVE: Final[dict[type[Event], _Rule]] = {
    Reloaded: _Rule("tomada_reloads_total", lambda event: ("failed" if event.reason else "completed",), _WELL_OR_NOT),
    WorkerEnded: _Rule("tomada_workers_ended_total", _outcome, _WELL_OR_NOT),
    WorkerStarted: _Rule("tomada_workers_started_total"),
}
"""In a process that supervises those."""


class Noted:
    """Counts the events of this process from its making to its `close`.

    Args:
        serves: Whether this process serves; else it supervises those that do.
    """

    __slots__ = ("_counts", "_handshakes", "_lock", "_rules", "_seconds", "_subscription")

    def __init__(self, *, serves: bool) -> None:
        self._lock = Lock()
        self._rules = _RULES if serves else _ABOVE
        self._counts: dict[tuple[str, Labels], float] = {
            (rule.name, labels): 0 for rule in self._rules.values() for labels in rule.known
        }
        self._handshakes = [0] * (len(BOUNDS) + 1) if serves else []
        self._seconds = 0.0
        more = (LoopBlocked, SessionEvicted) if serves else ()
        if serves:
            self._count("tomada_loop_blocked_total", (), 0)
            self._count("tomada_loop_blocked_seconds_total", (), 0)
        self._subscription = subscribe(self._note, *self._rules, *more)

    def _note(self, event: Event) -> None:
        with self._lock:
            rule = self._rules.get(type(event))
            if rule is not None:
                self._count(rule.name, rule.labels(event))
            if isinstance(event, HandshakeEnded) and not event.reason:
                self._handshakes[bisect_left(BOUNDS, event.seconds)] += 1
                self._seconds += event.seconds
            elif isinstance(event, SessionEvicted):
                self._count("tomada_sessions_evicted_total", (event.reason,), event.sessions)
            elif isinstance(event, LoopBlocked) and event.is_over:
                self._count("tomada_loop_blocked_total", (), 1 + event.unreported)
                self._count("tomada_loop_blocked_seconds_total", (), event.seconds)

    def _count(self, name: str, labels: Labels, more: float = 1) -> None:
        self._counts[name, labels] = self._counts.get((name, labels), 0) + more

    def numbers(self) -> list[Number]:
        """What has been counted."""
        with self._lock:
            return [Number(name, value, labels) for (name, labels), value in self._counts.items()]

    def distributions(self) -> list[Distribution]:
        """How long handshakes took."""
        with self._lock:
            counts, seconds = [*self._handshakes], self._seconds
        if not counts:
            return []
        return [Distribution("tomada_handshake_duration_seconds", seconds, cumulative(BOUNDS, counts))]

    def close(self) -> None:
        """Count no more."""
        self._subscription.end()
