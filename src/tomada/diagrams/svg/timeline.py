"""A timeline as SVG: a row for each connection, over the same time."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Final

from tomada.diagrams.amounts import count_text, duration_text, size_text
from tomada.diagrams.checking import check
from tomada.diagrams.cleaning import clean, cleaned
from tomada.diagrams.condense import MOST_ROWS, condense
from tomada.diagrams.summary import timeline_summary
from tomada.diagrams.svg.document import (
    SANS_CELL,
    SMALL_CELL,
    Document,
    Words,
    group,
    number,
    path,
    rectangle,
    squeezed,
    words,
)
from tomada.diagrams.svg.marks import mark
from tomada.diagrams.svg.palette import Theme
from tomada.diagrams.svg.top import MARGIN, Top, draw_top

if TYPE_CHECKING:
    from tomada.diagrams.model import Mark, Row, Span, Timeline

_TIME: Final = 640.0
"""How wide the whole of the time is."""
_VOLUME: Final = 190.0
_TITLE: Final = 340.0
_ROW: Final = 22.0
_HEADING: Final = 30.0
_AXIS_EVERY: Final = 40
_AXIS: Final = 26.0
_TICKS: Final = 7
"""About as many times stand on the axis."""


def timeline_svg(timeline: Timeline, *, theme: Theme = Theme.AUTO, most: int = MOST_ROWS) -> str:
    """The timeline as an SVG file.

    Args:
        timeline: The connections.
        theme: The background for which it is drawn; the viewer's own unless one is named.
        most: Rows that are drawn; of more, neighbours share one, and a note says so.

    Raises:
        DrawingError: The timeline does not fit together.
    """
    check(timeline)
    return _Drawing(timeline, cleaned(condense(timeline, most)), theme).write()


def ticks(seconds: float) -> list[float]:
    """Round times from 0 to `seconds`, about as many as an axis needs."""
    if seconds <= 0:
        return [0.0]
    rough = seconds / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    return [step * at for at in range(int(seconds / step * (1 + 1e-9)) + 1)]


class _Drawing:
    def __init__(self, whole: Timeline, timeline: Timeline, theme: Theme) -> None:
        self.timeline = timeline
        self.ended = max(timeline.ended, *(_last(row) for row in timeline.rows), 1e-9) if timeline.rows else 1e-9
        titles = max((words(row.title).width for row in timeline.rows), default=0.0)
        self.begin = MARGIN + 12 + min(_TITLE, titles) + 20
        self.volume = self.begin + _TIME + 24
        self.width = self.volume + _VOLUME + MARGIN
        self.most = max((max(row.sent, row.received) for row in timeline.rows), default=0)
        self.ticks = ticks(self.ended)
        self.members = Counter(clean(row.group) for row in whole.rows)
        summary = timeline_summary(whole)
        self.document = Document(timeline.title, f"Timeline: {summary}.", theme)
        tones = {span.tone for row in timeline.rows for span in row.spans}
        tones |= {each.tone for row in timeline.rows for each in row.marks}
        said = Top(title=timeline.title, summary=summary, notes=timeline.notes, tones=frozenset(tones))
        self.y = draw_top(self.document, said, self.width)

    def write(self) -> str:
        top = self.y
        self.y += _AXIS
        heading: str | None = None
        axes = [top]
        since = 0
        drawn: list[str] = []
        for index, row in enumerate(self.timeline.rows):
            if since >= _AXIS_EVERY:
                axes.append(self.y)
                self.y += _AXIS
                since = 0
            if row.group != heading:
                heading = row.group
                drawn.append(self._heading(heading))
            drawn.append(self._row(index, row))
            since += 1
        self._grid(top + _AXIS)
        self.document.add(*drawn, *(self._axis(y) for y in axes))
        return self.document.write(self.width, self.y + 16, "timeline")

    def _x(self, time: float) -> float:
        return self.begin + _TIME * min(max(time / self.ended, 0.0), 1.0)

    def _grid(self, top: float) -> None:
        lines = "".join(f"M{number(self._x(time))} {number(top)}V{number(self.y)}" for time in self.ticks)
        self.document.add(path(lines, "line still"))

    def _axis(self, y: float) -> str:
        drawn = [rectangle(MARGIN, y, self.width - 2 * MARGIN, _AXIS - 6, "panel", 5)]
        for time in self.ticks:
            text = words(_tick_text(time, self.ticks), "time", SMALL_CELL)
            drawn.append(text.draw(self._x(time), y + 14, anchor="middle"))
        drawn.append(words("sent · received", "time", SMALL_CELL).draw(self.volume, y + 14))
        return group(drawn, class_="axis")

    def _heading(self, name: str) -> str:
        rows = self.members[name]
        title = words(name, "", SANS_CELL).within(_TIME)
        if rows:
            title = Words((*title.parts, (f"  {count_text(rows, 'row')}", "time thin")), SANS_CELL)
        self.y += _HEADING
        return group([title.draw(MARGIN, self.y - 9, "group sans strong")], tooltip=name, class_="group-name")

    def _row(self, index: int, row: Row) -> str:
        y = self.y + _ROW / 2
        self.y += _ROW
        title = squeezed(row.title, self.begin - MARGIN - 12 - 12)
        drawn = [title.draw(MARGIN + 12, y + 4, "title")]
        drawn += [self._span(span, y, is_free=self._is_free(row, span)) for span in row.spans]
        drawn += [self._mark(each, y) for each in row.marks]
        drawn += self._volumes(row, y)
        tooltip = "\n".join([row.title, f"{row.sent:,} bytes sent, {row.received:,} bytes received"])
        return group(drawn, tooltip=tooltip, class_="row", data_row=index)

    def _end(self, span: Span) -> float:
        return self.ended if span.ended is None else span.ended

    def _is_free(self, row: Row, span: Span) -> bool:
        """Whether the name of a span has room on it, and nothing else stands there."""
        begin, end = self._x(span.begun), self._x(self._end(span))
        need = begin + 10 + words(span.text, "", SMALL_CELL).width
        others = [(self._x(other.begun), self._x(self._end(other))) for other in row.spans if other is not span]
        others += [(self._x(each.at) - 6, self._x(each.at) + 6) for each in row.marks]
        return need <= end and not any(left < need and right > begin + 3 for left, right in others)

    def _span(self, span: Span, y: float, *, is_free: bool) -> str:
        begin, end = self._x(span.begun), self._x(self._end(span))
        width = max(2.5, end - begin)
        bar = rectangle(begin, y - 6, width, 12, f"span tone-{span.tone.value}", 3)
        drawn = [bar]
        if span.ended is None:
            drawn.append(
                path(f"M{number(begin + width + 3)} {number(y - 4)}l5 4l-5 4z", f"head tone-{span.tone.value}")
            )
        if is_free:
            drawn.append(words(span.text, "on", SMALL_CELL).draw(begin + 5, y + 3.6))
        until = "goes on" if span.ended is None else f"to {duration_text(span.ended)}"
        tooltip = f"{span.text}, from {duration_text(span.begun)} {until}"
        return group(drawn, tooltip=tooltip, class_=f"period tone-{span.tone.value}")

    def _mark(self, each: Mark, y: float) -> str:
        sign = mark(self._x(each.at), y, each.tone)
        return group(
            [sign], tooltip=f"{each.text}, at {duration_text(each.at)}", class_=f"moment tone-{each.tone.value}"
        )

    def _volumes(self, row: Row, y: float) -> list[str]:
        """How much went each way: as a number, and as a bar on a scale by powers, since they differ by powers."""
        drawn = []
        half = _VOLUME / 2
        for at, size in ((self.volume, row.sent), (self.volume + half, row.received)):
            if size:
                width = (half - 10) * math.log1p(size) / math.log1p(max(self.most, 1))
                drawn.append(rectangle(at, y + 5, width, 3, "volume", 1.5))
                drawn.append(words(size_text(size), "time", SMALL_CELL).draw(at, y + 2))
        return drawn


def _last(row: Row) -> float:
    times = [span.begun if span.ended is None else span.ended for span in row.spans]
    return max([*times, *(each.at for each in row.marks)], default=0.0)


def _tick_text(time: float, all_ticks: list[float]) -> str:
    """The time on an axis, with as many decimals as tell it from its neighbours."""
    if len(all_ticks) == 1 or time == 0:
        return "0"
    step = all_ticks[1]
    units = (("s", 1.0), ("ms", 1e-3))
    unit, factor = next(((unit, factor) for unit, factor in units if step >= factor * 0.1), ("µs", 1e-6))
    decimals = 0 if step >= factor else 1
    return f"{time / factor:,.{decimals}f} {unit}"
