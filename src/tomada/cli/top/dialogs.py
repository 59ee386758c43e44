"""What lies over the screen for a moment: a question, and the help."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from rich.table import Table
from rich.text import Text
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Static

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

KEYS: Final = (
    ("1 … 5", "connections, types, workers, strikes, log"),
    ("↑ ↓ PgUp PgDn", "choose a row"),
    ("← →", "more columns"),
    ("< >  or a click", "sort by another column"),
    ("r", "the other way round"),
    ("/", "connections that contain a text; Esc: all"),
    ("n  b", "next page, page before"),
    ("Enter", "a connection and its messages; Esc: back"),
    ("c", "close the connection (needs the token)"),
    ("d", "drain a worker (needs the token)"),
    ("p", "pause: the server is left alone meanwhile"),
    ("q  Ctrl-C", "quit"),
)


class Question(ModalScreen[bool]):
    """Asks whether to do what cannot be undone."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape", "answer(False)", "No"),
        Binding("left,right", "app.focus_next", show=False),
    ]
    CSS = """
    Question { align: center middle; }
    Question > Vertical { width: 64; max-width: 94%; height: auto; padding: 1 2; background: $surface;
                          border: round $warning; }
    Question Horizontal { height: auto; align-horizontal: center; margin-top: 1; }
    Question Button { margin: 0 2; min-width: 12; }
    """

    def __init__(self, words: str, yes: str) -> None:
        super().__init__()
        self._words = words
        self._yes = yes

    def compose(self) -> ComposeResult:
        """The question, and two answers; the careful one first."""
        with Vertical():
            yield Static(Text(self._words), markup=False)
            with Horizontal():
                yield Button("No (n)", id="no")
                yield Button(f"{self._yes} (y)", id="yes", variant="error")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answered."""
        self.dismiss(event.button.id == "yes")

    def action_answer(self, answer: bool) -> None:
        """Answered."""
        self.dismiss(answer)


class Help(ModalScreen[None]):
    """What the keys do."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,q,enter", "dismiss", "Close")]
    CSS = """
    Help { align: center middle; }
    Help > VerticalScroll { width: 72; max-width: 96%; height: auto; max-height: 100%; padding: 1 2;
                            background: $surface; border: round $primary; border-title-align: left; }
    """

    def compose(self) -> ComposeResult:
        """A table of keys."""
        table = Table.grid(padding=(0, 3))
        table.add_column(style="bold", no_wrap=True)
        table.add_column()
        for keys, what in KEYS:
            table.add_row(keys, what)
        with VerticalScroll() as shown:
            yield Static(table)
        shown.border_title = "keys"
