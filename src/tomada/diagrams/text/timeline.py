"""A timeline in the terminal: a line for each connection over the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tomada.diagrams.amounts import Clock, size_text
from tomada.diagrams.checking import check
from tomada.diagrams.cleaning import cleaned, squeeze, width_of
from tomada.diagrams.condense import condense
from tomada.diagrams.model import Tone
from tomada.diagrams.summary import timeline_summary
from tomada.diagrams.text.canvas import Canvas

if TYPE_CHECKING:
    from tomada.diagrams.model import Row, Timeline
    from tomada.diagrams.text.canvas import Line

MOST_ROWS: Final = 200
_TITLES: Final = 0.34
"""The part of the width for titles."""
_VOLUME: Final = 22
_ASCII_FILL: Final = {Tone.FAILED: "X", Tone.BEGIN: "~", Tone.END: "~", Tone.CONTROL: "."}
_FILL: Final = {Tone.FAILED: "╳", Tone.BEGIN: "░", Tone.END: "░", Tone.CONTROL: "╌"}


def timeline_text(
    timeline: Timeline, *, width: int = 100, colour: bool = False, ascii_only: bool = False, most: int = MOST_ROWS
) -> str:
    """The timeline as text of `width` columns, with a line end behind each line.

    Raises:
        DrawingError: The timeline does not fit together.
    """
    check(timeline)
    shown = cleaned(condense(timeline, most))
    canvas = Canvas(width, colour=colour, ascii_only=ascii_only)
    canvas.heading(shown.title, timeline_summary(timeline))
    chart = _Chart(shown, canvas, ascii_only=ascii_only)
    chart.axis()
    group = None
    for row in shown.rows:
        if row.group != group:
            group = row.group
            canvas.say(group, "group")
        chart.row(row)
    canvas.notes(shown.notes)
    return canvas.text()


class _Chart:
    """The columns of the picture: titles, time, volumes."""

    def __init__(self, timeline: Timeline, canvas: Canvas, *, ascii_only: bool) -> None:
        self._canvas = canvas
        self._ended = max(timeline.ended, 1e-9)
        titles = max((width_of(row.title) for row in timeline.rows), default=0) + 2
        self._begin = min(titles, int(canvas.width * _TITLES)) + 2
        self._cells = max(8, canvas.width - self._begin - _VOLUME)
        self._fill = _ASCII_FILL if ascii_only else _FILL
        self._full = "=" if ascii_only else "█"

    def _at(self, time: float) -> int:
        part = min(max(time / self._ended, 0.0), 1.0)
        return self._begin + min(self._cells - 1, int(part * self._cells))

    def axis(self) -> None:
        """The times above the rows."""
        clock = Clock.over(self._ended)
        line, ticks = self._canvas.line(), self._canvas.line()
        ticks.put(self._begin, self._canvas.signs.across * self._cells, "faint")
        for quarter in range(5):
            time = self._ended * quarter / 4
            text = clock.text(time) + (f" {clock.unit}" if quarter == 4 else "")  # noqa: PLR2004 - the last one
            at = self._at(time)
            ticks.put(at, self._canvas.signs.from_left if quarter < 4 else self._canvas.signs.from_right, "faint")  # noqa: PLR2004
            line.put(min(at, self._begin + self._cells + _VOLUME - width_of(text)), text, "faint")

    def row(self, row: Row) -> None:
        """One connection."""
        line = self._canvas.line()
        line.put(2, squeeze(row.title, self._begin - 3))
        for span in row.spans:
            begin, end = self._at(span.begun), self._at(self._ended if span.ended is None else span.ended)
            line.put(begin, self._fill.get(span.tone, self._full) * (end - begin + 1), span.tone.value)
        for mark in row.marks:
            line.put(self._at(mark.at), self._canvas.signs.tones[mark.tone], mark.tone.value)
        self._volume(line, row)

    def _volume(self, line: Line, row: Row) -> None:
        parts = [f"↑ {size_text(row.sent)}" if row.sent else "", f"↓ {size_text(row.received)}" if row.received else ""]
        at = self._begin + self._cells + 1
        line.put(at, parts[0], "faint")
        line.put(at + _VOLUME // 2, parts[1], "faint")
