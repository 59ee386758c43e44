"""Counts of the handlers of one type, and how long a sample of them took. What a meter reads; see `meter.py`."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from itertools import accumulate
from math import ceil, inf, log2
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

is_wanted = False
"""Whether those who start handlers tell it: somebody has subscribed to their ends, or a meter is on."""
is_metered = False
"""Whether a meter is on."""
subscribers: tuple[Callable[[Any], None], ...] = ()
"""Those of `RequestEnded`. Like the two above here and not in a class, for it is looked at with every message."""


def wanted_by(who: tuple[Callable[[Any], None], ...], *, is_metered: bool) -> None:
    """Tell or count handlers from now on. To be called under the lock of who changes that."""
    module = globals()
    module.update(subscribers=who, is_metered=is_metered, is_wanted=is_metered or bool(who))


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
"""So many of a type are timed in a second; of those beyond one in 16, and when these are ten times as many, in 128."""
_STRIDES: Final = (1, 16, 128)
_RATE_SECONDS: Final = 10.0
_LOOKS: Final = 64


class Tally:
    """Counts the handlers of one type, in all connections of the process.

    Attributes:
        name: The type's.
        handled: How many were started.
        failed: How many raised, or were cancelled.
    """

    __slots__ = (
        "_looks",
        "_samples",
        "_since",
        "_stride",
        "_totals",
        "_windows",
        "failed",
        "handled",
        "name",
        "next",
        "seconds",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.handled = self.failed = 0
        self.next = 0
        """Which is timed next."""
        self.seconds = 0.0
        """How long all of them took, as far as those that were timed tell."""
        self._stride = 1
        """For so many each stands that is timed now."""
        self._since = 0.0
        self._samples = 0
        self._totals = [0] * (len(BOUNDS) + 1)
        self._windows: deque[tuple[int, dict[int, int]]] = deque(maxlen=_WINDOWS)
        """How many took how long, by the steps of a logarithmic scale, for each ten seconds."""
        self._looks: deque[tuple[float, int, int]] = deque(maxlen=_LOOKS)

    def renew(self) -> None:
        """Time the next handler, however many there were before it."""
        self.next, self._since = 0, 0.0

    def start(self) -> float:
        """Count a handler that starts; when it did, of `perf_counter`, should its end be told, else 0."""
        handled = self.handled = self.handled + 1
        return self.begin() if handled >= self.next else 0.0

    def begin(self) -> float:
        """When one starts that is timed, since `handled` has reached `next`; says which is to be after it."""
        now = perf_counter()
        if now - self._since >= 1:
            self._since, self._samples = now, 0
        self._samples += 1
        stride = self._stride = _STRIDES[(self._samples > _QUOTA) + (self._samples > 10 * _QUOTA)]
        # Not always the same number: the handlers may have a rhythm.
        self.next = self.handled + (1 if stride == 1 else stride // 2 + int(now * 1e9) % (stride + 1))
        return now

    def all_ended(self, seconds: float) -> None:
        """A handler has ended, while all are timed."""
        self.handled += 1
        self.next = self.handled + 1
        self._stride = 1
        self.note(seconds)

    def note(self, seconds: float) -> None:
        """A handler has ended that was timed."""
        weight = self._stride
        self.seconds += seconds * weight
        self._totals[bisect_left(BOUNDS, seconds)] += weight
        number = int(perf_counter() // _WINDOW)
        if not self._windows or self._windows[-1][0] != number:
            self._windows.append((number, {}))
        window = self._windows[-1][1]
        step = ceil(log2(max(seconds, 1e-9)) * _STEPS)
        window[step] = window.get(step, 0) + weight

    def buckets(self) -> tuple[tuple[float, int], ...]:
        """How many took no longer than each of `BOUNDS`, and how many there are."""
        return cumulative(BOUNDS, self._totals)

    def rates(self) -> tuple[float, float]:
        """Starts and failures per second, over ten seconds or since the look before, whichever is longer."""
        now, looks = perf_counter(), self._looks
        if now - self._since >= 1:
            self.next = 0  # or those that are rare again would not be timed until there have been as many as before
        while len(looks) > 1 and looks[1][0] <= now - _RATE_SECONDS:
            looks.popleft()
        at, handled, failed = looks[0] if looks else (now, self.handled, self.failed)
        if not looks or now - looks[-1][0] >= _RATE_SECONDS / _LOOKS:
            looks.append((now, self.handled, self.failed))
        seconds = now - at
        return ((self.handled - handled) / seconds, (self.failed - failed) / seconds) if seconds > 0 else (0.0, 0.0)

    def recent(self) -> dict[int, int]:
        """How many of the last minute took how long, by the steps of the scale: for `quantile`."""
        oldest = int(perf_counter() // _WINDOW) - _WINDOWS
        steps: dict[int, int] = {}
        for number, window in tuple(self._windows):
            if number > oldest:
                for step, count in tuple(window.items()):
                    steps[step] = steps.get(step, 0) + count
        return steps


def cumulative(bounds: Sequence[float], counts: Sequence[int]) -> tuple[tuple[float, int], ...]:
    """Buckets of a histogram; there is one count more than bounds: of what is above all."""
    return tuple(zip((*bounds, inf), accumulate(counts), strict=True))


def quantile(steps: dict[int, int], part: float) -> float | None:
    """In seconds: such a part of these took no longer, as of `Tally.recent`; None where there are none."""
    wanted = ceil(part * sum(steps.values()))
    reached = 0
    for step in sorted(steps):
        reached += steps[step]
        if reached >= wanted:
            return float(2 ** ((step - 0.5) / _STEPS))
    return None


_tallies: Final[dict[str, Tally]] = {}
_making: Final = Lock()


def tally_of(name: str) -> Tally:
    """That of a type; there is one for each name in a process."""
    tally = _tallies.get(name)
    if tally is None:
        with _making:
            tally = _tallies.setdefault(name, Tally(name))
    return tally


def tallies() -> list[Tally]:
    """All, in the order of the types' names."""
    return [tally for _, tally in sorted(_tallies.items())]
