"""One connection, looked at closely: what is known of it, and its messages as they pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.table import Table
from rich.text import Text
from textual.binding import Binding
from textual.screen import Screen
from textual.widgets import Footer, Static

from tomada.cli.output import printable
from tomada.cli.top import words
from tomada.cli.top.headings import STYLES, place
from tomada.cli.top.lines import MOST_LINES, Lines
from tomada.cli.top.texts import frame_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from textual.app import ComposeResult
    from textual.binding import BindingType

    from tomada.feed.messages import ConnectionRow, Picture


class Looking(Screen[None]):
    """The page of one connection.

    Args:
        row: As it was when it was chosen.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "dismiss", "Back"),
        Binding("c", "app.close_connection", "Close it"),
        Binding("p", "app.pause", "Pause"),
    ]
    CSS = """
    Looking #facts { height: auto; padding: 0 1; background: $panel; }
    Looking #messages { height: 1fr; padding: 0 1; scrollbar-size-vertical: 1; }
    """

    def __init__(self, row: ConnectionRow) -> None:
        super().__init__()
        self.row = row
        self.is_over = False

    def compose(self) -> ComposeResult:
        """Facts above, messages below."""
        yield Static(_facts(self.row, is_over=False), id="facts", markup=False)
        yield Lines(id="messages")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Keys scroll the messages."""
        self.query_one(Lines).focus()

    def show(self, picture: Picture) -> None:
        """How it is now."""
        if self.is_over:
            return
        self.is_over = picture.looked_at is None
        self.row = picture.looked_at or self.row
        self.query_one("#facts", Static).update(_facts(self.row, is_over=self.is_over))
        self.query_one(Lines).add(self._lines(picture))

    def _lines(self, picture: Picture) -> Iterator[Text]:
        if picture.frames_passed_over:
            yield Text(f"… {picture.frames_passed_over:,} messages passed over", style="dim italic")
        yield from map(frame_text, picture.frames[-MOST_LINES:])
        if self.is_over:
            yield Text("the connection has ended", style="yellow")


def _facts(row: ConnectionRow, *, is_over: bool) -> Table:
    state = "closed" if is_over else row.state
    table = Table.grid(padding=(0, 1), expand=True)
    for _ in range(3):
        table.add_column(style="dim", no_wrap=True)
        table.add_column(no_wrap=True, ratio=1)
    title = Text(place(row.peer), style="bold", overflow="ellipsis")
    is_stream = row.kind == "stream"
    pace = words.size if is_stream else words.rate
    table.add_row(
        "peer", title, "state", Text(printable(state), style=STYLES.get(state, "")), "age", words.age(row.age)
    )
    table.add_row("at", _cell(place(row.address)), "kind", _cell(row.kind), "worker", f"{row.worker or words.NOTHING}")
    table.add_row(
        *("in", f"{words.count(row.received_messages)}, {words.size(row.received_bytes)}"),
        *("rate", f"{pace(row.received_rate)}/s", "rtt", words.duration(row.round_trip)),
    )
    table.add_row(
        *("out", f"{words.count(row.sent_messages)}, {words.size(row.sent_bytes)}"),
        *("rate", f"{pace(row.sent_rate)}/s", "resumed", words.count(row.resumed)),
    )
    table.add_row(
        *("waiting", words.size(row.waiting_bytes), "held", words.size(row.held_bytes)),
        *("handlers", words.count(row.handlers)),
    )
    table.add_row(
        *("not handled", words.size(row.unacknowledged_bytes), "credit", words.size(row.credit_bytes)),
        *("requests", words.count(row.requests)),
    )
    table.add_row("software", _cell(row.software), "id", _cell(row.id), "", "")
    return table


def _cell(text: str) -> Text:
    return Text(printable(text), overflow="ellipsis", no_wrap=True)
