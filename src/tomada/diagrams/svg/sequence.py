"""A sequence diagram as SVG: a lane for each socket, a row for each call, arrows where bytes came from."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from tomada.diagrams.amounts import Clock, bytes_text, duration_text
from tomada.diagrams.checking import check
from tomada.diagrams.model import Tone
from tomada.diagrams.moments import Part
from tomada.diagrams.picture import MOST_STEPS, picture_of
from tomada.diagrams.summary import lasted, sequence_summary
from tomada.diagrams.svg.columns import Columns
from tomada.diagrams.svg.document import SMALL_CELL, Document, group, head, number, path, rectangle, words
from tomada.diagrams.svg.marks import mark
from tomada.diagrams.svg.palette import Theme
from tomada.diagrams.svg.rows import LONG_GAP, Rows, busy_lanes
from tomada.diagrams.svg.top import Top, draw_top

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tomada.diagrams.model import Sequence
    from tomada.diagrams.moments import Moment
    from tomada.diagrams.picture import Picture
    from tomada.diagrams.svg.rows import Route, Row

HEADER_EVERY: Final = 40
_ABOVE: Final = 16
"""From the upper edge of a row to its line."""
_BELOW: Final = 9
_RAISED: Final = 4
_PAYLOAD: Final = 12
_STATE: Final = 20
_BAND: Final = 44
_BAR: Final = 9
_PILL: Final = 110.0


def sequence_svg(sequence: Sequence, *, theme: Theme = Theme.AUTO, most: int = MOST_STEPS) -> str:
    """The sequence as an SVG file.

    Args:
        sequence: What happened.
        theme: The background for which it is drawn; the viewer's own unless one is named.
        most: Steps that are drawn; the middle of longer sequences is left out, and said to be.

    Raises:
        DrawingError: The sequence does not fit together.
    """
    check(sequence)
    return picture_svg(sequence, picture_of(sequence, most=most), theme)


def picture_svg(whole: Sequence, picture: Picture, theme: Theme = Theme.AUTO) -> str:
    """The SVG file of a picture of `whole` that is made already."""
    return _Drawing(whole, picture, theme).write()


class _Drawing:
    def __init__(self, whole: Sequence, picture: Picture, theme: Theme) -> None:
        self.picture = picture
        self.sequence = picture.sequence
        self.steps = self.sequence.steps
        self.rows = Rows(picture)
        self.clock = Clock.over(lasted(self.sequence))
        self.columns = Columns(picture, self.rows, self.clock)
        self.rows.arrange(self.columns.places)
        self.routes = self.rows.routes()
        self.routes_at: dict[int, list[Route]] = defaultdict(list)
        for route in self.routes:
            self.routes_at[route.begin].append(route)
        self.busy = busy_lanes(self.rows, self.routes)
        self.met = {place for route in self.routes for place in self._waiting(route)}
        self.summary = sequence_summary(whole)
        self.document = Document(self.sequence.title, f"Sequence diagram: {self.summary}.", theme)
        self.lines: list[float] = []
        self.bands: list[tuple[float, str]] = []
        self.bottom = 0.0

    def write(self) -> str:
        said = Top(
            title=self.sequence.title,
            summary=self.summary,
            notes=self.sequence.notes,
            tones=frozenset(step.tone for step in self.steps),
            waits=any(step.count == 1 and (step.is_blocked or step.ended is None) for step in self.steps),
            later=any(route.begin < route.end for route in self.routes),
            above=any(route.begin > route.end for route in self.routes),
        )
        top = draw_top(self.document, said, self.columns.width)
        self._place(top + self.columns.height)
        self.document.add(self.columns.header(top))
        self._lifelines(top + self.columns.height)
        for y, text in self.bands:
            self.document.add(self._band(y, text))
        for step, begin, end in self.rows.bars():
            self.document.add(self._bar(step, begin, end))
        for route in self.routes:
            self.document.add(self._route(route))
        for number_, row in enumerate(self.rows.rows):
            self.document.add(*self._row(number_, row))
        return self.document.write(self.columns.width, self.bottom + 20, "sequence")

    def _place(self, top: float) -> None:
        """Give each row its line."""
        is_cut = self.picture.cut is None
        for number_, row in enumerate(self.rows.rows):
            if not is_cut and self.picture.cut is not None and row.moments[0].step >= self.picture.cut:
                is_cut = True
                self.bands.append((top, self.picture.missing))
                top += _BAND
            elif number_ and number_ % HEADER_EVERY == 0:
                self.bands.append((top, ""))
                top += _BAND
            top += _RAISED if self._is_raised(number_, row) else 0
            self.lines.append(top + _ABOVE)
            top += _ABOVE + _BELOW + (_PAYLOAD if row.payload else 0) + (_STATE if row.states else 0)
        self.bottom = top + 8

    def _waiting(self, route: Route) -> Iterable[tuple[int, int, int]]:
        """The rows in which bytes wait beside a lane, where there may be labels; and on which side: 1 is the right."""
        if route.begin != route.end:
            first, last = sorted((route.begin, route.end))
            way = 1 if self.columns.places[route.source] > self.columns.places[route.target] else -1
            yield from ((number_, route.target, way) for number_ in range(first, last + 1))

    def _lifelines(self, top: float) -> None:
        first: dict[int, float] = {}
        last: dict[int, float] = {}
        for y, row in zip(self.lines, self.rows.rows, strict=True):
            for moment in row.moments:
                lane = self.steps[moment.step].lane
                first.setdefault(lane, y)
                last[lane] = y
        for step, _, end in self.rows.bars():
            if end is None:
                last[self.steps[step].lane] = self.bottom
        for lane, x in self.columns.places.items():
            begin, end_ = first.get(lane, self.bottom), last.get(lane, self.bottom)
            at = number(x)
            still = path(f"M{at} {number(top)}V{number(begin)}M{at} {number(end_)}V{number(self.bottom)}", "line still")
            lived = path(f"M{at} {number(begin)}V{number(end_)}", "line") if end_ > begin else ""
            self.document.add(group([still, lived], class_="lifeline", data_lane=lane))

    def _band(self, y: float, text: str) -> str:
        if not text:
            return self.columns.again(y, _BAND)
        said = words(f"⋯ {text} ⋯", "note").draw(self.columns.width / 2, y + _BAND / 2 + 4, anchor="middle")
        return group([rectangle(12, y + 8, self.columns.width - 24, _BAND - 16, "panel", 6), said], class_="cut")

    def _bar(self, step: int, begin: int, end: int | None) -> str:
        y = self.lines[begin]
        height = (self.bottom if end is None else self.lines[end]) - y
        x = self.columns.places[self.steps[step].lane]
        return rectangle(x - _BAR / 2, y, _BAR, height, "bar", 3)

    def _route(self, route: Route) -> str:
        """Along the row of the source, then down beside the target's lane, where the bytes wait to be taken.

        Where the target sums up several, of which the first came before, it leads up to that.
        """
        x, to = self.columns.places[route.source], self.columns.places[route.target]
        y, down = self.lines[route.begin], self.lines[route.end]
        way = 1 if to > x else -1
        tone = self._tone(route)
        begin, tip = x + 7 * way, to - 7 * way
        if y == down:
            drawn = [path(f"M{number(begin)} {number(y)}H{number(tip - 4 * way)}", f"arrow tone-{tone.value}")]
        else:
            beside = to - (16 + 5 * min(route.slot, 2)) * way
            bend, style = (5, "later") if down > y else (-5, "above")
            drawn = [
                path(
                    f"M{number(begin)} {number(y)}H{number(beside - 5 * way)}q{5 * way} 0 {5 * way} {bend}",
                    f"arrow tone-{tone.value}",
                ),
                path(f"M{number(beside)} {number(y + bend)}V{number(down)}", f"arrow {style} tone-{tone.value}"),
                path(f"M{number(beside)} {number(down)}H{number(tip - 4 * way)}", f"arrow tone-{tone.value}"),
            ]
        ends = " ".join(
            f"{arrow.source}-{arrow.target}" for arrow in map(self.sequence.arrows.__getitem__, route.arrows)
        )
        return group(
            [*drawn, head(tip, down, way, tone)],
            class_="way",
            data_ends=ends,
            data_lane=f"{route.source} {route.target}",
        )

    def _row(self, number_: int, row: Row) -> list[str]:
        y = self.lines[number_]
        drawn = [self._time(number_, row, y)]
        drawn += [self._moment(number_, moment, y) for moment in row.moments]
        if row.payload:
            drawn.append(self._payload(number_, row, y))
        pill = y + _BELOW + (_PAYLOAD if row.payload else 0) + 8
        drawn += [self._state(lane, state, pill) for lane, state in row.states.items()]
        return drawn

    def _time(self, number_: int, row: Row, y: float) -> str:
        at = row.moments[0].at
        gap = at - self.rows.rows[number_ - 1].moments[0].at if number_ else 0
        drawn = [words(self.clock.text(at), "time").draw(self.columns.time, y + 4, anchor="end")]
        if gap > 0:
            style = "wait strong" if round(gap, 6) >= LONG_GAP else "gap"
            drawn.append(words(f"+{duration_text(gap)}", style, SMALL_CELL).draw(self.columns.gap, y + 4, anchor="end"))
        return group(drawn, class_="when")

    def _moment(self, number_: int, moment: Moment, y: float) -> str:
        step = self.steps[moment.step]
        x = self.columns.places[step.lane]
        label = self.rows.label(moment)
        is_crossed = self._is_crossed(number_, step.lane)
        begin = self.columns.beside(step.lane, is_met=(number_, step.lane, 1) in self.met)
        room = self.columns.room(step.lane, self.busy[number_]) - begin
        drawn = []
        if step.is_blocked and step.count == 1 and moment.part is Part.WHOLE:
            drawn.append(rectangle(x - _BAR / 2, y - 10, _BAR, 20, "bar", 3))
        drawn.append(mark(x, y, step.tone))
        style = "label halo failed" if step.tone is Tone.FAILED else "label halo"
        drawn.append(label.within(room).draw(begin, y - 6.5 if is_crossed else y + 4, style))
        return group(
            drawn,
            tooltip=self._tooltip(moment),
            class_=f"step {moment.part.value} tone-{step.tone.value}",
            data_step=moment.step,
            data_lane=step.lane,
            data_count=step.count if step.count > 1 else "",
        )

    def _is_raised(self, number_: int, row: Row) -> bool:
        return any(self._is_crossed(number_, self.steps[moment.step].lane) for moment in row.moments)

    def _is_crossed(self, number_: int, lane: int) -> bool:
        """Whether an arrow runs where the label is."""
        x = self.columns.places[lane]
        ends = [self.columns.span(route.source, route.target) for route in self.routes_at[number_]]
        return any(left <= x < right for left, right in ends)

    def _payload(self, number_: int, row: Row, y: float) -> str:
        """What stands on the arrows of a row, below their line and beside who sent."""
        routes = self.routes_at[number_]
        lane = routes[0].source
        x = self.columns.places[lane]
        others = [self.columns.places[route.target] for route in routes]
        way = 1 if others[0] > x else -1
        near = [self.columns.places[busy] for busy in self.busy[number_] if (self.columns.places[busy] - x) * way > 0]
        beside = 34 if (number_, lane, way) in self.met else 14
        room = min(abs(place - x) for place in [*near, *others]) - 30 - beside
        text = row.payload.within(room) if row.payload else words("")
        anchor = "" if way > 0 else "end"
        return text.draw(x + beside * way, y + 13.5, f"halo payload tone-{self._tone(routes[0]).value}", anchor)

    def _tone(self, route: Route) -> Tone:
        return self.sequence.arrows[route.arrows[0]].tone

    def _state(self, lane: int, state: str, y: float) -> str:
        x = self.columns.places[lane]
        text = words(state, "state", SMALL_CELL).within(min(_PILL, self.columns.apart - 24))
        pill = rectangle(x - text.width / 2 - 8, y - 8, text.width + 16, 16, "panel edge", 8)
        drawn = [pill, text.draw(x, y + 3.6, anchor="middle")]
        return group(drawn, tooltip=f"now {state}", class_="state", data_lane=lane)

    def _tooltip(self, moment: Moment) -> str:
        """All that is known of a step, one thing a line."""
        step = self.steps[moment.step]
        lane = self.sequence.lanes[step.lane]
        lasted_ = "has not ended" if step.ended is None else f"took {duration_text(max(0.0, step.ended - step.begun))}"
        waited = ", waited" if step.is_blocked else ""
        lines = [
            f"{step.text}{f' → {step.result}' if step.result else ''}",
            f"{lane.group} · {lane.title}",
            f"began at {duration_text(step.begun)}, {lasted_}{waited}",
            f"{bytes_text(step.size)}{f': {step.data}' if step.data else ''}" if step.size or step.data else "",
            f"stands for {step.count:,} alike" if step.count > 1 else "",
            f"state: {step.state}" if step.state else "",
        ]
        return "\n".join(line for line in lines if line)
