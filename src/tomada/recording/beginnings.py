"""The first values of a message of which only the beginning was kept."""

from __future__ import annotations

from typing import Any, Final

import msgspec

# MessagePack: by the first byte, how long a value is of a fixed length; how many bytes of length follow, and how many
# bytes beside those that they count.
_FIXED: Final = {
    **dict.fromkeys((0xC0, 0xC2, 0xC3), 1),
    0xCC: 2,
    0xCD: 3,
    0xCE: 5,
    0xCF: 9,
    0xD0: 2,
    0xD1: 3,
    0xD2: 5,
    0xD3: 9,
    0xCA: 5,
    0xCB: 9,
    0xD4: 3,
    0xD5: 4,
    0xD6: 6,
    0xD7: 10,
    0xD8: 18,
}
_COUNTED: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4}
_EXTENSIONS: Final = frozenset({0xC7, 0xC8, 0xC9})
_HOLDING: Final = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}
"""Arrays and maps: bytes of length, and values for each that those count."""
_TEXT: Final = frozenset({0xD9, 0xDA, 0xDB, *range(0xA0, 0xC0)})
_BYTES: Final = frozenset({0xC4, 0xC5, 0xC6})


def beginnings(payload: bytes) -> list[Any]:
    """The values of an array, as far as they are there; of the last as much as there is, if it is text or bytes.

    Raises:
        ValueError: It is no array, or it cannot be read.
    """
    count, place = _array(payload)
    values: list[Any] = []
    while len(values) < count and place < len(payload):
        end = _end(payload, place)
        if end is None:
            values += _cut(payload[place:])
            break
        values.append(msgspec.msgpack.decode(payload[place:end]))
        place = end
    return values


def _array(payload: bytes) -> tuple[int, int]:
    """How many values it has, and where the first begins."""
    first = payload[0] if payload else 0
    if 0x90 <= first <= 0x9F:  # noqa: PLR2004 - of MessagePack
        return first & 0x0F, 1
    width = {0xDC: 2, 0xDD: 4}.get(first)
    if width is None:
        raise ValueError("no array")
    return int.from_bytes(payload[1 : 1 + width], "big"), 1 + width


def _shape(payload: bytes, place: int) -> tuple[int, int]:
    """How many bytes a value takes, and how many values stand in it behind those."""
    first = payload[place]
    if first < 0x80 or first >= 0xE0:  # noqa: PLR2004 - of MessagePack, as below
        return 1, 0
    if first < 0xA0:  # noqa: PLR2004
        return 1, (first & 0x0F) * (2 if first < 0x90 else 1)  # noqa: PLR2004
    if first < 0xC0:  # noqa: PLR2004
        return 1 + (first & 0x1F), 0
    if first in _FIXED:
        return _FIXED[first], 0
    if first in _COUNTED:
        width = _COUNTED[first]
        return 1 + width + (first in _EXTENSIONS) + _number(payload, place, width), 0
    if first in _HOLDING:
        width, each = _HOLDING[first]
        return 1 + width, each * _number(payload, place, width)
    raise ValueError("no MessagePack")


def _number(payload: bytes, place: int, width: int) -> int:
    return int.from_bytes(payload[place + 1 : place + 1 + width], "big")


def _end(payload: bytes, place: int) -> int | None:
    """Where a value ends; None where not all of it is there."""
    left = 1
    while left and place < len(payload):
        size, inside = _shape(payload, place)
        place += size
        left += inside - 1
    return None if left or place > len(payload) else place


def _cut(rest: bytes) -> list[Any]:
    start = 1 + _COUNTED.get(rest[0], 0)
    if rest[0] in _TEXT:
        return [rest[start:].decode(errors="ignore")]
    return [rest[start:]] if rest[0] in _BYTES else []
