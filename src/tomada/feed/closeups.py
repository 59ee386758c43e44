"""The connections that somebody looks at closely: the last frames of each, for all who look."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final

from tomada.feed.inner import Closeup

if TYPE_CHECKING:
    from tomada.feed.messages import FrameRow
    from tomada.feed.seen import Seen

MOST_FRAMES: Final = 200
_MOST: Final = 32
"""Connections that are looked at at once."""
_PATIENCE: Final = 5.0
"""Whoever looks, looks again within so many seconds."""


class _Look:
    """At one connection."""

    __slots__ = ("asked_at", "frames", "last")

    def __init__(self) -> None:
        self.asked_at = 0.0
        self.frames: deque[tuple[int, FrameRow]] = deque(maxlen=MOST_FRAMES)
        """With the number of the last frame that each stands for."""
        self.last = -1

    def after(self, number: int) -> tuple[list[FrameRow], int]:
        """What is new, and how many frames more there were."""
        new = [row for last, row in self.frames if last > number]
        return new, max(0, self.last - number - sum(row.count for row in new)) if number >= 0 else 0


class Closeups:
    """Looks at connections for as long as somebody asks."""

    def __init__(self) -> None:
        self._looks: dict[str, _Look] = {}

    def look(self, seen: Seen | None, worker: int, after: int) -> Closeup:
        """The connection now, and its frames after that number."""
        now = time.monotonic()
        self._forget(now)
        if seen is None:
            return Closeup(None, [], after, 0)
        look = self._looks.get(seen.id)
        if look is None and len(self._looks) < _MOST:
            look = self._looks[seen.id] = _Look()
        if look is None:
            return Closeup(seen.row(worker), [], after, 0)
        look.asked_at = now
        frames, passed_over = look.after(after)
        return Closeup(seen.row(worker), frames, look.last, passed_over)

    def stop(self) -> None:
        """Look at none any more."""
        self._looks.clear()

    def _forget(self, now: float) -> None:
        for id_, look in tuple(self._looks.items()):
            if now > look.asked_at + _PATIENCE:
                del self._looks[id_]
