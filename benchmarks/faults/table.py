"""The table that every fault run ends with."""

from dataclasses import dataclass
from math import inf

from rich.console import Console
from rich.table import Table

from benchmarks import machine


@dataclass(frozen=True)
class Row:
    """A figure, at most `wanted`; one of which nothing is wanted (`inf`) stands beside the others for comparison."""

    name: str
    wanted: float
    reached: float

    @property
    def is_reached(self) -> bool:
        """Whether it is as it should be."""
        return self.reached <= self.wanted


def show(rows: list[Row]) -> int:
    """Print them; 1 where a count that must be none is not, which no slow machine explains."""
    console = Console()
    for name, value in machine.describe().items():
        console.print(f"{name}: {value}", highlight=False, soft_wrap=True)
    table = Table("figure", "at most", "reached", "verdict")
    for row in rows:
        wanted = "-" if row.wanted == inf else f"{row.wanted:g}"
        verdict = ("ok" if row.is_reached else "above") if row.wanted < inf else ""
        table.add_row(row.name, wanted, f"{row.reached:,.2f}", verdict)
    console.print(table)
    return int(any(not row.wanted and row.reached for row in rows))
