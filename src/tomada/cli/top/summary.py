"""The lines at the top: which server, how it goes, and how much goes in and out."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from rich.text import Text
from textual.containers import Horizontal, Vertical
from textual.widgets import Sparkline, Static

from tomada.cli.output import printable
from tomada.cli.top import words
from tomada.cli.top.headings import place

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from tomada.feed.messages import Picture, Totals

KEPT: Final = 240
"""Rates that the sparklines remember: two minutes."""


class Summary(Vertical):
    """Three lines."""

    DEFAULT_CSS = """
    Summary { height: 3; padding: 0 1; background: $panel; }
    Summary Horizontal { height: 1; }
    Summary #app { width: 1fr; }
    Summary #app, Summary #totals { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    Summary #state { width: auto; }
    Summary .rate { width: auto; min-width: 29; }
    Summary Sparkline { width: 1fr; height: 1; margin: 0 2 0 1; }
    Summary #sent { margin-right: 0; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._received: deque[float] = deque([0.0], KEPT)
        self._sent: deque[float] = deque([0.0], KEPT)

    def compose(self) -> ComposeResult:
        """What is filled in later."""
        with Horizontal():
            yield Static(id="app", markup=False)
            yield Static(id="state", markup=False)
        yield Static(id="totals", markup=False)
        with Horizontal():
            yield Static(id="in", classes="rate", markup=False)
            yield Sparkline([0.0], id="received")
            yield Static(id="out", classes="rate", markup=False)
            yield Sparkline([0.0], id="sent")

    def show(self, picture: Picture) -> None:
        """How it is now."""
        self.query_one("#app", Static).update(_app(picture))
        self.query_one("#totals", Static).update(_totals(picture.totals))
        totals = picture.totals
        self._line("in", "#in", "#received", self._received, totals.received_rate, totals.received_byte_rate)
        self._line("out", "#out", "#sent", self._sent, totals.sent_rate, totals.sent_byte_rate)

    def show_state(self, text: str, style: str, trouble: str) -> None:
        """What stands at the right of the first line; the second one says why no pictures come, if none do."""
        self.query_one("#state", Static).update(Text(text, style=style))
        if trouble:
            self.query_one("#totals", Static).update(Text(printable(trouble), style="red"))

    def _line(self, name: str, number: str, line: str, kept: deque[float], rate: float, size: float) -> None:
        kept.append(rate)
        shown = Text.assemble((f"{name:<4}", "dim"), f"{words.rate(rate):>8}/s", f"{words.size(size):>11}/s")
        self.query_one(number, Static).update(shown)
        self.query_one(line, Sparkline).data = list(kept)


def _app(picture: Picture) -> Text:
    first, *others = picture.addresses or ["-"]
    more = f" and {len(others)} more" if others else ""
    text = Text()
    return text.append(printable(picture.app), "bold").append(f"  {place(first)}", "cyan").append(more, "dim")


def _totals(totals: Totals) -> Text:
    turned_away = sum(totals.turned_away.values())
    shown = (
        (totals.connections, "connection" if totals.connections == 1 else "connections", ""),
        (totals.streams, "stream" if totals.streams == 1 else "streams", ""),
        (totals.handlers, "handler" if totals.handlers == 1 else "handlers", ""),
        (totals.handshakes, "at handshake", ""),
        (turned_away, "turned away", "yellow"),
        (totals.failed, "failed", "red"),
    )
    text = Text()
    for number, name, style in shown:
        if number or not style:
            text.append("  " if text else "").append(words.count(number), style or "bold").append(f" {name}", "dim")
    return text
