"""A table that is shown anew twice a second without flicker, and keeps its cursor on the row that was chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from rich.text import Text
from textual.binding import Binding
from textual.message import Message
from textual.widgets import DataTable

from tomada.cli.top import headings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.binding import BindingType

    from tomada.cli.top.headings import Heading


MOST_ROWS: Final = 500
"""Types, workers and strikes beyond that are not shown: no honest server has so many."""


class LiveTable(DataTable[Text]):
    """Rows of one kind, sorted by one of their columns.

    Only cells whose text is another one are drawn anew. Once somebody has moved the cursor, it stays with its row
    wherever that goes; before that it stays at the top.

    Args:
        columns: What there is to show.
        key: What tells one row from another.
        order: The column that they are sorted by at first.
        descending: Whether the greatest comes first.
        sorts: Whether the table sorts what it is given; otherwise that is sorted already.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("less_than_sign", "sort_by(-1)", "Sort", key_display="< >"),
        Binding("greater_than_sign", "sort_by(1)", "Sort by the next column", show=False),
        Binding("r", "reverse", "Reverse", show=False),
    ]

    class Sorted(Message):
        """The rows are to be sorted otherwise."""

        def __init__(self, table: LiveTable) -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> LiveTable:
            """Whose rows."""
            return self.table

    def __init__(
        self,
        columns: Sequence[Heading],
        key: Callable[[Any], str],
        *,
        id: str,  # noqa: A002 - as Textual's widgets have it
        order: str,
        descending: bool = False,
        sorts: bool = True,
    ) -> None:
        super().__init__(id=id, cursor_type="row", zebra_stripes=True)
        self.order = order
        self.descending = descending
        self.rows_shown: list[Any] = []
        self._headings = columns
        self._key = key
        self._sorts = sorts
        self._cells: list[list[tuple[str, str]]] = []
        self._placed = 0
        self._followed: str | None = None

    def on_mount(self) -> None:
        """Its columns are there before its rows."""
        self._add_columns()

    @property
    def chosen(self) -> Any | None:
        """The row under the cursor."""
        at = self.cursor_row
        return self.rows_shown[at] if 0 <= at < len(self.rows_shown) else None

    def show(self, rows: Sequence[Any]) -> None:
        """Show `rows` in place of those before."""
        if not self.columns:
            return  # it is not mounted yet; the next picture comes soon
        self._notice_cursor()
        rows = rows[:MOST_ROWS]
        rows = headings.in_order(rows, self.order, descending=self.descending) if self._sorts else list(rows)
        for at, row in enumerate(rows):
            self._show_row(at, row)
        for at in range(len(rows), len(self._cells)):
            self.remove_row(str(at))
        del self._cells[len(rows) :]
        self.rows_shown = rows
        self._place_cursor()

    def sort_by(self, column: str) -> None:
        """Sort by a column; by the same one again turns the order round."""
        self.descending = not self.descending if column == self.order else column not in ("peer", "name", "number")
        self.order = column
        self._add_columns()
        self.show(self.rows_shown)
        self.post_message(self.Sorted(self))

    def action_sort_by(self, step: int) -> None:
        """Sort by the column at the left or right of the present one."""
        names = [heading.name for heading in self._headings]
        self.sort_by(names[(names.index(self.order) + step) % len(names)])

    def action_reverse(self) -> None:
        """Turn the order round."""
        self.sort_by(self.order)

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        """A heading was clicked."""
        if event.column_key.value is not None:
            self.sort_by(event.column_key.value)

    def _add_columns(self) -> None:
        """The headings, one of which says how the rows are sorted."""
        self._notice_cursor()
        scrolled = self.scroll_x, self.scroll_y
        self.clear(columns=True)
        self._cells = []
        self._placed = self.cursor_row
        for heading in self._headings:
            self.add_column(self._title(heading), width=heading.width, key=heading.name)
        if self.rows_shown:
            self.show(self.rows_shown)
        self.scroll_to(*scrolled, animate=False)

    def _title(self, heading: Heading) -> Text:
        mark = ("▼" if self.descending else "▲") if heading.name == self.order else ""
        words = heading.title + mark if heading.is_text else f"{mark}{heading.title}"
        return Text(words.ljust(heading.width) if heading.is_text else words.rjust(heading.width))

    def _show_row(self, at: int, row: Any) -> None:
        cells = [(heading.text(row), headings.style(row, heading)) for heading in self._headings]
        if at == len(self._cells):
            self.add_row(*(self._text(*cell, heading) for cell, heading in self._with_headings(cells)), key=str(at))
            self._cells.append(cells)
            return
        for (cell, heading), before in zip(self._with_headings(cells), self._cells[at], strict=True):
            if cell != before:
                self.update_cell(str(at), heading.name, self._text(*cell, heading))
        self._cells[at] = cells

    def _with_headings(self, cells: list[tuple[str, str]]) -> list[tuple[tuple[str, str], Heading]]:
        return list(zip(cells, self._headings, strict=True))

    @staticmethod
    def _text(words: str, style: str, heading: Heading) -> Text:
        justify = "left" if heading.is_text else "right"
        return Text(words, style=style, justify=justify, overflow="ellipsis", no_wrap=True)  # type: ignore[arg-type]

    def _notice_cursor(self) -> None:
        """Follow the row that the cursor was moved to since it was placed."""
        if self.cursor_row != self._placed and self.chosen is not None:
            self._followed = self._key(self.chosen)
            self._placed = self.cursor_row

    def _place_cursor(self) -> None:
        keys = [self._key(row) for row in self.rows_shown]
        if self._followed in keys:
            at = keys.index(self._followed)
            if at != self.cursor_row:
                self.move_cursor(row=at, animate=False)
        else:
            self._followed = None
        self._placed = self.cursor_row
