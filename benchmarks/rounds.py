"""The order of measurements: within a round every contender has its turn, and every second round runs backwards."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from statistics import median

from benchmarks.load import Plan
from benchmarks.process import ContenderFailed, measure
from benchmarks.suites import Contender, Suite


@dataclass(frozen=True)
class Settings:
    """How long and how often: rounds, and the seconds of each timed phase and of the warm-up before it."""

    rounds: int
    seconds: float
    warm_up: float


@dataclass
class Series:
    """The rates of one contender at one load, a round each, or the reason why there are none."""

    suite: str
    contender: str
    load: int
    pinned: bool = True
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
                self.rates.append(measure(self.contender, Plan(self.load, warm_up, seconds), pinned=self.pinned))
            except ContenderFailed as error:
                self.failure = str(error)


def median_ratio(series: Series | None, reference: Series | None) -> float | None:
    """The median of the ratios of each round; None unless both were measured in every round."""
    if series is None or reference is None or not (series.usable and reference.usable):
        return None
    return median(mine / theirs for mine, theirs in zip(series.rates, reference.rates, strict=True))


def interleave(
    suite: Suite, chosen: Collection[Contender], settings: Settings, progress: Callable[[str], None]
) -> list[Series]:
    """All series of the suite's ``chosen`` contenders, by load; ``progress`` is told what is being measured."""
    everything = [
        Series(suite.name, contender.name, load, suite.pinned, missing=contender.missing())
        for load in suite.references
        for contender in suite.contenders
        if contender in chosen and suite.carries(contender, load)
    ]
    for number in range(settings.rounds):
        for series in everything if number % 2 == 0 else reversed(everything):
            load = suite.load.format(series.load)
            progress(f"{suite.name}, round {number + 1} of {settings.rounds}: {series.contender}, {load}")
            series.take(settings.warm_up, settings.seconds)
    return everything
