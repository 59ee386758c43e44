"""Text that others wrote, made harmless before it stands in a picture.

Data from the network, names of peers and arguments of calls may hold anything: escape sequences of terminals, marks
that turn the direction of writing, line ends, letters under fifty accents. What is not plainly printable is shown as an
escape, as in Python's source, so a label is always one line, says what was there, and does nothing.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\x1b": "\\e"}
_MOST_ACCENTS: Final = 2
LONGEST: Final = 2_000
"""Characters of one text that are looked at; a picture shows far fewer."""

_Value = TypeVar("_Value")


def clean(text: str) -> str:
    """`text` on one line, without anything that terminals or browsers would obey; no more than `LONGEST` of it."""
    if len(text) > LONGEST:
        text = text[:LONGEST] + "…"
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(text))


def _shown(text: str) -> list[str]:
    shown: list[str] = []
    accents = 0
    for character in text:
        accents = accents + 1 if _is_mark(character) else 0
        is_fine = character.isprintable() and accents <= _MOST_ACCENTS
        shown.append(character if is_fine else _SHORT.get(character) or _escape(character))
    return shown


def _is_mark(character: str) -> bool:
    """Whether it stands on the letter before it; not all that do have a class of combining, as those of Thai."""
    return unicodedata.category(character) in {"Mn", "Me"}


def _escape(character: str) -> str:
    number = ord(character)
    if number <= 0xFF:  # noqa: PLR2004 - as Python writes it
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"  # noqa: PLR2004


def cleaned(value: _Value) -> _Value:
    """A drawing, or a part of one, with all its texts `clean`."""
    if isinstance(value, str):
        return clean(value)  # type: ignore[return-value]
    if isinstance(value, tuple):
        return tuple(map(cleaned, value))  # type: ignore[return-value]
    if isinstance(value, msgspec.Struct):
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        return type(value)(**{name: cleaned(field) for name, field in fields.items()})
    return value


def width_of(text: str) -> int:
    """How many columns of a terminal, or cells of a font of fixed width, `text` takes."""
    if text.isascii():
        return len(text)
    return sum(map(_width, text))


def _width(character: str) -> int:
    if _is_mark(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def shorten(text: str, width: int) -> str:
    """As much of `text` as fits into `width` columns, with ``…`` where something is missing."""
    if width_of(text) <= width:
        return text
    if width <= 0:
        return ""
    kept: list[str] = []
    left = width - 1
    for character in text:
        left -= _width(character)
        if left < 0:
            break
        kept.append(character)
    return "".join(kept).rstrip() + "…"


def squeeze(text: str, width: int) -> str:
    """The same with the ``…`` in the middle: of addresses and paths the end tells one from the other."""
    if width_of(text) <= width:
        return text
    end = len(text)
    while end and width_of(text[end - 1 :]) <= (width - 1) // 2:
        end -= 1
    while end < len(text) and _is_mark(text[end]):
        end += 1
    return shorten(text, width - width_of(text[end:])) + text[end:]


def wrap(text: str, width: float, measure: Callable[[str], float] = width_of) -> list[str]:
    """`text` on as many lines of `width` columns as it needs, broken between words where they are short enough.

    Args:
        text: What to break.
        width: Of a line.
        measure: How wide a text is.
    """
    lines, line = [], ""
    for word in text.split():
        if line and measure(line) + 1 + measure(word) <= width:
            line += f" {word}"
            continue
        if line:
            lines.append(line)
        *full, line = _broken(word, width, measure)
        lines += full
    return [*lines, line] if line else lines


def _broken(word: str, width: float, measure: Callable[[str], float]) -> list[str]:
    parts = [""]
    for character in word:
        if measure(parts[-1] + character) > width:
            parts.append("")
        parts[-1] += character
    return parts
