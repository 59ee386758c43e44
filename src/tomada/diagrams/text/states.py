"""A state diagram in the terminal: the path that was taken, then each state with the ways out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tomada.diagrams.amounts import count_text
from tomada.diagrams.checking import check
from tomada.diagrams.cleaning import cleaned, shorten, width_of
from tomada.diagrams.summary import states_summary
from tomada.diagrams.text.canvas import Canvas

if TYPE_CHECKING:
    from tomada.diagrams.model import Place, StateDiagram, Transition

_ARROW: Final = 11
"""Columns of an arrow, with its place in the path ahead of it."""


def states_text(diagram: StateDiagram, *, width: int = 100, colour: bool = False, ascii_only: bool = False) -> str:
    """The state diagram as text of `width` columns, with a line end behind each line.

    What was taken is marked with how often, and with the order in which it was taken first.

    Raises:
        DrawingError: The diagram does not fit together.
    """
    check(diagram)
    diagram = cleaned(diagram)
    canvas = Canvas(width, colour=colour, ascii_only=ascii_only)
    canvas.heading(diagram.title, states_summary(diagram))
    for place in diagram.places:
        _place(canvas, diagram, place)
    canvas.notes(diagram.notes)
    return canvas.text()


def _place(canvas: Canvas, diagram: StateDiagram, place: Place) -> None:
    line = canvas.line()
    is_current = place.name == diagram.current
    words = [
        "start" if place.name == diagram.start else "",
        "end" if place.is_final else "",
        "now" if is_current else "",
        count_text(place.visits, "visit") if place.visits else "",
    ]
    said = ", ".join(word for word in words if word)
    line.put(0, ">" if is_current else " ", "bar")
    name = shorten(place.name, canvas.width - 4 - width_of(said))
    at = line.put(2, name, "title" if place.visits or is_current else "faint")
    line.put(at + 2, said, "state")
    if place.meaning:
        canvas.wrapped(place.meaning, "faint", first="    ", later="    ")
    moves = sorted((move for move in diagram.transitions if move.source == place.name), key=_importance)
    longest = min(max((width_of(move.target) for move in moves), default=0), canvas.width // 2 - _ARROW)
    for move in moves:
        _move(canvas, move, longest)


def _importance(move: Transition) -> tuple[bool, int]:
    return not move.taken, move.order


def _move(canvas: Canvas, move: Transition, longest: int) -> None:
    line = canvas.line()
    signs = canvas.signs
    style = "begin" if move.taken else "faint"
    order = f"{move.order}." if move.order else ""
    line.put(0, order.rjust(6), "count")
    stroke = signs.full if move.taken else signs.across
    line.put(7, f"{stroke * 2}{signs.to_right}", style)
    line.put(_ARROW, shorten(move.target, longest), style)
    count = f" ×{move.taken:,}" if move.taken > 1 else ""
    at = _ARROW + longest + 2
    at = line.put(at, shorten(move.text, canvas.width - at - len(count)), "call" if move.taken else "faint")
    line.put(at, count, "count")
