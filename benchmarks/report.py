"""The report: two tables on a terminal, the same rows as plain lines in a pipe, and everything in a JSON file."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.rounds import Series, Settings, median_ratio
from benchmarks.suites import Suite
from benchmarks.targets import Figure


@dataclass(frozen=True)
class Report:
    """All that a run has found out."""

    machine: Mapping[str, str]
    settings: Settings
    suites: Sequence[Suite]
    series: Sequence[Series]
    imports: Mapping[str, float]
    figures: Sequence[Figure]

    def write(self, file: Path) -> None:
        """Write everything, each round's rate included, as JSON."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(self), indent=2) + "\n")

    def show(self, console: Console) -> None:
        """Print the machine, the rates and the targets."""
        for name, value in {**self.machine, **asdict(self.settings)}.items():
            console.print(f"{name}: {value}", highlight=False, soft_wrap=True)
        for suite in self.suites:
            header = ("load", "contender", suite.unit, "lowest", "highest", "ratio", "against")
            _show(console, header, list(self._rates(suite)))
        _show(console, ("figure", "wanted", "reached", "verdict"), self._verdicts())

    def _rates(self, suite: Suite) -> Iterator[tuple[str, ...]]:
        measured = [series for series in self.series if series.suite == suite.name]
        for series in measured:
            name = suite.references[series.load]
            reference = next((one for one in measured if (one.contender, one.load) == (name, series.load)), None)
            yield (suite.load.format(series.load), *_rate_row(series, reference), name)

    def _verdicts(self) -> list[tuple[str, ...]]:
        return [(f.name, f.wanted, _number(f.reached), f.verdict) for f in self.figures]


def _rate_row(series: Series, reference: Series | None) -> tuple[str, ...]:
    if series.missing:
        return (series.contender, f"not installed: {', '.join(series.missing)}", "", "", "")
    if series.failure:
        return (series.contender, f"failed: {series.failure}", "", "", "")
    rates = (f"{rate:,.0f}" for rate in (median(series.rates), min(series.rates), max(series.rates)))
    return (series.contender, *rates, _number(median_ratio(series, reference)))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _show(console: Console, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if not console.is_terminal:
        for row in (header, *rows):
            print("\t".join(row).rstrip(), file=console.file)  # rich would expand the tabs
        return
    table = Table(*header)
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)
