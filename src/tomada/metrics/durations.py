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

    __slots__ = ("counts", "failed", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.failed = 0
        self.seconds = 0.0


class Durations:
    """Counts the handlers of this process from its making to its `close`. There are as many types as handlers."""

    __slots__ = ("_lock", "_subscription", "_types")

    def __init__(self) -> None:
        self._lock = Lock()
        self._types: dict[str, _OfType] = {}
        self._subscription = subscribe(self._ended, RequestEnded)

    def _ended(self, event: RequestEnded) -> None:
        with self._lock:
            of_type = self._types.get(event.name)
            if of_type is None:
                of_type = self._types[event.name] = _OfType()
            of_type.counts[bisect_left(BOUNDS, event.seconds)] += 1
            of_type.seconds += event.seconds
            of_type.failed += bool(event.failure)

    def numbers(self) -> list[Number]:
        """How many failed."""
        with self._lock:
            return [
                Number("tomada_requests_failed_total", of_type.failed, (name,)) for name, of_type in self._types.items()
            ]

    def distributions(self) -> list[Distribution]:
        """How long they took."""
        with self._lock:
            return [
                Distribution(DURATION, of_type.seconds, cumulative(BOUNDS, tuple(of_type.counts)), (name,))
                for name, of_type in self._types.items()
            ]

    def close(self) -> None:
        """Count no more."""
        self._subscription.end()
