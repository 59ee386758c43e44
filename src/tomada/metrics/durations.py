"""How long handlers took, by type, and how many of them failed: what a meter tells, from one moment on."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from tomada.metrics.families import DURATION, Distribution, Number
from tomada.telemetry.meter import BOUNDS, Meter

if TYPE_CHECKING:
    from tomada.telemetry.meter import TypeFigures

_EMPTY: Final = tuple((bound, 0) for bound in (*BOUNDS, inf))


class Durations:
    """Counts the handlers of one application from its making to its `close`.

    Args:
        names: What is told of them, by what events call them; others are another application's.
    """

    __slots__ = ("_before", "_last", "_meter", "_names")

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names
        self._meter = Meter()
        self._before = self._figures()  # meters of the process have no beginning of their own
        self._last: dict[str, TypeFigures] | None = None

    def _figures(self) -> dict[str, TypeFigures]:
        return {one.name: one for one in self._meter.figures() if one.name in self._names}

    @property
    def _now(self) -> dict[str, TypeFigures]:
        return self._figures() if self._last is None else self._last

    def numbers(self) -> list[Number]:
        """How many failed."""
        now, before = self._now, self._before
        # All from the beginning: no rate would see the first ones of a type that is not told before.
        return [
            Number("tomada_requests_failed_total", _failed(now.get(called)) - _failed(before.get(called)), (name,))
            for called, name in self._names.items()
        ]

    def distributions(self) -> list[Distribution]:
        """How long they took; where there are many those that were timed stand for the others."""
        now = self._now
        return [_since(self._before.get(called), now.get(called), name) for called, name in self._names.items()]

    def close(self) -> None:
        """Count no more."""
        if self._last is None:
            self._last = self._figures()
            self._meter.close()


def _failed(figures: TypeFigures | None) -> int:
    return 0 if figures is None else figures.failed


def _since(before: TypeFigures | None, now: TypeFigures | None, name: str) -> Distribution:
    if now is None:
        return Distribution(DURATION, 0.0, _EMPTY, (name,))
    seconds, buckets = (0.0, _EMPTY) if before is None else (before.seconds, before.buckets)
    pairs = zip(now.buckets, buckets, strict=True)
    counts = tuple((bound, count - earlier) for (bound, count), (_, earlier) in pairs)
    return Distribution(DURATION, max(0.0, now.seconds - seconds), counts, (name,))
