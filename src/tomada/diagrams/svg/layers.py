"""Where the states of a diagram stand, and where its arrows run: a small layered layout.

Theory of operation (after Sugiyama, Tagawa and Toda, 1981): arrows that lead back are turned round while the layout is
made; then each state has as its rank the length of the longest way to it. States have the even ranks. An arrow has a
knot on every rank between its ends, and its label is the knot on the first odd one, so labels have places of their
own, which nothing else crosses. Within the ranks the order is chosen by sweeps towards the neighbours' average. The
places on a rank are those nearest to the neighbours' that keep all apart: a regression with pooled violators.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

APART: Final = 26.0
"""Between two knots of a rank."""
_BEND: Final = 8.0
_SWEEPS: Final = 12
_ROUNDS: Final = 120


class Knot(msgspec.Struct):
    """What has a place on a rank: a state, the label of an arrow, or a bend."""

    rank: int
    width: float
    order: float = 0
    x: float = 0
    """Of its middle."""
    is_bend: bool = False
    """Only an arrow passes there."""
    above: list[int] = []
    below: list[int] = []


class Edge(msgspec.Struct):
    """An arrow, with the knots through which it runs from rank to rank, downwards."""

    source: str
    target: str
    label: float
    """How wide its label is."""
    is_back: bool = False
    """It leads upwards: then its knots go from target to source."""
    knots: list[int] = []


class Layers:
    """The layout of one diagram."""

    def __init__(self, widths: dict[str, float], start: str, edges: list[Edge], finals: Iterable[str]) -> None:
        self.edges = [edge for edge in edges if edge.source != edge.target]
        self.knots: list[Knot] = []
        self.states: dict[str, int] = {}
        ranks = self._ranks(list(widths), start, set(finals))
        for name, width in widths.items():
            self.states[name] = self._knot(2 * ranks[name], width)
        for edge in self.edges:
            self._run(edge)
        self.ranks: list[list[int]] = [[] for _ in range(max((knot.rank for knot in self.knots), default=0) + 1)]
        for number, knot in enumerate(self.knots):
            self.ranks[knot.rank].append(number)
        self._sort()
        self._spread()

    def _knot(self, rank: int, width: float) -> int:
        self.knots.append(Knot(rank, width))
        return len(self.knots) - 1

    def _ranks(self, names: list[str], start: str, finals: set[str]) -> dict[str, int]:
        """The length of the longest way to each state; ends are at the bottom."""
        self._turn_back_round(names, start)
        ranks = dict.fromkeys(names, 0)
        for _ in names:
            for edge in self.edges:
                upper, lower = (edge.target, edge.source) if edge.is_back else (edge.source, edge.target)
                ranks[lower] = max(ranks[lower], ranks[upper] + 1)
        bottom = max(ranks.values(), default=0)
        left = {edge.source for edge in self.edges}
        return {name: bottom if name in finals and name not in left else rank for name, rank in ranks.items()}

    def _turn_back_round(self, names: list[str], start: str) -> None:
        """Walk from the start, and mark what leads to a state on the way to it."""
        ways: dict[str, list[Edge]] = {name: [] for name in names}
        for edge in self.edges:
            ways[edge.source].append(edge)
        done: set[str] = set()
        for first in (start, *names):
            way: list[tuple[str, int]] = [] if first in done else [(first, 0)]
            on_way = {name for name, _ in way}
            while way:
                name, number = way.pop()
                if number == len(ways[name]):
                    done.add(name)
                    on_way.discard(name)
                    continue
                way.append((name, number + 1))
                edge = ways[name][number]
                if edge.target in on_way:
                    edge.is_back = True
                elif edge.target not in done:
                    way.append((edge.target, 0))
                    on_way.add(edge.target)

    def _run(self, edge: Edge) -> None:
        """Give the arrow its knots, and tell each of its neighbours."""
        ends = (edge.target, edge.source) if edge.is_back else (edge.source, edge.target)
        upper, lower = (self.states[name] for name in ends)
        first, last = self.knots[upper].rank + 1, self.knots[lower].rank
        middle = [self._knot(rank, edge.label if rank == first else _BEND) for rank in range(first, last)]
        for number in middle[1:]:
            self.knots[number].is_bend = True
        edge.knots = [upper, *middle, lower]
        for above, below in zip(edge.knots, edge.knots[1:], strict=False):
            self.knots[above].below.append(below)
            self.knots[below].above.append(above)

    def _sort(self) -> None:
        """Choose the order within the ranks: the one with the fewest crossings that the sweeps come by."""
        for rank in self.ranks:
            self._number(rank)
        best, fewest = [list(rank) for rank in self.ranks], self._crossings()
        for sweep in range(_SWEEPS):
            is_down = sweep % 2 == 0
            for rank in self.ranks if is_down else reversed(self.ranks):
                rank.sort(key=lambda number: self._average(number, is_down=is_down))
                self._number(rank)
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(rank) for rank in self.ranks], crossings
        self.ranks = best

    def _number(self, rank: list[int]) -> None:
        for order, number in enumerate(rank):
            self.knots[number].order = order

    def _average(self, number: int, *, is_down: bool) -> float:
        knot = self.knots[number]
        near = knot.above if is_down else knot.below
        return sum(self.knots[other].order for other in near) / len(near) if near else knot.order

    def _crossings(self) -> int:
        return sum(self._crossings_below(rank) for rank in self.ranks)

    def _crossings_below(self, rank: list[int]) -> int:
        lines = [
            (self.knots[number].order, self.knots[other].order) for number in rank for other in self.knots[number].below
        ]
        return sum(
            (one[0] - other[0]) * (one[1] - other[1]) < 0 for at, one in enumerate(lines) for other in lines[at + 1 :]
        )

    def _spread(self) -> None:
        """Place the knots on their lines."""
        for rank in self.ranks:
            x = 0.0
            for number in rank:
                self.knots[number].x = x + self.knots[number].width / 2
                x += self.knots[number].width + APART
        for turn in range(_ROUNDS):
            for rank in self.ranks if turn % 2 == 0 else reversed(self.ranks):
                self._settle(rank)
        for edge in self.edges:
            self._straighten([number for number in edge.knots if self.knots[number].is_bend])
        left = min((knot.x - knot.width / 2 for knot in self.knots), default=0.0)
        for knot in self.knots:
            knot.x -= left

    def _settle(self, rank: list[int]) -> None:
        """Move the knots of a rank to their neighbours' average, as far as they leave each other room."""
        offset, offsets, wanted = 0.0, [], []
        for place, number in enumerate(rank):
            knot = self.knots[number]
            if place:
                offset += _apart(self.knots[rank[place - 1]], knot)
            offsets.append(offset)
            near = [(self.knots[other].x, _pull(knot, self.knots[other])) for other in (*knot.above, *knot.below)]
            pull = sum(weight for _, weight in near)
            wanted.append(((sum(x * weight for x, weight in near) / pull if pull else knot.x) - offset, pull or 1.0))
        for number, offset_, place_ in zip(rank, offsets, _rising(wanted), strict=True):
            self.knots[number].x = place_ + offset_

    def _straighten(self, bends: list[int]) -> None:
        """Put the bends of an arrow below each other, at the place of one of them that is free for all."""
        places = sorted(self.knots[number].x for number in bends)
        if not places:
            return
        middle = places[len(places) // 2]
        for place in sorted(places, key=lambda x: abs(x - middle)):
            if all(self._is_free(number, place) for number in bends):
                for number in bends:
                    self.knots[number].x = place
                return

    def _is_free(self, number: int, x: float) -> bool:
        """Whether a knot could be there, and keep its place in the order of its rank."""
        knot = self.knots[number]
        rank = self.ranks[knot.rank]
        at = rank.index(number)
        left = self.knots[rank[at - 1]] if at else None
        right = self.knots[rank[at + 1]] if at + 1 < len(rank) else None
        return (left is None or x - left.x >= _apart(left, knot)) and (
            right is None or right.x - x >= _apart(knot, right)
        )

    @property
    def width(self) -> float:
        """From the leftmost to the rightmost."""
        return max((knot.x + knot.width / 2 for knot in self.knots), default=0.0)


def _apart(left: Knot, right: Knot) -> float:
    """How far the middles of neighbours on a rank must be apart."""
    return (left.width + right.width) / 2 + (APART / 2 if left.is_bend and right.is_bend else APART)


def _pull(one: Knot, other: Knot) -> float:
    """How much it matters that an arrow is straight there: most between bends, where nothing else would excuse one."""
    return 8.0 if one.is_bend and other.is_bend else 2.0 if one.is_bend or other.is_bend else 1.0


def _rising(wanted: list[tuple[float, float]]) -> list[float]:
    """The values nearest to those wanted, by their weights, that never fall: neighbours that would are pooled."""
    pools: list[tuple[float, float, int]] = []
    for value, weight_ in wanted:
        total, weight, count = value * weight_, weight_, 1
        while pools and pools[-1][0] / pools[-1][1] > total / weight:
            before, pull, members = pools.pop()
            total, weight, count = total + before, weight + pull, count + members
        pools.append((total, weight, count))
    return [total / weight for total, weight, count in pools for _ in range(count)]
