"""Numbers as people read them at a glance: short, of one width, with their unit."""

from __future__ import annotations

from typing import Final

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_EXACT: Final = 100_000
"""Below it a count is written in full."""
NOTHING: Final = "-"


def count(number: float) -> str:
    """As ``12,345``, ``123 k`` or ``4.5 M``."""
    return f"{number:,.0f}" if abs(number) < _EXACT else _scaled(number, ("k", "M", "G", "T", "P"))


def rate(number: float) -> str:
    """Of things per second, as ``0``, ``0.4``, ``12.5`` or ``1,234``; the unit is the heading's."""
    if 0 < number < 100:  # noqa: PLR2004 - so much fits with a decimal
        return f"{number:.1f}"
    return count(number)


def size(number: float) -> str:
    """Of bytes, as ``120 B`` or ``1.5 MiB``: with the units of `Limits`, each 1,024 times the one before."""
    return f"{number:.0f} B" if abs(number) < 1_000 else _scaled(number, ("KiB", "MiB", "GiB", "TiB", "PiB"), 1_024)  # noqa: PLR2004


def _scaled(number: float, units: tuple[str, ...], step: int = 1_000) -> str:
    for unit in units:
        number /= step
        if abs(number) < 9.95:  # noqa: PLR2004 - rounded it is below ten
            return f"{number:.1f} {unit}"
        if abs(number) < 999.5:  # noqa: PLR2004 - rounded it is no thousand
            return f"{number:.0f} {unit}"
    return f"{number:,.0f} {units[-1]}"


def age(seconds: float) -> str:
    """As ``12 s``, ``4:05``, ``3:04:05`` or ``2 d 4 h``."""
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}:{whole % _MINUTE:02}"
    if whole < _DAY:
        return f"{whole // _HOUR}:{whole % _HOUR // _MINUTE:02}:{whole % _MINUTE:02}"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def duration(seconds: float | None) -> str:
    """Of what is over, as ``85 µs``, ``1.2 ms`` or ``3.4 s``."""
    if seconds is None:
        return NOTHING
    for factor, unit in ((1e6, "µs"), (1e3, "ms")):
        if seconds * factor < 999.5:  # noqa: PLR2004 - rounded it is no thousand
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s" if seconds < 999.5 else age(seconds)  # noqa: PLR2004


def share(part: float) -> str:
    """As a percentage; small ones with a decimal."""
    return f"{part:.1%}" if 0 < part < 0.1 else f"{part:.0%}"  # noqa: PLR2004
