"""The sending half of a stream: what waits to be sent, who waits for room, and a peer that takes nothing.

The lower half of a `Flow`.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from math import inf
from typing import TYPE_CHECKING, Final, TypeVar

from tomada.capacity import PORTION
from tomada.errors import BufferFull, ConnectionLost, TimedOut
from tomada.telemetry import late
from tomada.transports import unacknowledged

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from tomada.address import Address
    from tomada.settings import Deadlines, Limits

T = TypeVar("T")

LOOK: Final = 0.5
"""So long after the kernel took no more it is looked whether the peer takes something, and then again and again."""
PIECE: Final = 65_536
"""Less than this is kept back while the kernel takes no more: an event loop holds each piece that waits as an object of
its own, and asyncio sums them all up whenever one more comes."""


class Outflow(asyncio.Protocol):
    """What is sent on one stream. How the connection ends is the subclass's.

    Args:
        limits: `Limits.buffer_bytes` bounds what waits here.
        deadlines: How long things may take.
    """

    __slots__ = (
        "_due_progress",
        "_file",
        "_kept",
        "_next_unsent",
        "_taken",
        "_writers",
        "clogged",
        "deadlines",
        "is_free",
        "is_shut",
        "limits",
        "loop",
        "lost",
        "peer",
        "sent_bytes",
        "transport",
        "waiting",
    )

    transport: asyncio.Transport
    peer: Address

    def __init__(self, limits: Limits, deadlines: Deadlines) -> None:
        self.loop = asyncio.get_running_loop()
        self.limits = limits
        self.deadlines = deadlines
        self.lost = ""
        """Why nothing can be sent or received any more; empty while it can."""
        self.is_shut = False
        """This end sends no more."""
        self.clogged = False
        """The kernel takes no more: what is sent waits."""
        self.is_free = True
        """Whether anybody may send: no file is being sent, and the stream is neither shut nor lost."""
        self._file: asyncio.Future[None] | None = None
        """Done when the file that is being sent is."""
        self._writers: list[asyncio.Future[None]] = []
        self._kept = bytearray()
        """What waits here, while the kernel takes no more, to be handed to the transport."""
        self._next_unsent = PORTION
        """When so much waits to be sent, it is counted anew in all streams together."""
        self._due_progress = inf
        self._taken = 0
        """How many bytes the peer had taken when it was looked last."""
        self.sent_bytes = 0
        """All that was handed over so far."""
        self.waiting = 0
        """At most so much waits to be sent: what was counted last, and what was sent since."""

    def end(self, reason: str) -> None:
        """End it at once: a byte stream has no session."""
        self.cut(reason)

    def cut(self, reason: str) -> None:
        """End the connection at once."""
        raise NotImplementedError

    def look_at(self, at: float) -> None:
        """Let the wheel look then, or before."""
        raise NotImplementedError

    def weigh(self) -> None:
        """Count what waits here, in all streams of a server together."""
        raise NotImplementedError

    # The event loop calls these.

    def pause_writing(self) -> None:
        """The kernel takes no more."""
        self.clogged = True
        self.waiting = self.transport.get_write_buffer_size()
        self.look_at(self.loop.time() + LOOK)

    def resume_writing(self) -> None:
        """The kernel has taken all."""
        self.clogged = False
        self.hand_over()
        if self._next_unsent > PORTION and not self.clogged:
            self.weigh()
        self.wake_writers()

    # Sending.

    def write(self, data: bytes) -> None:
        """Hand `data` to the transport. Raises `ConnectionLost`."""
        self._check_open()
        was_clogged = self.clogged
        self.sent_bytes += len(data)
        if was_clogged:
            self.keep(data)
        else:
            self.transport.write(data)
        if self.clogged and not was_clogged:
            self.count()

    def has_sent(self, count: int) -> None:
        """So many bytes went another way than by `write`."""
        self.sent_bytes += count

    def keep(self, data: bytes) -> None:
        """Let `data` wait while the kernel takes no more: what is small here, as one piece."""
        self.waiting += len(data)
        if self.waiting >= self._next_unsent:
            self.weigh()
        if len(self._kept) + len(data) > PIECE:
            self.hand_over()
        if len(data) < PIECE:
            self._kept += data
        else:
            self.transport.write(data)

    def hand_over(self) -> None:
        """Give the transport what waits here."""
        if self._kept:
            kept = bytes(self._kept)
            self._kept.clear()
            self.transport.write(kept)

    def count(self) -> None:
        """Look how much waits."""
        self.waiting = self.transport.get_write_buffer_size() + len(self._kept)
        if self.waiting >= self._next_unsent:
            self.weigh()

    def unsent(self) -> int:
        """How much waits to be sent, exactly; when more does, it is counted anew."""
        if not self.clogged:
            self._next_unsent = PORTION
            return 0
        left = self.transport.get_write_buffer_size() + len(self._kept)
        self._next_unsent = left + PORTION
        return left

    def write_nowait(self, data: bytes) -> None:
        """The same where nobody would have to wait. Raises `BufferFull`, `ConnectionLost`."""
        if self._file is not None:
            raise BufferFull(f"a file is being sent to {self.peer}: `await send()` waits for its end")
        if self.is_full:
            raise BufferFull(f"{self.waiting} bytes wait until {self.peer} takes them: `await send()` waits for room")
        self.write(data)

    def shut(self) -> None:
        """Send no more, and tell the peer so, after all that was sent."""
        if not self.is_shut and not self.transport.is_closing():
            self.is_shut = True
            self.is_free = False
            self.hand_over()
            self.transport.write_eof()

    def _check_open(self) -> None:
        if self.lost or self.is_shut:
            raise ConnectionLost(self.lost or "this end of the stream was shut down for sending")

    # Waiting.

    @property
    def is_full(self) -> bool:
        """Whether more waits to be sent than `Limits.buffer_bytes`."""
        limit = self.limits.buffer_bytes
        if self.clogged and self.waiting > limit:
            self.count()  # not each time: asyncio sums up all that waits
        return self.clogged and self.waiting > limit

    async def writable(self, timeout: float | None, *, empty: bool = False) -> None:
        """Wait until there is room, or until nothing waits to be sent. Raises `TimedOut`, `ConnectionLost`."""
        await self.within(timeout, self._until_writable(empty=empty), "did not take what was sent")
        if self.lost:
            raise ConnectionLost(self.lost)

    async def _until_writable(self, *, empty: bool) -> None:
        while (self.clogged if empty else self.is_full) and not self.lost:
            turn = self.loop.create_future()
            self._writers.append(turn)
            await turn

    def wake_writers(self) -> None:
        """Let all who wait to send look again."""
        writers, self._writers = self._writers, []
        for turn in writers:
            if not turn.done():
                turn.set_result(None)

    async def turn(self, timeout: float | None) -> None:
        """Wait for the end of the file that is being sent, if one is. Raises `TimedOut`, `ConnectionLost`."""
        while self._file is not None:
            await self.within(timeout, asyncio.shield(self._file), "did not take the file before this")
        self._check_open()

    @asynccontextmanager
    async def exclusively(self) -> AsyncIterator[None]:
        """Nobody else sends meanwhile."""
        await self.turn(None)
        done = self._file = self.loop.create_future()
        self.is_free = False
        try:
            yield
        finally:
            self._file = None
            self.is_free = not (self.lost or self.is_shut)
            done.set_result(None)

    async def within(self, timeout: float | None, work: Awaitable[T], failure: str) -> T:
        """What `work` gives; after `timeout` seconds it raises `TimedOut`, with the peer's `failure` as the reason."""
        try:
            async with asyncio.timeout(timeout):
                return await work
        except TimeoutError:
            raise TimedOut(f"{self.peer} {failure} within {timeout:g} s") from None

    # A peer that takes nothing for too long is dead, or means harm.

    def cut_for_no_progress(self) -> None:
        """Cut a connection whose peer takes nothing."""
        late("progress", self.deadlines.progress, self.peer)
        self.cut(f"the peer took nothing of what was sent for {self.deadlines.progress:g} s")

    def check_progress(self, now: float) -> float:
        """Cut a connection whose peer takes nothing of what was sent, be it here or in the kernel; when to look again.

        The kernel asks for more only when a good part of its own buffer is free again: minutes may pass until then.
        """
        if self.sent_bytes == self._taken:
            return inf
        self.count()
        taken = self.sent_bytes - self.waiting - unacknowledged(self.transport)
        has_moved, self._taken = taken > self._taken, taken
        if taken == self.sent_bytes:
            self._due_progress = inf
            return inf
        if has_moved or self._due_progress == inf:
            self._due_progress = now + self.deadlines.progress
        elif now >= self._due_progress:
            self.cut_for_no_progress()
            return inf
        return min(now + LOOK, self._due_progress)
