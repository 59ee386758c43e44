"""The report: two tables on a terminal, the same rows as plain lines in a pipe, and everything in a JSON file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.contenders import REFERENCES, load_name
from benchmarks.rounds import Series, median_ratio
from benchmarks.targets import Figure


@dataclass(frozen=True)
class Report:
    """All that a run has found out."""

    machine: Mapping[str, str]
    settings: Mapping[str, float]
    series: Sequence[Series]
    imports: Mapping[str, float]
    figures: Sequence[Figure]

    def write(self, file: Path) -> None:
        """Write everything, each round's rate included, as JSON."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(asdict(self), indent=2) + "\n")

    def show(self, console: Console) -> None:
        """Print the machine, the rates and the targets."""
        for name, value in {**self.machine, **self.settings}.items():
            console.print(f"{name}: {value}", highlight=False, soft_wrap=True)
        _show(console, ("load", "contender", "per second", "lowest", "highest", "ratio", "against"), self._rates())
        _show(console, ("figure", "wanted", "reached", "verdict"), self._verdicts())

    def _rates(self) -> list[tuple[str, ...]]:
        references = {s.in_flight: s for s in self.series if s.contender == REFERENCES[s.in_flight]}
        return [_rate_row(series, references.get(series.in_flight)) for series in self.series]

    def _verdicts(self) -> list[tuple[str, ...]]:
        return [(f.name, f.wanted, _number(f.reached), f.verdict) for f in self.figures]


def _rate_row(series: Series, reference: Series | None) -> tuple[str, ...]:
    start = (load_name(series.in_flight), series.contender)
    if series.missing:
        return (*start, f"not installed: {', '.join(series.missing)}", "", "", "", "")
    if series.failure:
        return (*start, f"failed: {series.failure}", "", "", "", "")
    rates = (f"{rate:,.0f}" for rate in (median(series.rates), min(series.rates), max(series.rates)))
    return (*start, *rates, _number(median_ratio(series, reference)), REFERENCES[series.in_flight])


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
