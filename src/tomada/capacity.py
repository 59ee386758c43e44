"""What all connections of one server share: places for handlers, and room for bytes that wait.

Both count only where something waits anyway: a handler that has become a task, a peer that takes no more. What moves
costs nothing here.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

from tomada.telemetry import LimitStruck, Outcome, emit

if TYPE_CHECKING:
    import asyncio

PORTION: Final = 16_384
"""A connection is counted anew when so many bytes more wait in it."""
_HARD: Final = 2
"""At so many times the limit connections are cut."""


class Waiting(Protocol):
    """A connection whose messages wait for a place."""

    in_line: bool

    def start_one(self) -> bool:
        """Start the handler of one message, where that may be; whether another one waits for a place."""
        ...


class Places:
    """Places for handlers, `Limits.all_handlers`. Connections wait in line, and each gets one place in its turn.

    Args:
        most: How many there are.
        loop: Where handlers are started.
    """

    __slots__ = ("_is_due", "_line", "_loop", "_most", "is_full", "taken")

    def __init__(self, most: int, loop: asyncio.AbstractEventLoop) -> None:
        self._most = most
        self._loop = loop
        self._line: deque[Waiting] = deque()
        self._is_due = False
        self.taken = 0
        """How many handlers run."""
        self.is_full = False
        """Whether one more must wait: there is no place, or others are before it."""

    def take(self) -> None:
        """A handler has become a task."""
        self.taken += 1
        if self.taken >= self._most and not self.is_full:
            self.is_full = True
            if LimitStruck.subscribers:
                emit(LimitStruck(limit="all_handlers", allowed=self._most, outcome=Outcome.PAUSED, where="the server"))

    def free(self) -> None:
        """It has ended."""
        self.taken -= 1
        if self.is_full:
            self._serve_soon()

    def wait(self, who: Waiting) -> None:
        """Let `who` wait in line; it may be there already."""
        if not who.in_line:
            who.in_line = True
            self._line.append(who)
            self._serve_soon()

    def _serve_soon(self) -> None:
        if self.taken < self._most and not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._serve)

    def _serve(self) -> None:
        """One place for each, from the first in line on; who needs more stands at the end again."""
        self._is_due = False
        for _ in range(len(self._line)):
            if self.taken >= self._most:
                return
            who = self._line.popleft()
            who.in_line = False
            if who.start_one() and not who.in_line:
                who.in_line = True
                self._line.append(who)
        self.is_full = bool(self._line) or self.taken >= self._most
        if self._line:
            self._serve_soon()


class Holder(Protocol):
    """A connection that may hold bytes."""

    def held(self) -> int:
        """How many bytes wait here just now, to be sent or to be received."""
        ...

    def squeeze(self, *, squeezed: bool) -> None:
        """Read no more until what waits has been sent; or go on."""
        ...

    def end(self, reason: str) -> None:
        """End the connection at once, for good: nothing of it is held any longer."""
        ...


class Room:
    """Room for bytes that wait, `Limits.all_buffer_bytes`.

    Above the limit no connection that holds some is read, until it holds none or all of them together hold half of the
    limit. At twice the limit the one that holds the most is cut, and so on: that bound is hard.

    Args:
        most: The limit, in bytes; `inf`: none.
    """

    __slots__ = ("_held", "_is_over", "_most", "total")

    def __init__(self, most: float) -> None:
        self._most = most
        self._held: dict[Holder, int] = {}
        self._is_over = False
        """Whether connections wait until there is room again."""
        self.total = 0
        """Bytes that wait, as counted last: never fewer than there are but for a portion in each, perhaps more."""

    def weigh(self, holder: Holder) -> None:
        """Count what `holder` holds by now."""
        self._count(holder)
        if self._is_over:
            self._go_on(holder)
        elif self.total > self._most:
            self._look_again()
            if self.total > self._most:
                self._stop()

    def forget(self, holder: Holder) -> None:
        """It has ended, and holds nothing."""
        self.total -= self._held.pop(holder, 0)
        if self._is_over:
            self._relax()

    def _count(self, holder: Holder) -> None:
        held = holder.held()
        self.total += held - self._held.get(holder, 0)
        if held:
            self._held[holder] = held
        else:
            self._held.pop(holder, None)

    def _look_again(self) -> None:
        """Who has got rid of something need not have said so."""
        for holder in tuple(self._held):
            self._count(holder)

    def _stop(self) -> None:
        self._is_over = True
        self._tell(Outcome.PAUSED)
        for holder in tuple(self._held):
            holder.squeeze(squeezed=True)
        self._cut_largest()
        self._relax()

    def _go_on(self, holder: Holder) -> None:
        holder.squeeze(squeezed=holder in self._held)
        if self.total > _HARD * self._most:
            self._look_again()
            self._cut_largest()
        self._relax()

    def _relax(self) -> None:
        if self.total > self._most / 2:
            return
        self._is_over = False
        for holder in tuple(self._held):
            holder.squeeze(squeezed=False)

    def _cut_largest(self) -> None:
        while self.total > _HARD * self._most:
            largest = max(self._held, key=self._held.__getitem__)
            held = self._held.pop(largest)
            self.total -= held
            self._tell(Outcome.REFUSED)
            largest.end(
                f"{held:,} bytes waited for its peer, and in all connections together "
                f"more than twice the server's limit of {self._most:,} bytes"
            )

    def _tell(self, outcome: Outcome) -> None:
        if LimitStruck.subscribers:
            emit(LimitStruck(limit="all_buffer_bytes", allowed=int(self._most), outcome=outcome, where="the server"))
