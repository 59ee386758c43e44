"""Lines of cells: each holds a character and a style, and what is put later stands above what was there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tomada.diagrams.cleaning import clean, shorten, width_of, wrap
from tomada.diagrams.model import Tone

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tomada.diagrams.moments import Bit

_CODES: Final = {
    "title": "1",
    "group": "1;34",
    "faint": "2",
    "call": "",
    "result": "32",
    "data": "36",
    "wait": "33",
    "bar": "33",
    "count": "1;35",
    "state": "34",
    "failed": "1;31",
    "begin": "32",
    "end": "34",
    "urgent": "1;33",
    "repeated": "35",
    "control": "2",
    "plain": "",
    "note": "33",
}
"""The codes of ECMA-48 (“ANSI colours”) of each style: only the 8 that every theme of a terminal sets itself."""

NARROWEST: Final = 40
"""A picture for fewer columns is drawn for so many."""


class Signs(msgspec.Struct, frozen=True):
    """What lines and arrows are made of."""

    line: str
    bar: str
    across: str
    from_left: str
    from_right: str
    to_right: str
    to_left: str
    dots: str
    down: str
    full: str
    tones: dict[Tone, str]


UNICODE: Final = Signs(
    line="│",
    bar="┃",
    across="─",
    from_left="├",
    from_right="┤",
    to_right="▶",
    to_left="◀",
    dots="⋯",
    down="▼",
    full="━",
    tones={
        Tone.PLAIN: "●",
        Tone.BEGIN: "○",
        Tone.END: "■",
        Tone.URGENT: "▲",
        Tone.REPEATED: "◆",
        Tone.CONTROL: "·",
        Tone.FAILED: "✗",
    },
)
ASCII: Final = Signs(
    line="|",
    bar="#",
    across="-",
    from_left="+",
    from_right="+",
    to_right=">",
    to_left="<",
    dots="...",
    down="v",
    full="=",
    tones={
        Tone.PLAIN: "*",
        Tone.BEGIN: "o",
        Tone.END: "x",
        Tone.URGENT: "!",
        Tone.REPEATED: "%",
        Tone.CONTROL: ".",
        Tone.FAILED: "X",
    },
)


class Line:
    """One line of `width` cells."""

    def __init__(self, width: int, *, ascii_only: bool = False) -> None:
        self._ascii_only = ascii_only
        self._cells = [" "] * width
        self._styles = [""] * width

    def put(self, at: int, text: str, style: str = "") -> int:
        """Write `text` from the cell `at` on, as far as there is room; the cell after it."""
        for character in _plain(text) if self._ascii_only else text:
            width = width_of(character)
            if width == 0:
                if 0 < at <= len(self._cells):
                    self._cells[at - 1] += character
                continue
            if at < 0 or at + width > len(self._cells):
                return at
            self._cells[at] = character
            self._cells[at + 1 : at + width] = [""] * (width - 1)
            self._styles[at : at + width] = [style] * width
            at += width
        return at

    def text(self, *, colour: bool) -> str:
        """The line without blanks at its end."""
        if not colour:
            return "".join(self._cells).rstrip()
        end = max((at for at, cell in enumerate(self._cells, 1) if cell.strip()), default=0)
        written: list[str] = []
        style = ""
        for cell, wanted in zip(self._cells[:end], self._styles[:end], strict=True):
            if wanted != style:
                written.append(_switch(wanted))
                style = wanted
            written.append(cell)
        return "".join(written) + (_switch("") if style else "")


def _switch(style: str) -> str:
    code = _CODES[style] if style else ""
    return f"\x1b[0;{code}m" if code else "\x1b[0m"


_PLAIN: Final = str.maketrans("…“”×µ·→↑↓", '~""xu->^v')


def _plain(text: str) -> str:
    """`text` in as many cells of ASCII."""
    return "".join(each if each.isascii() else "?" * width_of(each) for each in text.translate(_PLAIN))


class Canvas:
    """Lines, one below the other."""

    def __init__(self, width: int, *, colour: bool, ascii_only: bool) -> None:
        self.width = max(width, NARROWEST)
        self.signs = ASCII if ascii_only else UNICODE
        self._colour = colour
        self._ascii_only = ascii_only
        self._lines: list[Line] = []

    def line(self) -> Line:
        """A new line at the bottom."""
        self._lines.append(Line(self.width, ascii_only=self._ascii_only))
        return self._lines[-1]

    def say(self, text: str, style: str = "") -> None:
        """One line of text, shortened where it is too long."""
        self.line().put(0, shorten(text, self.width), style)

    def wrapped(self, text: str, style: str, first: str = "", later: str = "") -> None:
        """A text on as many lines as it needs."""
        for line in wrap(clean(text), self.width - width_of(first)):
            self.line().put(0, first + line, style)
            first = later

    def heading(self, title: str, summary: str) -> None:
        """The title of the picture, and in a few words what it shows."""
        self.wrapped(title, "title")
        self.wrapped(summary, "faint")
        self.gap()

    def gap(self) -> None:
        """An empty line, unless the last one is."""
        if self._lines and self._lines[-1].text(colour=False):
            self.line()

    def notes(self, notes: Iterable[str]) -> None:
        """What a reader must know, at the end."""
        for number, note in enumerate(notes):
            if number == 0:
                self.gap()
            self.wrapped(note, "note", first="Note: ", later="      ")

    def text(self) -> str:
        """All of it, with a line end behind each line."""
        return "".join(line.text(colour=self._colour) + "\n" for line in self._lines)


def written(bits: Iterable[Bit], *, arrow: str = "→") -> list[tuple[str, str]]:
    """The parts of a label with what joins them, and their styles."""
    parts: list[tuple[str, str]] = []
    for bit in bits:
        text = f"“{bit.text}”" if bit.kind == "data" else f"[{bit.text}]" if bit.kind == "state" else bit.text
        joint = ", " if parts and bit.text.startswith("waited") else " " if parts else ""
        if bit.kind == "result":
            joint += f"{arrow} "
        parts.append((joint + text, bit.kind))
    return parts
