"""The elements of an SVG file, and what is around them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape, quoteattr

import msgspec

from tomada.diagrams.cleaning import clean, shorten, squeeze, width_of
from tomada.diagrams.svg.palette import Theme, style_sheet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tomada.diagrams.model import Tone

CELL: Final = 7.25
"""The width of a letter at 12 px in fonts of fixed width: none of those in the style sheet has wider ones."""
SMALL_CELL: Final = 6.35
"""The same at 10.5 px."""
SANS_CELL: Final = 8.4
"""The width of a letter at 12 px in the other font, bold; of some letters it is half as much again."""
_BROAD: Final = frozenset("MWmw@%&—…")
Attribute = str | float | int


def number(value: float) -> str:
    """Coordinates need no more than two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"


def element(name: str, content: str = "", **attributes: Attribute) -> str:
    """An element; ``class_`` and ``data_lane`` become ``class`` and ``data-lane``. `content` must be XML already."""
    written = "".join(f" {_name(key)}={_quoted(value)}" for key, value in attributes.items() if value != "")
    return f"<{name}{written}>{content}</{name}>" if content else f"<{name}{written}/>"


def _name(key: str) -> str:
    return "xml:space" if key == "xml_space" else key.rstrip("_").replace("_", "-")


def _quoted(value: Attribute) -> str:
    return quoteattr(value if isinstance(value, str) else number(value))


def group(content: Iterable[str], tooltip: str = "", **attributes: Attribute) -> str:
    """Elements that belong together, with a text that is shown where the pointer rests."""
    title = element("title", escape(tooltip)) if tooltip else ""
    return element("g", title + "".join(content), **attributes)


class Words(msgspec.Struct, frozen=True):
    """Parts of one line of text, each with its class."""

    parts: tuple[tuple[str, str], ...]
    cell: float = CELL

    @property
    def width(self) -> float:
        """In pixels, at most."""
        return self.cell * sum(_cells(text, self.cell) for text, _ in self.parts)

    def within(self, width: float) -> Words:
        """As much of them as fits."""
        cells, kept = width / self.cell, []
        for text, style in self.parts:
            short = shorten(text, int(cells))
            while short and _cells(short, self.cell) > cells:
                short = shorten(text, width_of(short) - 1)
            if short:
                kept.append((short, style))
            cells -= _cells(short, self.cell)
            if short != text:
                break
        return Words(tuple(kept), self.cell)

    def draw(self, x: float, y: float, style: str = "", anchor: str = "") -> str:
        """The text with its baseline at `y`, from `x` on or, with the `anchor` ``end`` or ``middle``, there."""
        spans = "".join(
            element("tspan", escape(text), class_=part) if part else escape(text) for text, part in self.parts
        )
        small = "small" if self.cell == SMALL_CELL else ""
        return element("text", spans, x=x, y=y, class_=" ".join(filter(None, (style, small))), text_anchor=anchor)


def _cells(text: str, cell: float) -> float:
    """How many cells `text` takes; in the font that is not of fixed width, some letters take more than one."""
    return width_of(text) if cell in {CELL, SMALL_CELL} else broad_cells(text)


def broad_cells(text: str) -> float:
    """The same where some letters take more than one: half as much again."""
    return width_of(text) + sum(character in _BROAD for character in text) / 2


def words(text: str, style: str = "", cell: float = CELL) -> Words:
    """One part only."""
    return Words(((text, style),), cell)


def squeezed(text: str, width: float, style: str = "", cell: float = CELL) -> Words:
    """One part that fits into `width`, its middle left out where it is longer."""
    return words(squeeze(text, int(width / cell)), style, cell)


def rectangle(x: float, y: float, width: float, height: float, style: str, radius: float = 0) -> str:
    """A rectangle, with round corners if wanted."""
    return element("rect", x=x, y=y, width=width, height=height, rx=radius or "", class_=style)


def path(data: str, style: str) -> str:
    """A line or shape in the language of SVG paths."""
    return element("path", d=data, class_=style)


def head(x: float, y: float, way: int, tone: Tone) -> str:
    """The head of an arrow that points to (`x`, `y`): to the right with `way` 1, to the left with -1."""
    return path(f"M{number(x)} {number(y)}l{-8 * way} -4.5v9z", f"head tone-{tone.value}")


class Document:
    """One picture: elements are added from the back to the front."""

    def __init__(self, title: str, description: str, theme: Theme) -> None:
        self._title = clean(title)
        self._description = clean(description)
        self._theme = theme
        self._parts: list[str] = []

    def add(self, *elements: str) -> None:
        """Put these in front of the others."""
        self._parts.extend(elements)

    def write(self, width: float, height: float, kind: str) -> str:
        """The file."""
        whole = [
            element("title", escape(self._title)),
            element("desc", escape(self._description)),
            element("style", escape(style_sheet(self._theme))),
            rectangle(0, 0, width, height, "paper"),
            *self._parts,
        ]
        return (
            element(
                "svg",
                "\n".join(whole),
                xmlns="http://www.w3.org/2000/svg",
                width=width,
                height=height,
                viewBox=f"0 0 {number(width)} {number(height)}",
                role="img",
                xml_space="preserve",
                class_=f"tomada {kind}",
            )
            + "\n"
        )
