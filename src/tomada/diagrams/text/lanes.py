"""Where the lanes of a sequence stand on a canvas, which of them are alive, and which wait."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from tomada.diagrams.cleaning import shorten, squeeze, width_of
from tomada.diagrams.moments import Part, label_of, moments_of, waits
from tomada.diagrams.text.canvas import written

if TYPE_CHECKING:
    from tomada.diagrams.model import Tone
    from tomada.diagrams.moments import Moment
    from tomada.diagrams.picture import Picture
    from tomada.diagrams.text.canvas import Canvas, Line

WIDEST: Final = 60
"""Columns for one lane."""
NARROWEST: Final = 14
"""With less room for each lane the sequence becomes a list."""
_SHORTEST: Final = 4
"""Cells of an arrow without a text."""


def shared(needs: dict[int, int], room: int) -> dict[int, int]:
    """How wide each lane is: as it needs, or where there is too little room no wider than others that need more."""
    level = max(needs.values(), default=0)
    while level > NARROWEST and sum(min(need, level) for need in needs.values()) > room:
        level -= 1
    return {lane: max(NARROWEST, min(need, level)) for lane, need in needs.items()}


class Lanes:
    """The columns of one sequence diagram."""

    def __init__(self, picture: Picture, canvas: Canvas, gutter: int) -> None:
        self.gutter = gutter
        self._canvas = canvas
        self._groups = picture.columns
        self._lanes = picture.sequence.lanes
        self._places = {
            lane: place for place, lane in enumerate(lane for _, lanes in picture.columns for lane in lanes)
        }
        self._alive: set[int] = set()
        self._waiting: Counter[int] = Counter()
        steps = picture.sequence.steps
        self._steps = steps
        self._left = Counter(steps[moment.step].lane for moment in moments_of(picture.sequence))
        self._left.update(step.lane for step in steps if waits(step) and step.ended is None)
        self.fits = canvas.width - gutter >= NARROWEST * len(self._places)
        """Whether each lane can be a column."""
        self._widths = shared(self._needs(picture), canvas.width - gutter)
        self._at: dict[int, int] = {}
        at = gutter
        for lane in self._places:
            self._at[lane] = at
            at += self._widths[lane]

    def _needs(self, picture: Picture) -> dict[int, int]:
        """What each lane would take; labels may run over lanes at their right, so the last one's count for more."""
        needs = {lane: min(24, width_of(self._lanes[lane].title) + 2) for lane in self._places}
        sent = {arrow.source for arrow in picture.sequence.arrows}
        met = {arrow.target for arrow in picture.sequence.arrows}
        for moment in moments_of(picture.sequence):
            step = self._steps[moment.step]
            bits = label_of(step, moment.part, size=moment.step not in sent | met, data=moment.step not in met)
            width = sum(width_of(text) for text, _ in written(bits)) + 4
            is_last = self._places[step.lane] == len(self._places) - 1
            needs[step.lane] = max(needs[step.lane], min(WIDEST, width if is_last else width * 3 // 4))
        return needs

    def place(self, lane: int) -> int:
        """Which column it is, from the left."""
        return self._places[lane]

    def at(self, lane: int) -> int:
        """The cell of its line."""
        return self._at[lane]

    def line(self) -> Line:
        """A new line of the canvas with the lines and bars of the lanes on it."""
        line = self._canvas.line()
        for lane in self._alive:
            is_waiting = self._waiting[lane] > 0
            sign = self._canvas.signs.bar if is_waiting else self._canvas.signs.line
            line.put(self.at(lane), sign, "bar" if is_waiting else "faint")
        return line

    def begin(self, moment: Moment) -> None:
        """A row for `moment` comes: its lane is alive."""
        self._alive.add(self._steps[moment.step].lane)

    def end(self, moment: Moment) -> None:
        """The row is drawn: its lane waits from here on, or no longer, or has no more rows."""
        lane = self._steps[moment.step].lane
        if moment.part is not Part.WHOLE:
            self._waiting[lane] += 1 if moment.part is Part.BEGIN else -1
        self._left[lane] -= 1
        if not self._left[lane]:
            self._alive.discard(lane)

    def room(self, lane: int) -> int:
        """The cell before which a label on that lane must end: there another lane waits, or the line ends."""
        right = (
            self.at(other) for other in self._alive if self.place(other) > self.place(lane) and self._waiting[other]
        )
        return min(right, default=self._canvas.width + 1) - 1

    def header(self, unit: str) -> None:
        """The headings of all columns."""
        self._canvas.gap()
        line = self._canvas.line()
        for group, lanes in self._groups:
            begin, span = self.at(lanes[0]), sum(self._widths[lane] for lane in lanes) - 1
            name = squeeze(group, span)
            after = line.put(begin, name, "group")
            line.put(after + 1, self._canvas.signs.across * (span - width_of(name) - 2), "faint")
        line, below = self._canvas.line(), self._canvas.line()
        below.put(0, unit.rjust(self.gutter - 2), "faint")
        for number, lane in enumerate(self._lanes):
            line.put(self.at(number), squeeze(lane.title, self._widths[number] - 1), "title")
            below.put(self.at(number), squeeze(lane.detail, self._widths[number] - 1), "faint")

    def arrow(self, line: Line, source: int, target: int, text: str, tone: Tone) -> None:
        """An arrow on `line` with what stands on it, as far as it fits."""
        signs, style = self._canvas.signs, tone.value
        begin, end = sorted((self.at(source), self.at(target)))
        if begin == end:
            line.put(begin + 2, f"{signs.to_left}{signs.across} {text}", style)
            return
        line.put(begin + 1, signs.across * (end - begin - 1), style)
        if self.at(source) < self.at(target):
            line.put(begin, signs.from_left, style)
            line.put(end - 1, signs.to_right, style)
        else:
            line.put(end, signs.from_right, style)
            line.put(begin + 1, signs.to_left, style)
        room = end - begin - 2 * _SHORTEST
        if text and room > _SHORTEST:
            line.put(begin + _SHORTEST - 1, f" {shorten(text, room)} ", style)
