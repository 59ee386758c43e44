"""The order of measurements: within a round every contender has its turn, and every second round runs backwards."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.contenders import Contender, load_name
from benchmarks.load import Plan
from benchmarks.process import ContenderFailed, measure


@dataclass
class Series:
    """The rates of one contender at one load, a round each, or the reason why there are none."""

    contender: str
    in_flight: int
    rates: list[float] = field(default_factory=list)
    missing: tuple[str, ...] = ()
    failure: str = ""

    @property
    def usable(self) -> bool:
        """Whether every round so far has given a rate."""
        return not self.missing and not self.failure

    def take(self, warm_up: float, seconds: float) -> None:
        """Measure once more and keep the rate, or the failure, after which nothing more is measured."""
        if self.usable:
            try:
                self.rates.append(measure(self.contender, Plan(self.in_flight, warm_up, seconds)))
            except ContenderFailed as error:
                self.failure = str(error)


def median_ratio(series: Series | None, reference: Series | None) -> float | None:
    """The median of the ratios of each round; None unless both were measured in every round."""
    if series is None or reference is None or not (series.usable and reference.usable):
        return None
    return median(mine / theirs for mine, theirs in zip(series.rates, reference.rates, strict=True))


def interleave(
    contenders: Sequence[Contender], rounds: int, warm_up: float, seconds: float, progress: Callable[[str], None]
) -> list[Series]:
    """All series of ``contenders``, ordered by load; ``progress`` is told what is being measured."""
    loads = sorted({load for contender in contenders for load in contender.loads})
    everything = [Series(c.name, load, missing=c.missing()) for load in loads for c in contenders if load in c.loads]
    for number in range(rounds):
        for series in everything if number % 2 == 0 else reversed(everything):
            progress(f"round {number + 1} of {rounds}: {series.contender}, {load_name(series.in_flight)}")
            series.take(warm_up, seconds)
    return everything
