"""A sequence diagram in the terminal: lanes as columns where they fit, else a list that names them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from tomada.diagrams.amounts import Clock, duration_text, size_text
from tomada.diagrams.checking import check
from tomada.diagrams.cleaning import shorten
from tomada.diagrams.model import Tone
from tomada.diagrams.moments import Bit, Moment, Part, arrives, label_of, moments_of
from tomada.diagrams.picture import picture_of
from tomada.diagrams.summary import lasted, sequence_summary
from tomada.diagrams.text.canvas import Canvas, written
from tomada.diagrams.text.lanes import Lanes

if TYPE_CHECKING:
    from tomada.diagrams.model import Arrow, Sequence, Step
    from tomada.diagrams.picture import Picture
    from tomada.diagrams.text.canvas import Line

HEADER_EVERY: Final = 40
LONG_GAP: Final = 0.1
"""After so many seconds without anything the picture says how long they were."""
MOST_STEPS: Final = 500


def sequence_text(
    sequence: Sequence, *, width: int = 100, colour: bool = False, ascii_only: bool = False, most: int = MOST_STEPS
) -> str:
    """The sequence as text of `width` columns, with a line end behind each line.

    Args:
        sequence: What happened.
        width: Columns of the terminal; a narrower one than 40 is drawn for as 40.
        colour: With the terminal's codes for colours. Nothing is said by colour alone.
        ascii_only: For terminals without line-drawing characters.
        most: Steps that are shown; the middle of longer sequences is left out, and said to be.

    Raises:
        DrawingError: The sequence does not fit together.
    """
    check(sequence)
    picture = picture_of(sequence, most=most)
    canvas = Canvas(width, colour=colour, ascii_only=ascii_only)
    canvas.heading(picture.sequence.title, sequence_summary(sequence))
    clock = Clock.over(lasted(picture.sequence))
    gutter = max([len(clock.unit), *(len(clock.text(step.begun)) for step in picture.sequence.steps)]) + 3
    lanes = Lanes(picture, canvas, gutter)
    drawn = _Columns(picture, canvas, clock, lanes) if lanes.fits else _List(picture, canvas, clock, lanes)
    drawn.draw()
    canvas.notes(picture.sequence.notes)
    return canvas.text()


class _Rows:
    """What both forms share: the rows in order, and what goes between them."""

    def __init__(self, picture: Picture, canvas: Canvas, clock: Clock, lanes: Lanes) -> None:
        self.picture = picture
        self.steps = picture.sequence.steps
        self.canvas = canvas
        self.clock = clock
        self.lanes = lanes
        self.states: dict[int, str] = {}
        self.sent = {arrow.source for arrow in picture.sequence.arrows}
        self.incoming: dict[int, list[Arrow]] = defaultdict(list)
        for arrow in picture.sequence.arrows:
            self.incoming[arrow.target].append(arrow)

    def draw(self) -> None:
        """All rows."""
        before: float | None = None
        is_cut = False
        for number, moment in enumerate(moments_of(self.picture.sequence)):
            if number % HEADER_EVERY == 0:
                self.header()
            if self.picture.cut is not None and not is_cut and moment.step >= self.picture.cut:
                is_cut = True
                self.between(f"{self.canvas.signs.dots} {self.picture.missing} {self.canvas.signs.dots}")
            elif before is not None and round(moment.at - before, 6) >= LONG_GAP:
                self.between("", gap=f"+{duration_text(moment.at - before)}")
            self.row(moment)
            before = moment.at

    def header(self) -> None:
        """What stands above the rows, and again every so often."""
        raise NotImplementedError

    def between(self, text: str, gap: str = "") -> None:
        """A line for what does not happen."""
        raise NotImplementedError

    def row(self, moment: Moment) -> None:
        """The lines of one moment."""
        raise NotImplementedError

    def label(self, moment: Moment) -> tuple[Bit, ...]:
        """What stands beside the moment, with the state where it is another one."""
        step = self.steps[moment.step]
        is_met = moment.step in self.incoming
        bits = label_of(step, moment.part, size=not is_met and moment.step not in self.sent, data=not is_met)
        if moment.part is not Part.BEGIN and step.state and self.states.get(step.lane) != step.state:
            self.states[step.lane] = step.state
            bits += (Bit("state", step.state),)
        return bits

    def arriving(self, moment: Moment) -> dict[int, tuple[str, Tone]]:
        """The arrows that end in a row: what stands on them, by the lane that they come from."""
        arrows: dict[int, list[Arrow]] = defaultdict(list)
        for arrow in self.incoming.get(moment.step, ()):
            if arrives(arrow, self.steps, moment.part):
                arrows[self.steps[arrow.source].lane].append(arrow)
        return {lane: self._payload(together) for lane, together in arrows.items()}

    def _payload(self, arrows: list[Arrow]) -> tuple[str, Tone]:
        size, count = sum(arrow.size for arrow in arrows), max(arrow.count for arrow in arrows)
        said = {self.steps[arrow.source].text for arrow in arrows}
        text = next((arrow.text for arrow in arrows if arrow.text and arrow.text not in said), "")
        parts = [f"×{count:,}" if count > 1 else "", text, size_text(size) if size else ""]
        if len(arrows) > 1 and count == 1:
            parts.append(f"of {len(arrows)} sends")
        return " ".join(part for part in parts if part), arrows[0].tone

    def sign(self, step: Step) -> str:
        """The mark of a step on its lane."""
        return self.canvas.signs.tones[step.tone]


class _Columns(_Rows):
    """A column for each lane."""

    def header(self) -> None:
        self.lanes.header(self.clock.unit)

    def between(self, text: str, gap: str = "") -> None:
        line = self.lanes.line()
        line.put(0, gap.rjust(self.lanes.gutter - 1), "faint")
        if text:
            line.put(self.lanes.gutter, shorten(f" {text} ", self.canvas.width - self.lanes.gutter), "note")

    def row(self, moment: Moment) -> None:
        step = self.steps[moment.step]
        self.lanes.begin(moment)
        arriving = self.arriving(moment)
        place = self.lanes.place(step.lane)
        from_left = [lane for lane in arriving if self.lanes.place(lane) < place]
        others = [lane for lane in arriving if self.lanes.place(lane) >= place]
        for lane in from_left[1:]:
            self.lanes.arrow(self.lanes.line(), lane, step.lane, *arriving[lane])
        line = self.lanes.line()
        line.put(0, self.clock.text(moment.at).rjust(self.lanes.gutter - 2), "faint")
        for lane in from_left[:1]:
            self.lanes.arrow(line, lane, step.lane, *arriving[lane])
        at = self.lanes.at(step.lane)
        line.put(at, self.sign(step), step.tone.value)
        self._label(line, step, self.label(moment))
        for lane in others:
            self.lanes.arrow(self.lanes.line(), lane, step.lane, *arriving[lane])
        self.lanes.end(moment)

    def _label(self, line: Line, step: Step, bits: tuple[Bit, ...]) -> None:
        at, end = self.lanes.at(step.lane) + 2, self.lanes.room(step.lane)
        for text, style in written(bits):
            short = shorten(text, end - at)
            at = line.put(at, short, _style(step, style))
            if short != text:
                return
        if at < end:
            line.put(at, " ")


class _List(_Rows):
    """A line for each moment, which names its lane by number."""

    is_begun = False

    def header(self) -> None:
        if self.is_begun:
            return
        self.is_begun = True
        for group, lanes in self.picture.columns:
            self.canvas.say(group, "group")
            for number in lanes:
                lane = self.picture.sequence.lanes[number]
                self.canvas.say(f"{number + 1:>4}  {' '.join(filter(None, (lane.title, lane.detail)))}")
        self.canvas.line()
        self.canvas.say(f"{self.clock.unit.rjust(self.lanes.gutter - 2)}  lane", "faint")

    def between(self, text: str, gap: str = "") -> None:
        self.canvas.say(f"{gap.rjust(self.lanes.gutter - 1)} {text}", "note" if text else "faint")

    def row(self, moment: Moment) -> None:
        step = self.steps[moment.step]
        line = self.canvas.line()
        line.put(0, self.clock.text(moment.at).rjust(self.lanes.gutter - 2), "faint")
        at = line.put(self.lanes.gutter, f"{step.lane + 1:>4} ", "group")
        is_waiting = moment.part is not Part.WHOLE
        line.put(at, self.canvas.signs.bar if is_waiting else "", "bar")
        at = line.put(at + 1, f"{self.sign(step)} ", step.tone.value)
        parts = [(text, _style(step, style)) for text, style in written(self.label(moment))]
        for lane, (text, tone) in self.arriving(moment).items():
            parts.append((f" {self.canvas.signs.to_left}{self.canvas.signs.across} {lane + 1}: {text}", tone.value))
        for text, style in parts:
            short = shorten(text, self.canvas.width - at)
            at = line.put(at, short, style)
            if short != text:
                return


def _style(step: Step, style: str) -> str:
    return "failed" if step.tone is Tone.FAILED and style in {"call", "result"} else style
