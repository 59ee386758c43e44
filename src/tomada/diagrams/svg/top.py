"""What stands at the top of each picture: title, summary, legend, and what a reader must know."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from tomada.diagrams.model import Tone
from tomada.diagrams.svg.document import SANS_CELL, SMALL_CELL, group, rectangle, words
from tomada.diagrams.svg.marks import NAMES, mark

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tomada.diagrams.svg.document import Document

MARGIN: Final = 20
_TITLE_CELL: Final = 10.5
_LINE: Final = 17


def draw_top(
    document: Document, title: str, summary: str, tones: Iterable[Tone], notes: Iterable[str], width: float
) -> float:
    """Draw it, and say where the picture itself may begin."""
    room = width - 2 * MARGIN
    y = 34.0
    document.add(words(title, "", _TITLE_CELL).within(room).draw(MARGIN, y, "title sans h1"))
    y += 20
    document.add(words(summary, "", SANS_CELL).within(room).draw(MARGIN, y, "time sans"))
    shown = [tone for tone in Tone if tone in set(tones) and tone is not Tone.PLAIN]
    if shown:
        y += 20
        document.add(_legend(shown, y))
    y = _notes(document, notes, y + 14, room)
    return y + 10


def _legend(tones: Iterable[Tone], y: float) -> str:
    drawn, x = [], MARGIN + 6.0
    for tone in tones:
        name = words(NAMES[tone], "time", SMALL_CELL)
        drawn += [mark(x, y - 4, tone), name.draw(x + 10, y)]
        x += name.width + 32
    return group(drawn, class_="legend")


def _notes(document: Document, notes: Iterable[str], y: float, room: float) -> float:
    lines = [line for note in notes for line in textwrap.wrap(note, max(20, int((room - 40) / SANS_CELL)))]
    if not lines:
        return y
    height = _LINE * len(lines) + 10
    drawn = [rectangle(MARGIN, y, room, height, "panel", 6), rectangle(MARGIN, y, 4, height, "bar", 2)]
    for number, line in enumerate(lines):
        drawn.append(words(line, "", SANS_CELL).draw(MARGIN + 16, y + 18 + _LINE * number, "note sans"))
    document.add(group(drawn, class_="notes"))
    return y + height
