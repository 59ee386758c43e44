"""How the handlers do, by the type of what they handle: how many, how fast, how many fail.

While a `Meter` is on each handler is counted, and some are timed: all where there are few, one in 16 or in 128 where
there are many. Nothing is kept per message, and nothing is paid while none is on.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Final

import msgspec

from tomada.telemetry.hub import meter
from tomada.telemetry.tally import BOUNDS, Tally, quantile, tallies

if TYPE_CHECKING:
    from typing import Self

__all__ = ["BOUNDS", "Meter", "TypeFigures"]


class TypeFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How the handlers of one type have done, since the first meter of the process was started."""

    name: str
    """The message's type; of a datagram without one, its handler."""
    handled: int
    """Handlers that were started; all are counted."""
    failed: int
    """Those of them that raised, be it an error for the caller, or were cancelled."""
    rate: float
    """Starts per second, over the last ten seconds or since the look before, whichever is longer."""
    failure_rate: float
    """The same, of those that failed."""
    recent: dict[int, int]
    """How many of the last minute took how long, by the steps of a scale. Those of several processes can be added up,
    and `tomada.telemetry.tally.quantile` reads them."""
    seconds: float
    """How long all of them took together: those that were not timed as those that were."""
    buckets: tuple[tuple[float, int], ...]
    """For each of `BOUNDS` how many took no longer, and for infinity all: cumulative, as Prometheus has them.

    One that was timed stands for those that were not, so the last of them is about as much as have ended.
    """

    @property
    def p50(self) -> float | None:
        """In seconds: half of the handlers of the last minute took no longer. None where none was timed."""
        return quantile(self.recent, 0.5)

    @property
    def p99(self) -> float | None:
        """The same, of 99 in 100."""
        return quantile(self.recent, 0.99)


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
        self._is_on = True
        for tally in tallies():
            tally.renew()
        _count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def figures(self) -> list[TypeFigures]:
        """How the handlers of each type have done, in the order of the types' names."""
        return [_figures(tally) for tally in tallies() if tally.handled]

    def close(self) -> None:
        """Count no more, if this is the last one; to call it again does nothing."""
        if self._is_on:
            self._is_on = False
            _count(-1)


def _figures(tally: Tally) -> TypeFigures:
    rate, failure_rate = tally.rates()
    return TypeFigures(
        name=tally.name,
        handled=tally.handled,
        failed=tally.failed,
        rate=rate,
        failure_rate=failure_rate,
        recent=tally.recent(),
        seconds=tally.seconds,
        buckets=tally.buckets(),
    )


def _count(more: int) -> None:
    global _meters  # noqa: PLW0603 - how many are on
    with _starting:
        _meters += more
        meter(is_on=bool(_meters))
