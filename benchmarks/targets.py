"""What tomada wants to reach, beside what it reached."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from benchmarks.imports import OURS, THEIRS
from benchmarks.rounds import Series, median_ratio
from benchmarks.suites import Suite


@dataclass(frozen=True)
class Figure:
    """A row of the second table."""

    name: str
    wanted: str
    reached: float | None
    verdict: Literal["ok", "below", "above", "not measured"]


IMPORT_BOUND: Final = 1.4


def figures(suites: Sequence[Suite], measured: Sequence[Series], import_ratio: float | None) -> list[Figure]:
    """Every target with what was reached."""
    by_key = {(series.contender, series.load): series for series in measured}
    rows = []
    for suite in suites:
        for target in suite.targets:
            ours, theirs = (by_key.get((name, target.load)) for name in (target.ours, target.theirs))
            name = f"{suite.load.format(target.load)}: {target.ours} against {target.theirs}"
            rows.append(_at_least(name, target.bound, median_ratio(ours, theirs)))
    return [*rows, _at_most(f"{OURS}, against {THEIRS}", IMPORT_BOUND, import_ratio)]


def _at_least(name: str, bound: float, reached: float | None) -> Figure:
    verdict: Literal["ok", "below"] = "ok" if reached is not None and reached >= bound else "below"
    return Figure(name, f"at least {bound:g}", reached, "not measured" if reached is None else verdict)


def _at_most(name: str, bound: float, reached: float | None) -> Figure:
    verdict: Literal["ok", "above"] = "ok" if reached is not None and reached <= bound else "above"
    return Figure(name, f"at most {bound:g}", reached, "not measured" if reached is None else verdict)
