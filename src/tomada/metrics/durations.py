"""How long handlers took, by type, and how many of them failed."""

from __future__ import annotations

from bisect import bisect_left
from threading import Lock
from typing import Final

from tomada.metrics.families import DURATION, Distribution, Number
from tomada.metrics.noted import cumulative
from tomada.telemetry import RequestEnded, subscribe

BOUNDS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
"""Of the buckets, in seconds."""


class _OfType:
    """The handlers of one type."""

    __slots__ = ("counts", "failed", "name", "seconds")

    def __init__(self, name: str) -> None:
        self.name = name
        self.counts = [0] * (len(BOUNDS) + 1)
        self.failed = 0
        self.seconds = 0.0


class Durations:
    """Counts the handlers of one application from its making to its `close`.

    Args:
        names: What is told of them, by what events call them; others are another application's.
    """

    __slots__ = ("_lock", "_subscription", "_types")

    def __init__(self, names: dict[str, str]) -> None:
        self._lock = Lock()
        # Each from the beginning: no rate would see the first ones of a type that is not told before.
        self._types = {called: _OfType(name) for called, name in names.items()}
        self._subscription = subscribe(self._ended, RequestEnded)

    def _ended(self, event: RequestEnded) -> None:
        of_type = self._types.get(event.name)
        if of_type is None:
            return
        with self._lock:
            of_type.counts[bisect_left(BOUNDS, event.seconds)] += 1
            of_type.seconds += event.seconds
            of_type.failed += bool(event.failure)

    def numbers(self) -> list[Number]:
        """How many failed."""
        with self._lock:
            return [Number("tomada_requests_failed_total", one.failed, (one.name,)) for one in self._types.values()]

    def distributions(self) -> list[Distribution]:
        """How long they took."""
        with self._lock:
            return [
                Distribution(DURATION, one.seconds, cumulative(BOUNDS, tuple(one.counts)), (one.name,))
                for one in self._types.values()
            ]

    def close(self) -> None:
        """Count no more."""
        self._subscription.end()
