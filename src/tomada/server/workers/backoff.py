"""How long until a worker that died is replaced."""

from __future__ import annotations

from typing import Final

LONGEST_PAUSE: Final = 30.0
"""Seconds between two attempts, however often they fail."""
HEALTHY: Final = 60.0
"""A worker that has served for so many seconds was a good one: the next is started at once again."""


class BackOff:
    """The pauses before the replacements of one place: 0, 1, 2, 4 … 30 seconds, as long as they die quickly."""

    __slots__ = ("_deaths",)

    def __init__(self) -> None:
        self._deaths = 0

    def pause(self, served: float) -> float:
        """Seconds to wait, after a worker that has served for `served` seconds; 0 where it never became ready."""
        if served >= HEALTHY:
            self._deaths = 0
        # Bounded, or the power would grow for as long as the machine runs.
        pause = min(2.0 ** min(self._deaths - 1, 10), LONGEST_PAUSE) if self._deaths else 0.0
        self._deaths += 1
        return pause
