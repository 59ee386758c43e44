"""Where the lanes of a sequence diagram stand, and their headings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tomada.diagrams.amounts import duration_text
from tomada.diagrams.svg.document import CELL, SANS_CELL, SMALL_CELL, group, rectangle, squeezed, words

if TYPE_CHECKING:
    from tomada.diagrams.amounts import Clock
    from tomada.diagrams.model import Lane
    from tomada.diagrams.picture import Picture
    from tomada.diagrams.svg.rows import Rows

_NARROWEST: Final = 150.0
_WIDEST: Final = 280.0
_WIDEST_OF_MANY: Final = 215.0
_FEW: Final = 5
_LAST: Final = 400.0
"""The last lane may have so much: no other one has room for the rest of its labels."""
_LEAST: Final = 720.0
"""A picture is no narrower, so that its title and notes have room."""


class Columns:
    """The columns of one picture, from left to right: times, gaps, lanes."""

    height: Final = 66

    def __init__(self, picture: Picture, rows: Rows, clock: Clock) -> None:
        self._groups = picture.columns
        self._lanes = picture.sequence.lanes
        self._unit = clock.unit
        times = [clock.text(moment.at) for moment in rows.moments]
        gaps = [later.at - earlier.at for earlier, later in zip(rows.moments, rows.moments[1:], strict=False)]
        self.time = 20 + CELL * max(map(len, [*times, clock.unit]))
        """Where times end."""
        self.gap = self.time + 14 + SMALL_CELL * max((len(duration_text(gap)) + 1 for gap in gaps), default=0)
        """Where gaps end."""
        needs = self._needs(rows)
        self.apart = min(needs.values(), default=_NARROWEST)
        """The least distance of two lanes."""
        self.places: dict[int, float] = {}
        """Where the line of each lane is."""
        x = self.gap + 30
        for _, lanes in self._groups:
            for lane in lanes:
                self.places[lane] = x
                x += needs[lane]
        self.width = max(_LEAST, x + 20)

    def _needs(self, rows: Rows) -> dict[int, float]:
        order = [lane for _, lanes in self._groups for lane in lanes]
        met = self._met_from_right(rows, order)
        widest = _WIDEST if len(order) <= _FEW else _WIDEST_OF_MANY
        needs = {number: min(widest, self._lane_words(self._lanes[number])) for number in order}
        for moment in rows.moments:
            lane = rows.steps[moment.step].lane
            most = _LAST if lane == order[-1] else widest
            beside = 78 if lane in met else 56
            needs[lane] = max(needs[lane], min(most, rows.label(moment).width + beside))
        return {lane: max(_NARROWEST, need) for lane, need in needs.items()}

    @staticmethod
    def _met_from_right(rows: Rows, order: list[int]) -> set[int]:
        """The lanes to which bytes come from the right: they may have to wait where the labels are."""
        place = {lane: number for number, lane in enumerate(order)}
        ends = [(rows.steps[arrow.source].lane, rows.steps[arrow.target].lane) for arrow in rows.sequence.arrows]
        return {target for source, target in ends if place[source] > place[target]}

    @staticmethod
    def _lane_words(lane: Lane) -> float:
        return max(words(lane.title).width, words(lane.detail, "", SMALL_CELL).width) + 28

    def beside(self, lane: int, *, is_met: bool) -> float:
        """Where a label of that lane begins; right of where bytes from the right wait."""
        return self.places[lane] + (34 if is_met else 14)

    def room(self, lane: int, busy: set[int]) -> float:
        """Where a label of that lane must end: before the next lane that is busy in its row."""
        right = [self.places[other] for other in busy if self.places[other] > self.places[lane]]
        return min(right) - 34 if right else self.width - 14

    def span(self, one: int, other: int) -> tuple[float, float]:
        """Two lanes from left to right."""
        left, right = sorted((self.places[one], self.places[other]))
        return left, right

    def header(self, y: float) -> str:
        """Processes, and below them their lanes."""
        drawn = [words(self._unit, "time").draw(self.time, y + 50, anchor="end")]
        for number, (name, lanes) in enumerate(self._groups):
            begin, end = self._extent(number)
            heading = words(name, "", SANS_CELL).within(end - begin - 16)
            drawn += [
                rectangle(begin, y, end - begin, 24, "panel", 5),
                group([heading.draw(begin + 10, y + 16, "group sans strong")], tooltip=name, class_="group-name"),
            ]
            drawn += [self._title(lane, y, end) for lane in lanes]
        return group(drawn, class_="header")

    def _extent(self, number: int) -> tuple[float, float]:
        """From where to where the heading of a group goes."""
        begin = self.places[self._groups[number][1][0]] - 12
        if number + 1 == len(self._groups):
            return begin, self.width - 12
        return begin, self.places[self._groups[number + 1][1][0]] - 22

    def _title(self, number: int, y: float, end: float) -> str:
        lane, x, room = self._lanes[number], self.places[number], self._heading_room(number, end)
        drawn = [
            squeezed(lane.title, room).draw(x - 4, y + 41, "title strong"),
            squeezed(lane.detail, room, "", SMALL_CELL).draw(x - 4, y + 55, "time"),
        ]
        tooltip = "\n".join(text for text in (lane.group, lane.title, lane.detail) if text)
        return group(drawn, tooltip=tooltip, class_="lane", data_lane=number)

    def _heading_room(self, number: int, end: float) -> float:
        """From the line of a lane to the next lane, or to the end of its group."""
        x = self.places[number]
        return min([place for place in self.places.values() if place > x] + [end + 16]) - x - 10

    def again(self, y: float, height: float) -> str:
        """The headings once more, smaller, between rows."""
        drawn = [rectangle(12, y + 4, self.width - 24, height - 10, "panel", 5)]
        for number, (name, lanes) in enumerate(self._groups):
            begin, end = self._extent(number)
            drawn.append(words(name, "time", SMALL_CELL).within(end - begin - 10).draw(begin + 8, y + 17))
            for lane in lanes:
                title = squeezed(self._lanes[lane].title, self._heading_room(lane, end), "time", SMALL_CELL)
                drawn.append(title.draw(self.places[lane] - 4, y + 31))
        return group(drawn, class_="header again")
