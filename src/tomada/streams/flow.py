"""What the event loop calls for one stream: keeps what has come, wakes who waits, and watches the deadlines."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar, cast

from tomada.errors import BufferFull, ConnectionLost, StreamBusy, StreamEnded, TimedOut
from tomada.streams.buffer import ReceiveBuffer
from tomada.transports import peer_address, reset

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tomada.address import Address
    from tomada.settings import Deadlines, Limits

T = TypeVar("T")

Wait: TypeAlias = "tuple[float, float, bool]"
"""When it ends on the loop's clock, how many seconds that were, and whether what comes meanwhile does not change it."""

QUIET: Final = 1.0
"""Once its server stops, a stream on which nothing comes for so many seconds is over."""
LINGER: Final = 1.0
"""How long a closed stream goes on receiving, and dropping, what the peer sends, in seconds: bytes that meet a closed
socket make the kernel send a reset, which destroys what the peer has not read yet (RFC 1122, section 4.2.2.13)."""
CLOSED: Final = "the stream was closed at this end"


class Flow(asyncio.Protocol):
    """Both directions of one stream.

    There is one timer, set only where something waits and left alone while things move: when it strikes it looks
    whether the deadline that it was set for still holds, and else sets itself anew.

    Args:
        limits: `Limits.receive_bytes` and `Limits.buffer_bytes` bound what waits here.
        deadlines: How long things may take.
        begin: Called when the stream is open.
    """

    __slots__ = (
        "_begin",
        "_clogged",
        "_due",
        "_is_paused",
        "_is_stopping",
        "_needed",
        "_peer_end",
        "_progress",
        "_reader",
        "_timer",
        "_timer_at",
        "_writers",
        "buffer",
        "deadlines",
        "drops",
        "ended",
        "file",
        "is_ended",
        "is_shut",
        "limits",
        "loop",
        "lost",
        "peer",
        "transport",
    )

    transport: asyncio.Transport
    peer: Address

    def __init__(self, limits: Limits, deadlines: Deadlines, begin: Callable[[Flow], None] | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        self.limits = limits
        self.deadlines = deadlines
        self.buffer = ReceiveBuffer()
        self.is_ended = False
        """The peer sends no more."""
        self.is_shut = False
        """This end sends no more."""
        self.file: asyncio.Future[None] | None = None
        """Done when the file that is being sent is: whoever wants to send waits for it."""
        self.drops = False
        """Whether what comes is dropped."""
        self.lost = ""
        """Why nothing can be sent or received any more; empty while it can."""
        self.ended: asyncio.Future[None] = self.loop.create_future()
        """Done when the connection is gone."""
        self._begin = begin
        self._reader: asyncio.Future[None] | None = None
        self._needed = 1
        self._due = 0.0
        self._writers: list[asyncio.Future[None]] = []
        self._clogged = False
        self._progress = (0, 0.0)
        self._is_paused = False
        self._is_stopping = False
        self._peer_end: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    # The event loop calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The stream is open."""
        self.transport = cast("asyncio.Transport", transport)
        # So the transport tells at once when the kernel takes no more; and uvloop, which else collects what is written
        # until the end of its turn, writes at once.
        self.transport.set_write_buffer_limits(0)
        self.peer = peer_address(transport)
        if self._begin is not None:
            self._begin(self)

    def data_received(self, data: bytes) -> None:
        """Keep what has come; where it is too much, receive no more until some is taken."""
        if self.drops:
            return
        buffer = self.buffer
        buffer.append(data)
        reader = self._reader
        if reader is not None and buffer.size >= self._needed and not reader.done():
            reader.set_result(None)
        if buffer.size >= self.limits.receive_bytes and buffer.size >= self._needed:
            self._is_paused = True
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """The peer sends no more; this end still may."""
        self.is_ended = True
        self._wake_reader()
        if self._peer_end is not None and not self._peer_end.done():
            self._peer_end.set_result(None)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: all that waits for it wakes up."""
        self.lost = self.lost or ("the connection was closed" if exc is None else f"the connection was lost: {exc}")
        if self._timer is not None:
            self._timer.cancel()
        self._wake_reader()
        self._wake_writers()
        if not self.ended.done():
            self.ended.set_result(None)

    def pause_writing(self) -> None:
        """The kernel takes no more."""
        self._clogged = True
        self._progress = (self.transport.get_write_buffer_size(), self.loop.time() + self.deadlines.progress)
        self._arm(self._progress[1])

    def resume_writing(self) -> None:
        """The kernel has taken all."""
        self._clogged = False
        self._wake_writers()

    # Receiving.

    def wait(self, timeout: float | None) -> Wait:
        """How long a wait that begins now may take: `timeout` seconds, or by default `Deadlines.idle`."""
        seconds = self.deadlines.idle if timeout is None else timeout
        return self.loop.time() + seconds, seconds, timeout is not None

    async def arrival(self, wait: Wait, needed: int = 1) -> None:
        """Wait until `needed` bytes are here, or the end. Raises `TimedOut`, `StreamBusy`."""
        if self._reader is not None:
            raise StreamBusy(f"another task receives from {self.peer} just now: let one task receive")
        self._needed = needed
        reader = self._reader = self.loop.create_future()
        self._due = wait[0]
        if self._is_stopping:
            self.hurry()
        else:
            self._arm(self._due)
        if self._is_paused:
            self._resume()
        try:
            await reader
        except TimeoutError:
            if self._is_stopping:
                raise ConnectionLost("the server stops") from None
            raise TimedOut(f"{self.peer} did not send what was waited for within {wait[1]:g} s") from None
        finally:
            self._reader = None
            self._needed = 1

    async def gather(self, count: int, wait: Wait) -> Wait:
        """Wait until `count` bytes are here; the wait that is left."""
        buffer = self.buffer
        while buffer.size < count:
            self.check_end(count)
            wait = self.begun(wait)
            await self.arrival(wait, count if buffer.size else 1)
        return wait

    def begun(self, wait: Wait) -> Wait:
        """`wait`, where something has come: without a time-out, what has begun must be whole by `Deadlines.frame`."""
        end, _, is_fixed = wait
        if is_fixed or not self.buffer.size:
            return wait
        seconds = self.deadlines.frame
        return min(end, self.loop.time() + seconds), seconds, True

    def check_end(self, count: int) -> None:
        """Raise `StreamEnded` or `ConnectionLost` where the rest of `count` bytes does not come."""
        if self.is_ended and self.lost != CLOSED:
            received = self.buffer.peek(self.buffer.size)
            raise StreamEnded(f"{self.peer} ended the stream: {len(received)} of {count} bytes came", received)
        self.check_lost()

    def check_lost(self) -> None:
        """Raise `ConnectionLost` where the connection is gone."""
        if self.lost and (not self.is_ended or self.lost == CLOSED):
            raise ConnectionLost(self.lost)

    def take(self, most: int) -> bytes:
        """The first bytes, at most so many."""
        taken = self.buffer.take(most)
        if self._is_paused:
            self.relax()
        return taken

    def relax(self) -> None:
        """Receive again where there is room."""
        if self._is_paused and self.buffer.size < self.limits.receive_bytes // 2:
            self._resume()

    def deafen(self) -> None:
        """This end receives no more: the end is all there is to receive."""
        self.is_ended = True
        self.drop()
        self._wake_reader()

    def drop(self) -> None:
        """Take no notice of what comes from now on, nor of what has come."""
        self.drops = True
        self.buffer.clear()
        self._resume()

    def _resume(self) -> None:
        self._is_paused = False
        if not self.transport.is_closing():
            self.transport.resume_reading()

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    # Sending.

    def write(self, data: bytes) -> None:
        """Hand `data` to the transport. Raises `ConnectionLost`."""
        if self.lost or self.is_shut:
            raise ConnectionLost(self.lost or "this end of the stream was shut down for sending")
        self.transport.write(data)

    def shut(self) -> None:
        """Send no more, and tell the peer so, after all that was sent."""
        if not self.is_shut and not self.transport.is_closing():
            self.is_shut = True
            self.transport.write_eof()

    @property
    def is_full(self) -> bool:
        """Whether more waits to be sent than `Limits.buffer_bytes`."""
        return self._clogged and self.transport.get_write_buffer_size() > self.limits.buffer_bytes

    def check_room(self) -> None:
        """Raise `BufferFull` where a sender would have to wait."""
        if self.file is not None:
            raise BufferFull(f"a file is being sent to {self.peer}: `await send()` waits for its end")
        if self.is_full:
            waiting = self.transport.get_write_buffer_size()
            raise BufferFull(f"{waiting} bytes wait until {self.peer} takes them: `await send()` waits for room")

    async def writable(self, timeout: float | None, *, empty: bool = False) -> None:
        """Wait until there is room, or until nothing waits to be sent. Raises `TimedOut`, `ConnectionLost`."""
        await self.within(timeout, self._until_writable(empty=empty), "did not take what was sent")
        if self.lost:
            raise ConnectionLost(self.lost)

    async def _until_writable(self, *, empty: bool) -> None:
        while (self._clogged if empty else self.is_full) and not self.lost:
            turn = self.loop.create_future()
            self._writers.append(turn)
            await turn

    async def after_file(self, timeout: float | None) -> None:
        """Wait for the end of the file that is being sent, if one is. Raises `TimedOut`."""
        while self.file is not None:
            await self.within(timeout, asyncio.shield(self.file), "did not take the file before this")

    @asynccontextmanager
    async def exclusively(self) -> AsyncIterator[None]:
        """Nobody else sends meanwhile."""
        await self.after_file(None)
        done = self.file = self.loop.create_future()
        try:
            yield
        finally:
            self.file = None
            done.set_result(None)

    async def within(self, timeout: float | None, work: Awaitable[T], failure: str) -> T:
        """What `work` gives; after `timeout` seconds it raises `TimedOut`, with the peer's `failure` as the reason."""
        try:
            async with asyncio.timeout(timeout):
                return await work
        except TimeoutError:
            raise TimedOut(f"{self.peer} {failure} within {timeout:g} s") from None

    def _wake_writers(self) -> None:
        writers, self._writers = self._writers, []
        for turn in writers:
            if not turn.done():
                turn.set_result(None)

    # Deadlines, and the end.

    def hurry(self) -> None:
        """The server stops: whoever waits to receive does so for a moment only."""
        self._is_stopping = True
        if self._reader is not None:
            self._due = min(self._due, self.loop.time() + QUIET)
            self._arm(self._due)

    def cut(self, reason: str) -> None:
        """End the connection at once, so that the peer does not take it for the end of all that was to be sent."""
        self.lost = self.lost or reason
        reset(self.transport)

    async def close(self) -> None:
        """End it when all is sent, up to `Deadlines.drain`; then, or if this is cancelled, at once."""
        is_first, self.lost = not self.lost, self.lost or CLOSED
        self._wake_reader()
        self._wake_writers()
        try:
            if is_first:
                await self._linger()
            self.transport.close()
            await asyncio.wait([self.ended], timeout=self.deadlines.drain)
        finally:
            if not self.ended.done():
                reset(self.transport)
        await asyncio.shield(self.ended)

    async def _linger(self) -> None:
        """Tell the peer that all is said, and hear it out for a moment."""
        self.drop()
        if self.is_ended or not self.transport.can_write_eof():
            return
        self.shut()
        if self._is_stopping:
            return
        self._peer_end = self.loop.create_future()
        await asyncio.wait([self._peer_end, self.ended], timeout=LINGER, return_when=asyncio.FIRST_COMPLETED)

    @property
    def no_progress(self) -> str:
        """Why a connection is cut whose peer takes nothing."""
        return f"the peer took nothing of what was sent for {self.deadlines.progress:g} s"

    def _arm(self, at: float) -> None:
        if self._timer is None or at < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = at
            self._timer = self.loop.call_at(at, self._strike)

    def _strike(self) -> None:
        self._timer = None
        now = self.loop.time()
        reader = self._reader
        if reader is not None and not reader.done():
            if now >= self._due:
                reader.set_exception(TimeoutError())
            else:
                self._arm(self._due)
        if self._clogged:
            self._check_progress(now)

    def _check_progress(self, now: float) -> None:
        """A peer that takes nothing for too long is dead, or means harm."""
        waiting, due = self._progress
        left = self.transport.get_write_buffer_size()
        if left < waiting:
            due = now + self.deadlines.progress
        elif now >= due:
            self.cut(self.no_progress)
            return
        self._progress = (left, due)
        self._arm(due)
