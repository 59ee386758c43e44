"""The connections that somebody looks at closely: the last frames of each, for all who look."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from tomada.feed.inner import Closeup
from tomada.feed.lenses import Lens
from tomada.link import Link

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

    __slots__ = ("_frames", "_last", "asked_at", "lens")

    def __init__(self, seen: Seen) -> None:
        end = seen.end
        self.asked_at = 0.0
        is_here = isinstance(end, Link) and end.loop is asyncio.get_running_loop()
        self.lens = Lens(end) if is_here and isinstance(end, Link) else None
        self._frames: deque[tuple[int, FrameRow]] = deque(maxlen=MOST_FRAMES)
        """With the number of the last frame that each stands for."""
        self._last = -1

    def after(self, number: int) -> tuple[list[FrameRow], int, int]:
        """What is new; the number of the last frame; and how many frames more there were."""
        if self.lens is not None:
            rows, passed_over = self.lens.take()
            self._last += passed_over
            for row in rows:
                self._last += row.count
                self._frames.append((self._last, row))
        new = [row for last, row in self._frames if last > number]
        missed = self._last - max(number, -1) - sum(row.count for row in new)
        return new, self._last, max(0, missed)


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
            look = self._looks[seen.id] = _Look(seen)
        if look is None:
            return Closeup(seen.row(worker), [], after, 0)
        look.asked_at = now
        frames, last, missed = look.after(after)
        return Closeup(seen.row(worker), frames, last, missed)

    def stop(self) -> None:
        """Look at none any more."""
        self._forget(float("inf"))

    def _forget(self, now: float) -> None:
        for id_, look in tuple(self._looks.items()):
            if now > look.asked_at + _PATIENCE:
                if look.lens is not None:
                    look.lens.close()
                del self._looks[id_]
