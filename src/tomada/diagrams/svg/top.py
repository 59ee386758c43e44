"""What stands at the top of each picture: title, summary, legend, and what a reader must know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tomada.diagrams.cleaning import wrap
from tomada.diagrams.model import Tone
from tomada.diagrams.svg.document import SMALL_CELL, broad_cells, element, group, path, rectangle, words
from tomada.diagrams.svg.marks import NAMES, mark

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tomada.diagrams.svg.document import Document, Words

MARGIN: Final = 20
_TITLE_CELL: Final = 11.9
_LINE: Final = 17
_NOTE_CELL: Final = 7.6


class Top(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be said there."""

    title: str
    summary: str
    notes: tuple[str, ...] = ()
    tones: frozenset[Tone] = frozenset()
    """Those whose marks are in the picture."""
    waits: bool = False
    """Whether there are bars in it."""
    later: bool = False
    """Whether bytes wait beside a lane in it."""
    above: bool = False
    """Whether arrows lead up in it, to summaries."""


def draw_top(document: Document, top: Top, width: float) -> float:
    """Draw it, and say where the picture itself may begin."""
    room = width - 2 * MARGIN
    y = 14.0
    for line in _title(top.title, room):
        y += 20
        document.add(line.draw(MARGIN, y, "title sans h1"))
    y += 20
    document.add(words(top.summary, "", _NOTE_CELL).within(room).draw(MARGIN, y, "time sans"))
    signs = _signs(top)
    if signs:
        legend, y = _legend(signs, y + 20, room)
        document.add(legend)
    y = _notes(document, top.notes, y + 14, room)
    return y + 10


def _title(text: str, room: float) -> list[Words]:
    """On two lines where one is too short, and no more."""
    first, *others = wrap(text, room / _TITLE_CELL, broad_cells) or [""]
    rest = [" ".join(others)] if others else []
    return [words(line, "", _TITLE_CELL).within(room) for line in (first, *rest)]


def _signs(top: Top) -> list[tuple[str, str]]:
    """What the legend explains: each sign with its middle at the origin, and its name."""
    signs = [(mark(0, 0, tone), NAMES[tone]) for tone in Tone if tone in top.tones and tone is not Tone.PLAIN]
    if top.waits:
        signs.append((rectangle(-4, -7, 8, 14, "bar", 3), "waits"))
    if top.later:
        signs.append((path("M-6 0H6", "arrow later tone-plain"), "arrived, not yet taken"))
    if top.above:
        signs.append((path("M-6 0H6", "arrow above tone-plain"), "counted in what is drawn above"))
    return signs


def _legend(signs: Iterable[tuple[str, str]], y: float, room: float) -> tuple[str, float]:
    """On as many lines as it needs, and the last one's place."""
    drawn, x = [], MARGIN + 6.0
    for sign, text in signs:
        name = words(text, "time", SMALL_CELL)
        if x + 10 + name.width > MARGIN + room:
            x, y = MARGIN + 6.0, y + 20
        drawn += [element("g", sign, transform=f"translate({x:g} {y - 4:g})"), name.draw(x + 10, y)]
        x += name.width + 32
    return group(drawn, class_="legend"), y


def _notes(document: Document, notes: Iterable[str], y: float, room: float) -> float:
    lines = [line for note in notes for line in wrap(note, (room - 40) / _NOTE_CELL, broad_cells)]
    if not lines:
        return y
    height = _LINE * len(lines) + 10
    drawn = [rectangle(MARGIN, y, room, height, "panel", 6), rectangle(MARGIN, y, 4, height, "bar", 2)]
    for number, line in enumerate(lines):
        drawn.append(words(line, "", _NOTE_CELL).draw(MARGIN + 16, y + 18 + _LINE * number, "note sans"))
    document.add(group(drawn, class_="notes"))
    return y + height
