"""What is kept of what has happened: the last lines of the log, and the limits and deadlines that struck."""

from __future__ import annotations

import logging
import time
from collections import deque
from math import inf
from typing import TYPE_CHECKING, Final

from tomada.feed.messages import LogLine, Strike
from tomada.telemetry import DeadlineStruck, LimitStruck, LoopBlocked, subscribe

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_LINES: Final = 1_000
LONGEST_LINE: Final = 2_000
"""Characters; peers may have chosen some of them."""
_MOST_KINDS: Final = 100


class Lines:
    """The last lines of a log, numbered from 0."""

    __slots__ = ("_lines", "_next")

    def __init__(self) -> None:
        self._lines: deque[LogLine] = deque(maxlen=MOST_LINES)
        self._next = 0

    def add(self, when: float, level: str, text: str, worker: int = 0) -> None:
        """Keep one more."""
        if len(text) > LONGEST_LINE:
            text = f"{text[:LONGEST_LINE]} …"
        self._lines.append(LogLine(self._next, when, level, text, worker))
        self._next += 1

    def after(self, number: int) -> list[LogLine]:
        """Those after the one of this number, as far as they are kept."""
        new = self._next - 1 - number
        return list(self._lines)[-new:] if new > 0 else []


class LogKeeper(logging.Handler):
    """Keeps what the process logs, in any of its threads, from INFO on."""

    def __init__(self, keep: Callable[[float, str, str], None]) -> None:
        super().__init__(logging.INFO)
        self._keep = keep

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        try:
            text = record.getMessage()
            if record.exc_info and record.exc_info[1] is not None:
                error = record.exc_info[1]
                text = f"{text}: {type(error).__name__}: {error}"
            self._keep(record.created, record.levelname, text)
        except Exception:  # noqa: BLE001 - a line that cannot be made is that logger's fault
            self.handleError(record)

    def start(self) -> None:
        """Keep from now on."""
        logging.getLogger().addHandler(self)

    def stop(self) -> None:
        """Keep no more."""
        logging.getLogger().removeHandler(self)


class _Struck:
    """How often, and whom last."""

    __slots__ = ("allowed", "at", "count", "where")

    def __init__(self) -> None:
        self.allowed = 0.0
        self.at = 0.0
        self.count = 0
        self.where = ""


class Strikes:
    """Limits and deadlines that somebody met. Their events are made for the log anyhow, so this costs little more."""

    def __init__(self) -> None:
        self._struck: dict[tuple[str, str], _Struck] = {}
        self._subscriptions = (
            subscribe(self._limit, LimitStruck),
            subscribe(self._deadline, DeadlineStruck),
            subscribe(self._blocked, LoopBlocked),
        )

    def stop(self) -> None:
        """Note no more."""
        for subscription in self._subscriptions:
            subscription.end()

    def told(self) -> list[Strike]:
        """All of them, the latest first."""
        now = time.monotonic()
        found = sorted(self._struck.items(), key=lambda item: -item[1].at)
        return [
            Strike(kind, name, one.allowed, one.count, one.where, max(0.0, now - one.at)) for (kind, name), one in found
        ]

    def _limit(self, event: LimitStruck) -> None:
        self._note("limit", event.limit, event.allowed, event.where)

    def _deadline(self, event: DeadlineStruck) -> None:
        self._note("deadline", event.deadline, event.seconds, event.peer)

    def _blocked(self, event: LoopBlocked) -> None:
        self._note("deadline", "turn", event.seconds, f"{event.handler}, {event.place}", times=int(event.is_over))

    def _note(self, kind: str, name: str, allowed: float, where: str, *, times: int = 1) -> None:
        struck = self._struck.get((kind, name))
        if struck is None:
            if len(self._struck) >= _MOST_KINDS:
                return
            struck = self._struck[kind, name] = _Struck()
        struck.allowed = allowed if allowed != inf else 0.0
        struck.at = time.monotonic()
        struck.count += times
        struck.where = where[:LONGEST_LINE]
