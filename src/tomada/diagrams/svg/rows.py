"""Which rows a sequence diagram has, and which lanes are busy in each."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import msgspec

from tomada.diagrams.moments import Bit, Moment, Part, label_of, moments_of, payload_of
from tomada.diagrams.svg.document import SMALL_CELL, Words

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Sequence as Listed

    from tomada.diagrams.picture import Picture

LONG_GAP: Final = 0.1
"""After so many seconds nothing stands on the row of what was before."""


class Row(msgspec.Struct):
    """One row: a moment, or two where bytes came at once."""

    moments: list[Moment]
    payload: Words | None = None
    """What stands on the arrows that begin here."""
    states: dict[int, str] = {}
    """The lanes whose state is another one from here on."""


class Route(msgspec.Struct):
    """Where an arrow runs: along the row of its source, then down beside the lane of its target."""

    arrows: list[int]
    begin: int
    """The row in which it begins."""
    end: int
    source: int
    """The lane from which it comes."""
    target: int
    slot: int = 0
    """Of several that wait beside a lane, which one, from the lane."""


class Rows:
    """All rows of a picture."""

    def __init__(self, picture: Picture) -> None:
        self.sequence = picture.sequence
        self.steps = self.sequence.steps
        self.sent: dict[int, list[int]] = defaultdict(list)
        self.met: set[int] = set()
        for number, arrow in enumerate(self.sequence.arrows):
            if self.steps[arrow.source].lane != self.steps[arrow.target].lane:
                self.sent[arrow.source].append(number)
                self.met.add(arrow.target)
        self.moments = moments_of(self.sequence)
        self.rows: list[Row] = []
        self.begins: dict[int, int] = {}
        """The row in which a step begins."""
        self.ends: dict[int, int] = {}
        """The row in which a step ends; without one it goes on to the bottom."""

    def label(self, moment: Moment) -> Words:
        """What stands beside a moment."""
        step = self.steps[moment.step]
        has_arrow = moment.step in self.sent or moment.step in self.met
        return spelled(label_of(step, moment.part, size=not has_arrow, data=not has_arrow))

    def arrange(self, places: dict[int, float]) -> None:
        """Put the moments into rows, given where the lanes stand."""
        for moment in self.moments:
            if not self._joins(moment, places):
                self.rows.append(Row([]))
            row = len(self.rows) - 1
            self.rows[row].moments.append(moment)
            if moment.part is not Part.END:
                self.begins[moment.step] = row
            if moment.part is not Part.BEGIN:
                self.ends[moment.step] = row
        for step, numbers in self.sent.items():
            bits = payload_of(self.sequence, step, numbers)
            if bits:
                self.rows[self.begins[step]].payload = spelled(bits, SMALL_CELL)
        self._mark_states()

    def _joins(self, moment: Moment, places: dict[int, float]) -> bool:
        """Whether bytes come while the row of who sent them is still the last one, and both labels have room there."""
        if not self.rows or len(self.rows[-1].moments) > 1:
            return False
        before = self.rows[-1].moments[0]
        if moment.at - before.at >= LONG_GAP or before.part is Part.END:
            return False
        arrows = (self.sequence.arrows[number] for number in self.sent.get(before.step, ()))
        is_end = moment.part is Part.END
        if not any(arrow.target == moment.step and arrow.at_begin is not is_end for arrow in arrows):
            return False
        here, there = places[self.steps[moment.step].lane], places[self.steps[before.step].lane]
        left = moment if here < there else before
        return self.label(left).width + 44 < abs(here - there)

    def _mark_states(self) -> None:
        states: dict[int, str] = {}
        for row in self.rows:
            changed: dict[int, str] = {}
            for moment in row.moments:
                step = self.steps[moment.step]
                if moment.part is not Part.BEGIN and step.state and states.get(step.lane) != step.state:
                    changed[step.lane] = states[step.lane] = step.state
            row.states = changed

    def bars(self) -> Iterable[tuple[int, int, int | None]]:
        """Steps that wait over several rows, with those; None: to the bottom."""
        for moment in self.moments:
            if moment.part is Part.BEGIN:
                yield moment.step, self.begins[moment.step], self.ends.get(moment.step)

    def routes(self) -> list[Route]:
        """Where the arrows run; those with the same way share one."""
        found: dict[tuple[int, int, int, int], Route] = {}
        for source, numbers in self.sent.items():
            for number in numbers:
                arrow = self.sequence.arrows[number]
                target, begin = arrow.target, self.begins[source]
                end = self.begins[target] if arrow.at_begin else self.ends.get(target, self.begins[target])
                lanes = self.steps[source].lane, self.steps[target].lane
                route = found.setdefault((begin, end, *lanes), Route([], begin, end, *lanes))
                route.arrows.append(number)
        return _slotted([*found.values()])


def _slotted(routes: list[Route]) -> list[Route]:
    """The routes, with those apart that are beside the same lane at the same time."""
    taken: dict[int, list[int]] = defaultdict(list)
    for route in sorted(routes, key=lambda route: (min(route.begin, route.end), max(route.begin, route.end))):
        first, last = sorted((route.begin, route.end))
        ends = taken[route.target]
        route.slot = next((slot for slot, end in enumerate(ends) if end < first), len(ends))
        ends[route.slot : route.slot + 1] = [last]
    return routes


def spelled(bits: Listed[Bit], cell: float = 0) -> Words:
    """A label: its parts joined by signs that tell what they are."""
    parts: list[tuple[str, str]] = []
    for bit in bits:
        text = f"“{bit.text}”" if bit.kind == "data" else bit.text
        if parts:
            text = f" → {text}" if bit.kind == "result" and parts[-1][1] == "call" else f"  {text}"
        parts.append((text, bit.kind))
    return Words(tuple(parts), cell) if cell else Words(tuple(parts))


def busy_lanes(rows: Rows, routes: Iterable[Route]) -> list[set[int]]:
    """For each row the lanes over which no label may run."""
    count = len(rows.rows)
    busy: list[set[int]] = [set() for _ in range(count)]
    for number, row in enumerate(rows.rows):
        busy[number].update(rows.steps[moment.step].lane for moment in row.moments)
    for step, begin, end in rows.bars():
        for number in range(begin, count if end is None else end + 1):
            busy[number].add(rows.steps[step].lane)
    for route in routes:
        first, last = sorted((route.begin, route.end))
        for number in range(first, last + 1):
            busy[number].add(route.target)
    return busy
