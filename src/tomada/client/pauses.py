"""How long to wait between two attempts to reach a server, and when to give up."""

from __future__ import annotations

from random import uniform
from typing import TYPE_CHECKING, Final

from tomada.settings import FIRST_PAUSE, LONGEST_PAUSE

if TYPE_CHECKING:
    from tomada.protocol import Engine

_LONGEST_AWAY: Final = 2.0
_SHORTEST_PART: Final = 0.5
"""Each pause is, by chance, from this part of itself to the whole: those who were cut together come back one by one."""


class Pauses:
    """Pauses that grow, each twice as long as the one before, until a time to give up.

    Times are in seconds, of any monotonic clock.

    Args:
        now: The time.
        seconds: For how long to go on.
        again: Whether a connection is made again that was lost: then chance shortens the pauses, and they grow longer.
    """

    __slots__ = ("_again", "_give_up", "_longest", "_next", "seconds")

    def __init__(self, now: float, seconds: float, *, again: bool = False) -> None:
        self.seconds = seconds
        self._give_up = now + seconds
        self._again = again
        self._longest = _LONGEST_AWAY if again else LONGEST_PAUSE
        self._next = FIRST_PAUSE

    def next(self, now: float) -> float | None:
        """How long to wait before the next attempt; None where it is time to give up."""
        left = self._give_up - now
        if left <= 0:
            return None
        pause, self._next = self._next, min(2 * self._next, self._longest)
        if self._again:
            pause = uniform(_SHORTEST_PART * pause, pause)  # noqa: S311 - no secret
        return min(pause, left)


def until_forgotten(engine: Engine, drain: float, now: float) -> Pauses:
    """To come back to a session: while the server keeps it or, where that has said goodbye, may still answer."""
    assert engine.session is not None, "only a session goes on"  # noqa: S101 - the house's own order
    seconds = engine.session.seconds
    return Pauses(now, min(seconds, drain) if engine.parted else seconds, again=True)
