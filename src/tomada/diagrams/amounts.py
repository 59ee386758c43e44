"""Sizes, counts and times as people read them."""

from __future__ import annotations

import math
from typing import Final

import msgspec

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_KIBI: Final = 1024
_MINUTE: Final = 60
_HOUR: Final = 3600


def size_text(size: int) -> str:
    """As ``5 B``, ``1.5 KiB`` or ``3.2 GiB``."""
    amount = float(size)
    for unit in _UNITS:
        if abs(amount) < _KIBI or unit == _UNITS[-1]:
            break
        amount /= _KIBI
    return f"{size:,} B" if unit == "B" else f"{three_digits(amount)} {unit}"


def bytes_text(size: int) -> str:
    """As ``1 byte`` or ``25,000 bytes``."""
    return f"{size:,} byte{'' if size == 1 else 's'}"


def count_text(count: int, name: str, names: str = "") -> str:
    """As ``1 call`` or ``10,000 calls``."""
    return f"{count:,} {name if count == 1 else names or f'{name}s'}"


def three_digits(amount: float) -> str:
    """With as many decimals as make three digits: ``1.25``, ``12.5``, ``125``."""
    decimals = 2 if abs(amount) < 9.995 else 1 if abs(amount) < 99.95 else 0  # noqa: PLR2004 - where it is rounded up
    return f"{amount:.{decimals}f}"


def duration_text(seconds: float) -> str:
    """As ``81 µs``, ``1.20 ms``, ``3.40 s`` or ``2 h 5 min``."""
    if not math.isfinite(seconds):
        return "?"
    amount = abs(seconds)
    sign = "-" if seconds < 0 else ""
    if amount >= _MINUTE - 0.5:
        return sign + _long(round(amount))
    for factor, unit in ((1, "s"), (1e-3, "ms")):
        if amount >= 0.9995 * factor:
            return f"{sign}{three_digits(amount / factor)} {unit}"
    return f"{sign}{amount * 1e6:.0f} µs"


def _long(seconds: int) -> str:
    if seconds >= _HOUR:
        return f"{seconds // _HOUR} h {seconds % _HOUR // _MINUTE} min"
    return f"{seconds // _MINUTE} min {seconds % _MINUTE} s"


class Clock(msgspec.Struct, frozen=True):
    """Writes the times of one picture alike, so that they stand below each other digit by digit."""

    unit: str
    factor: float
    decimals: int

    @classmethod
    def over(cls, seconds: float) -> Clock:
        """The clock for a picture that lasts so long."""
        if not math.isfinite(seconds) or seconds >= 1:
            return cls("s", 1, 3 if seconds > 100 else 4)  # noqa: PLR2004 - tenths of a millisecond, as long as there is room
        return cls("ms", 1e3, 3 if seconds < 0.1 else 2)  # noqa: PLR2004 - a tenth of a second

    def text(self, seconds: float) -> str:
        """As ``1.203``, without the unit."""
        return f"{seconds * self.factor:,.{self.decimals}f}" if math.isfinite(seconds) else "?"
