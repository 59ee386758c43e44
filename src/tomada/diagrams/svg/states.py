"""A state diagram as SVG: what may happen, and in colour the path that was taken."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from tomada.diagrams.amounts import count_text
from tomada.diagrams.checking import check
from tomada.diagrams.cleaning import cleaned
from tomada.diagrams.summary import states_summary
from tomada.diagrams.svg.document import (
    SMALL_CELL,
    Document,
    element,
    group,
    number,
    path,
    rectangle,
    words,
)
from tomada.diagrams.svg.layers import Edge, Layers
from tomada.diagrams.svg.palette import Theme
from tomada.diagrams.svg.top import MARGIN, Top, draw_top

if TYPE_CHECKING:
    from tomada.diagrams.model import Place, StateDiagram, Transition

_LONGEST: Final = 30
"""Letters of a name that are drawn."""
_BOX: Final = 40.0
_LINE: Final = 15.0
_GAP: Final = 22.0
"""Between two ranks: there the arrows bend."""
_ENOUGH: Final = 3
"""An end that so many states share in the same way is told once, in words."""
_LEAST: Final = 560.0


def states_svg(diagram: StateDiagram, *, theme: Theme = Theme.AUTO) -> str:
    """The state diagram as an SVG file: states from top to bottom, the path taken numbered and highlighted.

    Ways to an end that many states have in common and that were not taken are told in words below the picture.

    Raises:
        DrawingError: The diagram does not fit together.
    """
    check(diagram)
    return _Drawing(cleaned(diagram), theme).write()


class _Drawing:
    def __init__(self, diagram: StateDiagram, theme: Theme) -> None:
        self.diagram = diagram
        self.places = {place.name: place for place in diagram.places}
        drawn, self.told = _common_ends(diagram)
        self.moves: dict[tuple[str, str], list[Transition]] = defaultdict(list)
        for move in sorted(drawn, key=lambda move: (not move.taken, move.order)):
            self.moves[move.source, move.target].append(move)
        self.loops = {source: moves for (source, target), moves in self.moves.items() if source == target}
        edges = [Edge(*ends, self._label_width(moves)) for ends, moves in self.moves.items()]
        finals = [place.name for place in diagram.places if place.is_final]
        self.layers = Layers({name: self._box_width(name) for name in self.places}, diagram.start, edges, finals)
        self.tops: list[float] = []
        self.heights: list[float] = []
        summary = states_summary(diagram)
        self.document = Document(diagram.title, f"State diagram: {summary}.", theme)
        self.width = max(_LEAST, self.layers.width + 2 * MARGIN + 20)
        self.left = (self.width - self.layers.width) / 2
        top = draw_top(self.document, Top(title=diagram.title, summary=summary, notes=diagram.notes), self.width)
        self.bottom = self._rank(top + 30)

    def _box_width(self, name: str) -> float:
        ways = sum(name in ends for ends in self.moves)
        loops = self.loops.get(name, [])
        beside = 2 * (self._label_width(loops) + 30) if loops else 0
        return max(words(name[:_LONGEST]).width + 40, 104.0, 12.0 * ways) + beside

    @staticmethod
    def _label_width(moves: list[Transition]) -> float:
        return max(
            (words(_said(move), "", SMALL_CELL).width + (_badge(move) + 9 if move.taken else 8) for move in moves),
            default=0.0,
        )

    def _rank(self, top: float) -> float:
        """Give each rank its place; the lower edge of the last one."""
        tall: dict[int, float] = defaultdict(lambda: 2.0)
        for edge in self.layers.edges:
            rank = self.layers.knots[edge.knots[1]].rank
            tall[rank] = max(tall[rank], _LINE * len(self.moves[edge.source, edge.target]) + 2)
        for rank in range(len(self.layers.ranks)):
            self.tops.append(top)
            self.heights.append(tall[rank] if rank % 2 else _BOX)
            top += self.heights[-1] + _GAP
        return top - _GAP

    def write(self) -> str:
        for edge in sorted(self.layers.edges, key=self._is_taken):
            self.document.add(self._edge(edge))
        self.document.add(self._start())
        for place in self.diagram.places:
            self.document.add(self._place(place))
        bottom = self._tell(self.bottom + 24)
        return self.document.write(self.width, bottom + 12, "states")

    def _x(self, knot: int) -> float:
        return self.left + self.layers.knots[knot].x

    def _is_taken(self, edge: Edge) -> bool:
        return any(move.taken for move in self.moves[edge.source, edge.target])

    def _port(self, edge: Edge, *, is_upper: bool) -> float:
        """Where on its state's edge an arrow begins or ends, so that arrows stand apart."""
        state, near = (edge.knots[0], edge.knots[1]) if is_upper else (edge.knots[-1], edge.knots[-2])
        knot = self.layers.knots[state]
        others = sorted(set(knot.below if is_upper else knot.above), key=lambda other: self.layers.knots[other].x)
        step = min(18.0, (knot.width - 24) / max(1, len(others)))
        return self._x(state) + step * (others.index(near) - (len(others) - 1) / 2)

    def _edge(self, edge: Edge) -> str:
        """Through its knots, straight within the ranks and bent between them."""
        xs = [self._port(edge, is_upper=True), *map(self._x, edge.knots[1:-1]), self._port(edge, is_upper=False)]
        ranks = [self.layers.knots[knot].rank for knot in edge.knots]
        begin, end = self.tops[ranks[0]] + _BOX, self.tops[ranks[-1]]
        tip, way = (begin, -1) if edge.is_back else (end, 1)
        data = f"M{number(xs[0])} {number(begin + (7 if edge.is_back else 0))}"
        y = begin
        for at, rank in enumerate(ranks[1:], start=1):
            to = self.tops[rank] - (7 if at == len(xs) - 1 and not edge.is_back else 0)
            middle, before, here = number((y + to) / 2), number(xs[at - 1]), number(xs[at])
            data += f"C{before} {middle} {here} {middle} {here} {number(to)}"
            if at < len(xs) - 1:
                y = self.tops[rank] + self.heights[rank]
                data += f"V{number(y)}"
        is_taken = self._is_taken(edge)
        style = "begin" if is_taken else "none"
        x = xs[0] if edge.is_back else xs[-1]
        arrow = path(f"M{number(x)} {number(tip)}l-4.5 {-8 * way}h9z", f"head way-{style}")
        label = self._label(edge, self._x(edge.knots[1]), self.tops[ranks[1]])
        return group(
            [path(data, f"run way-{style}"), arrow, label],
            class_="transition taken" if is_taken else "transition",
            data_source=edge.source,
            data_target=edge.target,
        )

    def _label(self, edge: Edge, x: float, top: float) -> str:
        moves = self.moves[edge.source, edge.target]
        height = _LINE * len(moves) + 2
        width = self._label_width(moves)
        lines = [rectangle(x - width / 2, top, width, height, "paper")]
        for line, move in enumerate(moves):
            lines.append(_written(move, x, top + _LINE * line + 11.5))
        return group(lines, class_="label")

    def _start(self) -> str:
        knot = self.layers.states[self.diagram.start]
        x, y = self._x(knot), self.tops[self.layers.knots[knot].rank]
        dot = element("circle", cx=x, cy=y - 26, r=5, class_="ink")
        return group(
            [
                dot,
                path(f"M{number(x)} {number(y - 21)}V{number(y - 7)}", "run way-begin"),
                path(f"M{number(x)} {number(y)}l-4.5 -8h9z", "head way-begin"),
            ],
            class_="start",
        )

    def _place(self, place: Place) -> str:
        knot = self.layers.states[place.name]
        loops = self.loops.get(place.name, [])
        width = self.layers.knots[knot].width - (2 * (self._label_width(loops) + 30) if loops else 0)
        x, y = self._x(knot) - width / 2, self.tops[self.layers.knots[knot].rank]
        is_current = place.name == self.diagram.current
        kind = "current" if is_current else "visited" if place.visits else "idle"
        drawn = [rectangle(x, y, width, _BOX, f"box {kind}", 9)]
        if place.is_final:
            drawn.append(rectangle(x + 3, y + 3, width - 6, _BOX - 6, f"inner {kind}", 6))
        said = " · ".join(
            filter(None, ("now" if is_current else "", count_text(place.visits, "visit") if place.visits else ""))
        )
        name = words(place.name).within(words("m" * _LONGEST).width)
        drawn.append(name.draw(x + width / 2, y + (18 if said else 24), f"name strong {kind}", "middle"))
        if said:
            drawn.append(words(said, "", SMALL_CELL).draw(x + width / 2, y + 31, f"name {kind}", "middle"))
        drawn += self._loop(loops, x + width, y)
        tooltip = "\n".join(text for text in (place.name, place.meaning) if text)
        return group(drawn, tooltip=tooltip, class_=f"place {kind}", data_place=place.name)

    @staticmethod
    def _loop(moves: list[Transition], x: float, y: float) -> list[str]:
        if not moves:
            return []
        style = "begin" if any(move.taken for move in moves) else "none"
        drawn = [path(f"M{number(x)} {number(y + 10)}h8q10 0 10 10t-10 10h-2", f"run way-{style}")]
        drawn.append(path(f"M{number(x)} {number(y + 30)}l8 -4.5v9z", f"head way-{style}"))
        for line, move in enumerate(moves):
            beside = _badge(move) + 9 if move.taken else 0
            middle = x + 24 + (words(_said(move), "", SMALL_CELL).width + beside) / 2
            drawn.append(_written(move, middle, y + 24 + _LINE * line))
        return drawn

    def _tell(self, y: float) -> float:
        """The ends that many states share, in words."""
        room = self.width - 2 * MARGIN
        for line, (text, target, sources) in enumerate(self.told):
            if line == 0:
                title = words("Also possible, and not taken:", "", SMALL_CELL)
                self.document.add(title.draw(MARGIN, y, "time strong"))
            y += 17
            said = words(f"{text} → {target}, from {', '.join(sources)}", "", SMALL_CELL).within(room)
            tooltip = f"{text} → {target}, from {', '.join(sources)}"
            self.document.add(group([said.draw(MARGIN, y, "time")], tooltip=tooltip, class_="told"))
        return y


def _said(move: Transition) -> str:
    text = move.text if len(move.text) <= _LONGEST else f"{move.text[:_LONGEST]}…"
    return f"{text} ×{move.taken:,}" if move.taken > 1 else text


def _written(move: Transition, x: float, y: float) -> str:
    """The text of a transition around `x`, with its place in the path."""
    said = words(_said(move), "", SMALL_CELL)
    if not move.taken:
        return group([said.draw(x, y, "time", "middle")], tooltip=move.text)
    wide = _badge(move)
    begin = x - (said.width + wide + 5) / 2
    badge = rectangle(begin, y - 11.1, wide, 15, "badge", 7.5)
    order = words(str(move.order), "", 5.5).draw(begin + wide / 2, y - 0.4, "order sans strong", "middle")
    return group([badge, order, said.draw(begin + wide + 5, y, "title strong")], tooltip=move.text)


def _badge(move: Transition) -> float:
    """How wide the sign is that has its place in the path."""
    return max(15.0, 6.5 * len(str(move.order)) + 6)


def _common_ends(diagram: StateDiagram) -> tuple[list[Transition], list[tuple[str, str, list[str]]]]:
    """The transitions to draw, and those to tell: what, where to, and from where."""
    finals = {place.name for place in diagram.places if place.is_final}
    ends: dict[tuple[str, str], list[Transition]] = defaultdict(list)
    for move in diagram.transitions:
        if move.target in finals and not move.taken:
            ends[move.text, move.target].append(move)
    shared = {ends_: moves for ends_, moves in ends.items() if len(moves) >= _ENOUGH}
    told = [(text, target, [move.source for move in moves]) for (text, target), moves in shared.items()]
    gone = {id(move) for moves in shared.values() for move in moves}
    return [move for move in diagram.transitions if id(move) not in gone], told
