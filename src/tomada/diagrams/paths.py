"""State diagrams out of the tables that programs run on, and of the path that was taken through them."""

from __future__ import annotations

from collections import Counter
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

import msgspec

from tomada.diagrams.errors import DrawingError
from tomada.diagrams.model import Place, StateDiagram, Transition

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

State = TypeVar("State", bound=Enum)
Move = TypeVar("Move", bound=Enum)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a table does not say about itself."""

    title: str
    meanings: dict[str, str] = {}
    """What the states mean, by their names."""
    notes: tuple[str, ...] = ()


def state_diagram_of(
    table: Mapping[State, Mapping[Move, State]],
    start: State,
    path: Iterable[Move] = (),
    *,
    finals: Collection[State] = (),
    told: Told,
) -> StateDiagram:
    """The diagram of a table of transitions, with a path through it.

    Args:
        table: For each state what may move it, and where to, as `tomada.protocol` and recordings have them.
        start: Where a path begins.
        path: What happened, in order.
        finals: States in which it may end.
        told: The title, and what else a reader should know.

    Raises:
        DrawingError: The path takes a step that the table does not have.
    """
    visits, taken, first = Counter([start]), Counter[tuple[State, Move]](), dict[tuple[State, Move], int]()
    state = start
    for order, move in enumerate(path, start=1):
        if move not in table.get(state, {}):
            raise DrawingError(f"step {order} of the path, {_name(move)!r}, is not possible in {_name(state)!r}")
        taken[state, move] += 1
        first.setdefault((state, move), order)
        state = table[state][move]
        visits[state] += 1
    return StateDiagram(
        title=told.title,
        start=_name(start),
        places=tuple(_place(each, visits, finals, told) for each in _states(table)),
        transitions=tuple(
            Transition(
                source=_name(source),
                target=_name(target),
                text=_name(move),
                taken=taken[source, move],
                order=first.get((source, move), 0),
            )
            for source, row in table.items()
            for move, target in row.items()
        ),
        current=_name(state),
        notes=told.notes,
    )


def _states(table: Mapping[State, Mapping[Move, State]]) -> list[State]:
    return list(dict.fromkeys([*table, *(target for row in table.values() for target in row.values())]))


def _place(state: State, visits: Counter[State], finals: Collection[State], told: Told) -> Place:
    name = _name(state)
    return Place(name=name, meaning=told.meanings.get(name, ""), visits=visits[state], is_final=state in finals)


def _name(value: Enum) -> str:
    return str(value.value)
