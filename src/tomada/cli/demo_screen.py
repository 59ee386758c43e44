"""How the demo shows what happens: a live table on a terminal, lines elsewhere, or JSON."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from tomada.cli.output import print_json

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from rich.console import RenderableType
    from rich.live import Live


@dataclass
class Row:
    """What is known of one teller."""

    name: str
    transport: str
    state: str = "starting"
    transfers: int = 0
    rate: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0

    def update(self, event: dict[str, Any]) -> None:
        """Take over what the teller says of itself."""
        self.state = {"opened": "working", "tick": "working", "done": "done"}[event["event"]]
        for name in ("transfers", "rate", "p50_ms", "p99_ms"):
            setattr(self, name, event.get(name, getattr(self, name)))


@dataclass
class Board:
    """What there is to show.

    Attributes:
        seconds: How long the tellers are to work.
        elapsed: How long they have.
        rows: One per teller.
    """

    seconds: float
    elapsed: float = 0.0
    rows: list[Row] = field(default_factory=list)

    @property
    def transfers(self) -> int:
        """Of all tellers."""
        return sum(row.transfers for row in self.rows)

    @property
    def rate(self) -> int:
        """Transfers per second, of all tellers."""
        return sum(row.rate for row in self.rows)

    @property
    def connections(self) -> int:
        """How many tellers are connected."""
        return sum(row.state == "working" for row in self.rows)

    @property
    def left(self) -> float:
        """Seconds to go."""
        return max(0.0, self.seconds - self.elapsed)


class Screen(Protocol):
    """A way to show the demo; a context manager for as long as the tellers work."""

    interval: float
    """Seconds between two calls of `show`."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def started(self, addresses: list[str], directory: str, processes: dict[str, int]) -> None:
        """The server listens and the tellers run."""

    def show(self, board: Board) -> None:
        """Show how it goes."""

    def finished(self, findings: dict[str, Any], verdict: str, commands: list[str]) -> None:
        """Show how it went, and what to do next."""

    def failed(self, text: str) -> None:
        """Say why there is no verdict."""


class PlainScreen:
    """Lines of text, one per second."""

    interval = 1.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def started(self, addresses: list[str], directory: str, processes: dict[str, int]) -> None:  # noqa: ARG002 - as all screens
        """Say where the bank listens."""
        self._say(f"the bank listens on {' and '.join(addresses)}; {len(processes) - 1} client processes")

    def show(self, board: Board) -> None:
        """Print the totals."""
        slowest = max((row.p99_ms for row in board.rows), default=0)
        self._say(
            f"{board.elapsed:4.0f} s: {board.transfers:,} transfers, {board.rate:,}/s"
            f" {f'over {board.connections} connections' if board.connections else 'on average'}, p99 {slowest:.1f} ms"
        )

    def finished(self, findings: dict[str, Any], verdict: str, commands: list[str]) -> None:
        """Print what differs, the verdict and what to try."""
        for line in (*findings["differences"], verdict, "try next:", *(f"  {command}" for command in commands)):
            self._say(line)

    def failed(self, text: str) -> None:
        """Print it where errors go."""
        print(f"demo failed: {text}", file=sys.stderr, flush=True)  # noqa: T201 - the command's own last word

    def _say(self, line: str) -> None:
        print(line, flush=True)  # noqa: T201 - plain text for pipes and logs


class LiveScreen(PlainScreen):
    """A table that stays in its place on a terminal."""

    interval = 0.25

    def __init__(self) -> None:
        self._live: Live | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, board: Board) -> None:
        """Draw the table anew."""
        from rich.live import Live

        if self._live is None:
            self._live = Live(auto_refresh=False)
            self._live.start()
        self._live.update(_picture(board), refresh=True)


class JsonScreen(PlainScreen):
    """One JSON object per line."""

    def started(self, addresses: list[str], directory: str, processes: dict[str, int]) -> None:
        """Tell the addresses, the directory and the process numbers."""
        print_json({"event": "started", "addresses": addresses, "directory": directory, "processes": processes})

    def show(self, board: Board) -> None:
        """Tell totals and tellers."""
        totals = {"transfers": board.transfers, "rate": board.rate, "connections": board.connections}
        elapsed = round(board.elapsed, 2)
        print_json({"event": "tick", "elapsed": elapsed, **totals, "tellers": [asdict(row) for row in board.rows]})

    def finished(self, findings: dict[str, Any], verdict: str, commands: list[str]) -> None:  # noqa: ARG002 - as all screens
        """Tell what the audit found."""
        print_json({"event": "finished", "ok": not findings["differences"], **findings})

    def failed(self, text: str) -> None:
        """Tell it as the last event."""
        print_json({"event": "failed", "ok": False, "error": text})


def screen_for(*, as_json: bool) -> Screen:
    """The screen that fits where standard output goes."""
    if as_json:
        return JsonScreen()
    return LiveScreen() if sys.stdout.isatty() else PlainScreen()


def _picture(board: Board) -> RenderableType:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    table = Table(title="tomada demo: a bank, double entry, every receipt on disk", title_justify="left")
    table.add_column("client process")
    table.add_column("over")
    for heading in ("transfers", "per second", "p50", "p99"):
        table.add_column(heading, justify="right")
    for row in board.rows:
        latencies = (f"{row.p50_ms:.1f} ms", f"{row.p99_ms:.1f} ms")
        table.add_row(row.name, row.transport, f"{row.transfers:,}", f"{row.rate:,}", *latencies)
    table.add_section()
    totals = (f"{board.transfers:,}", f"{board.rate:,}")
    table.add_row("all", f"{board.connections} connections", *totals, style="bold")
    bar = ProgressBar(total=board.seconds, completed=min(board.elapsed, board.seconds), width=40)
    return Group(table, bar, f"{board.left:.0f} s left" if board.left else "the audit follows")
