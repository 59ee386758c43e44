"""Drawings as JSON lines: one object for each thing that a picture could show, and nothing folded or left out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from tomada.diagrams.checking import check
from tomada.diagrams.model import Sequence, StateDiagram

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tomada.diagrams.checking import Drawing


def json_lines(drawing: Drawing) -> str:
    """One JSON object a line, in ASCII; its ``kind`` says what it is.

    The first line is the drawing itself, with its title and notes. Then come, with the number by which others refer to
    them where others do: of a sequence ``lane``, ``step`` and ``arrow``, of states ``place`` and ``transition``, of a
    timeline ``row``.

    Raises:
        DrawingError: The drawing does not fit together.
    """
    check(drawing)
    return "".join(_line(each) + "\n" for each in _objects(drawing))


def _line(each: dict[str, Any]) -> str:
    """As JSON that every reader takes: a half of a pair of surrogates, which is no character, becomes U+FFFD."""
    line = json.dumps(each)
    if "\\ud" not in line:
        return line
    text = json.dumps(each, ensure_ascii=False).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return json.dumps(json.loads(text))


def _objects(drawing: Drawing) -> Iterable[dict[str, Any]]:
    if isinstance(drawing, Sequence):
        yield {"kind": "sequence", "title": drawing.title, "notes": drawing.notes}
        yield from _numbered("lane", drawing.lanes)
        yield from _numbered("step", drawing.steps)
        yield from _numbered("arrow", drawing.arrows)
    elif isinstance(drawing, StateDiagram):
        words = {"title": drawing.title, "start": drawing.start, "current": drawing.current, "notes": drawing.notes}
        yield {"kind": "states", **words}
        yield from _numbered("place", drawing.places)
        yield from _numbered("transition", drawing.transitions)
    else:
        yield {"kind": "timeline", "title": drawing.title, "ended": drawing.ended, "notes": drawing.notes}
        yield from _numbered("row", drawing.rows)


def _numbered(kind: str, things: Iterable[msgspec.Struct]) -> Iterable[dict[str, Any]]:
    for number, thing in enumerate(things):
        yield {"kind": kind, "number": number, **msgspec.to_builtins(thing)}
