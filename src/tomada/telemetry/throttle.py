"""What happens very often is told now and then, with how often it was: an attack must not fill the log.

Only the log is spared: other subscribers are told each event.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Final

from tomada.telemetry.events import ChildEnded, ConnectionEnded, Event, HandshakeEnded, LimitStruck, SessionEvicted

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS: Final = 1.0
"""So long lines are counted together."""
_MOST: Final[dict[type[Event], int]] = {
    LimitStruck: 1,
    SessionEvicted: 1,
    HandshakeEnded: 10,
    ChildEnded: 10,
    ConnectionEnded: 100,
}
"""How many lines there are of one kind in that time; of limits, for each limit."""


class Throttle:
    """Says which events get a line of their own, and has the others told together.

    Args:
        tell: Writes a line about an event, for itself and for so many others before it within so many seconds.
    """

    __slots__ = ("_kinds", "_lock", "_tell")

    def __init__(self, tell: Callable[[Event, int, float], None]) -> None:
        self._tell = tell
        self._lock = Lock()
        self._kinds: dict[tuple[type[Event], str], _Kind] = {}

    def clear(self) -> None:
        """Forget what was counted."""
        self._kinds.clear()

    def pass_on(self, event: Event) -> None:
        """Tell of an event, now or later."""
        most = _MOST.get(type(event))
        if most is None:
            self._tell(event, 0, 0.0)
            return
        key = type(event), event.limit if isinstance(event, LimitStruck) else ""
        with self._lock:
            kind = self._kinds.setdefault(key, _Kind())
            now = monotonic()
            late = kind.renewed(now, 0) if now >= kind.since + SECONDS else None
            is_told = kind.told < most
            if is_told:
                kind.told += 1
            elif kind.wait_for(event) == 1:
                self._tell_later(kind, kind.since, kind.since + SECONDS - now)
        if late is not None:
            self._tell(*late)
        if is_told:
            self._tell(event, 0, 0.0)

    def _tell_later(self, kind: _Kind, since: float, seconds: float) -> None:
        with suppress(RuntimeError):  # without a loop, the next one that comes tells of those before
            asyncio.get_running_loop().call_later(seconds, self._tell_now, kind, since)

    def _tell_now(self, kind: _Kind, since: float) -> None:
        with self._lock:
            late = kind.renewed(monotonic(), 1) if kind.since == since else None
        if late is not None:
            self._tell(*late)


class _Kind:
    """Lines of one kind."""

    __slots__ = ("last", "since", "told", "waiting")

    def __init__(self) -> None:
        self.since = -SECONDS
        self.told = 0
        self.waiting = 0
        self.last: Event | None = None

    def wait_for(self, event: Event) -> int:
        """Keep one that is told later; how many there are by now."""
        self.waiting += 1
        self.last = event
        return self.waiting

    def renewed(self, now: float, told: int) -> tuple[Event, int, float] | None:
        """Begin to count anew; what is to be told of those that waited."""
        last, before, seconds = self.last, self.waiting - 1, now - self.since
        self.since, self.told, self.waiting, self.last = now, told, 0, None
        return None if last is None else (last, before, seconds)
