"""How the handlers do, by the type of what they handle: how many, how fast, how many fail.

While a `Meter` is on, each handler's end is counted, and some are timed: all where there are few, one in sixteen where
there are many. Nothing is kept per message, and nothing is paid while none is on.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from math import ceil, log2
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, Final

import msgspec

from tomada.telemetry import spans

if TYPE_CHECKING:
    from typing import Self

BOUNDS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
"""Of the buckets of `TypeFigures.buckets`, in seconds."""

_WINDOW: Final = 10.0
_WINDOWS: Final = 6
"""Together a minute."""
_STEPS: Final = 8
"""Steps of the scale in a doubling: each is 9 % wide, so a quantile is at most 5 % off."""
_QUOTA: Final = 200
"""So many of a type are timed in a second; of those beyond, one in `_STRIDE`."""
_STRIDE: Final = 16
_RATE_SECONDS: Final = 10.0
_LOOKS: Final = 64


class TypeFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How the handlers of one type have done, since the first meter of the process was started."""

    name: str
    """The message's type; of a datagram without one, its handler."""
    handled: int
    """Handlers that have ended."""
    failed: int
    """Those of them that raised, be it an error for the caller, or were cancelled."""
    rate: float
    """Ends per second, over the last ten seconds or since the look before, whichever is longer."""
    failure_rate: float
    """The same, of those that failed."""
    p50: float | None
    """In seconds: half of the handlers of the last minute took no longer. None where none was timed."""
    p99: float | None
    seconds: float
    """How long all of them took together: those that were not timed as those that were."""
    buckets: tuple[tuple[float, int], ...]
    """For each of `BOUNDS` how many took no longer, and for infinity all: cumulative, as Prometheus has them.

    Those that were not timed are counted with one that was, so up to 23 of the last may be missing.
    """


class Tally:
    """Counts the handlers of one type."""

    __slots__ = ("_before", "_left", "_looks", "_samples", "_since", "_totals", "_windows", "failed", "handled", "sum")

    def __init__(self) -> None:
        self.handled = 0
        self.failed = 0
        self.sum = 0.0
        self._left = 1
        """So many ends until one is timed."""
        self._before = 0
        """How many had ended when one was timed last."""
        self._since = 0.0
        self._samples = 0
        self._totals = [0] * (len(BOUNDS) + 1)
        self._windows: deque[tuple[int, dict[int, int]]] = deque(maxlen=_WINDOWS)
        """How many took how long, by the steps of a logarithmic scale, for each ten seconds."""
        self._looks: deque[tuple[float, int, int]] = deque(maxlen=_LOOKS)

    def ended(self, begun: float, *, failed: bool) -> None:
        """A handler has ended that began at `begun`, of `perf_counter`."""
        self.handled += 1
        self._left -= 1
        if failed:
            self.failed += 1
        if self._left <= 0:
            self._time(begun, perf_counter())

    def _time(self, begun: float, now: float) -> None:
        seconds = now - begun
        weight, self._before = self.handled - self._before, self.handled
        self.sum += seconds * weight
        self._totals[bisect_left(BOUNDS, seconds)] += weight
        number = int(now // _WINDOW)
        if not self._windows or self._windows[-1][0] != number:
            self._windows.append((number, {}))
        window = self._windows[-1][1]
        step = int(log2(max(seconds, 1e-9)) * _STEPS)
        window[step] = window.get(step, 0) + weight
        if now - self._since >= 1:
            self._since, self._samples = now, 0
        self._samples += 1
        # Not always the same number: the handlers may have a rhythm.
        self._left = 1 if self._samples < _QUOTA else _STRIDE // 2 + int(now * 1e9) % _STRIDE

    def figures(self, name: str) -> TypeFigures:
        """What has been counted so far."""
        now = perf_counter()
        rate, failure_rate = self._rates(now)
        p50, p99 = self._quantiles(now)
        totals, reached = [], 0
        for bound, count in zip((*BOUNDS, float("inf")), self._totals, strict=True):
            reached += count
            totals.append((bound, reached))
        return TypeFigures(
            name=name,
            handled=self.handled,
            failed=self.failed,
            rate=rate,
            failure_rate=failure_rate,
            p50=p50,
            p99=p99,
            seconds=self.sum,
            buckets=tuple(totals),
        )

    def _rates(self, now: float) -> tuple[float, float]:
        looks = self._looks
        while len(looks) > 1 and looks[1][0] <= now - _RATE_SECONDS:
            looks.popleft()
        at, handled, failed = looks[0] if looks else (now, self.handled, self.failed)
        if not looks or now - looks[-1][0] >= _RATE_SECONDS / _LOOKS:
            looks.append((now, self.handled, self.failed))
        seconds = now - at
        return ((self.handled - handled) / seconds, (self.failed - failed) / seconds) if seconds > 0 else (0.0, 0.0)

    def _quantiles(self, now: float) -> tuple[float | None, float | None]:
        oldest = int(now // _WINDOW) - _WINDOWS
        steps: dict[int, int] = {}
        for number, window in tuple(self._windows):
            if number > oldest:
                for step, count in tuple(window.items()):
                    steps[step] = steps.get(step, 0) + count
        return _quantile(steps, 0.5), _quantile(steps, 0.99)


def _quantile(steps: dict[int, int], part: float) -> float | None:
    wanted = ceil(part * sum(steps.values()))
    reached = 0
    for step in sorted(steps):
        reached += steps[step]
        if reached >= wanted:
            return float(2 ** ((step - 0.5) / _STEPS))
    return None


_starting: Final = Lock()
_meters = 0


class Meter:
    """Counts from its making on; all meters of a process read the same counts.

    ::

        with Meter() as meter:
            ...
            for figures in meter.figures():
                print(figures.name, figures.rate, figures.p99)
    """

    __slots__ = ("_is_on",)

    def __init__(self) -> None:
        global _meters  # noqa: PLW0603 - how many there are
        self._is_on = True
        with _starting:
            _meters += 1
            spans.meter({} if spans.tallies is None else spans.tallies, Tally)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def figures(self) -> list[TypeFigures]:
        """How the handlers of each type have done, in the order of the types' names; empty when it is closed."""
        tallies = spans.tallies if self._is_on else None
        return [tally.figures(name) for name, tally in sorted((tallies or {}).items())]

    def close(self) -> None:
        """Count no more, if this is the last one; to call it again does nothing."""
        global _meters  # noqa: PLW0603 - as above
        with _starting:
            if self._is_on:
                self._is_on = False
                _meters -= 1
                if not _meters:
                    spans.meter(None, Tally)
