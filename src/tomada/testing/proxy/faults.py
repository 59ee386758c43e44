"""How bad the network is, one way."""

from __future__ import annotations

from enum import IntFlag
from math import inf
from typing import Final, Literal, TypeAlias

import msgspec

Way: TypeAlias = Literal["to_server", "to_client"]
Direction: TypeAlias = Literal["to_server", "to_client", "both"]

WAYS: Final[tuple[Way, Way]] = ("to_server", "to_client")


class Hold(IntFlag):
    """Who has a pipe stand still. It goes on when none of them does any more."""

    NOBODY = 0
    CONNECTION = 1
    PROXY = 2
    DROP = 4


def ways(direction: Direction) -> tuple[Way, ...]:
    """The ways that `direction` means. Raises `ValueError`."""
    if direction == "both":
        return WAYS
    if direction not in WAYS:
        raise ValueError(f"the direction is {direction!r}, it must be 'to_server', 'to_client' or 'both'")
    return (direction,)


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """What a `FaultProxy` does to the bytes of each connection, one way. By default nothing.

    The end of a stream, and a reset by one of the ends, come when the bytes before them have.
    """

    latency: float = 0.0
    """Seconds that bytes are under way."""
    bandwidth: float = inf
    """Bytes per second, of each connection."""
    slice: int | tuple[int, int] = 0
    """In pieces of how many bytes they are passed on, one in each turn of the event loop: 1 for single bytes; ``(1,
    1400)`` for sizes between these that the proxy's seed decides; 0 as they come. A receiver that reads slowly may
    still find several pieces at once."""
    reset_after: int | None = None
    """Each connection is reset, to both ends, when it has relayed exactly so many bytes, counted from when this was
    assigned, or the connection made if that was later. Those bytes have arrived then, where the receiver's system
    confirms them within a second. 0: at once."""

    def __post_init__(self) -> None:
        _check(
            "latency", self.latency, is_right=_is_number(self.latency) and 0 <= self.latency < inf, right="0 or more"
        )
        _check("bandwidth", self.bandwidth, is_right=_is_number(self.bandwidth) and self.bandwidth > 0, right="above 0")
        sizes = self.slice if isinstance(self.slice, tuple) else (self.slice, self.slice)
        is_right = len(sizes) == len(WAYS) and all(map(_is_whole, sizes))
        if is_right:
            low, high = sizes
            is_right = self.slice == 0 or 1 <= low <= high
        _check("slice", self.slice, is_right=is_right, right="a whole number, or the smallest and the largest size")
        is_right = self.reset_after is None or (_is_whole(self.reset_after) and self.reset_after >= 0)
        _check("reset_after", self.reset_after, is_right=is_right, right="a whole number, 0 or more, or None")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check(name: str, value: object, *, is_right: bool, right: str) -> None:
    if not is_right:
        raise ValueError(f"{name} is {value!r}, it must be {right}")
