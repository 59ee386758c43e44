"""What the event loop calls for one stream: keeps what has come, wakes who waits, and watches the deadlines."""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from tomada.driven import parked
from tomada.errors import ConnectFailed, ConnectionLost, HandshakeFailed, StreamBusy, StreamEnded, TimedOut
from tomada.streams.buffer import ReceiveBuffer
from tomada.streams.outflow import Outflow
from tomada.transports import Admitted, Options, peer_address, reset, stack

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tomada.driven import Driven
    from tomada.settings import Deadlines, Limits

Wait: TypeAlias = "tuple[float, float]"
"""When it ends on the loop's clock, and how many seconds that were."""

PARTS: Final = 4
"""Into so many parts the time is cut that a stream may be idle: such a wait counts from the timer's next strike on, so
that it ends up to a part late, and in return it costs no look at the clock."""

QUIET: Final = 1.0
"""Once its server stops, a stream on which nothing comes for so many seconds is over."""
LINGER: Final = 1.0
"""How long a closed stream goes on receiving, and dropping, what the peer sends, in seconds: bytes that meet a closed
socket make the kernel send a reset, which destroys what the peer has not read yet (RFC 1122, section 4.2.2.13)."""
_ROW: Final = 200
"""So many pieces may be taken in a row, without a wait, before others have their turn."""
_MUCH: Final = 65_536
"""Where so many bytes come at once, others have their turn before more are received."""
CLOSED: Final = "the stream was closed at this end"


class Flow(Outflow):
    """Both directions of one stream.

    There is one timer, set only where something waits and left alone while things move: when it strikes it looks
    whether something is late, and else sets itself anew.

    Args:
        limits: `Limits.receive_bytes` and `Limits.buffer_bytes` bound what waits here.
        deadlines: How long things may take.
        begin: At the accepting end: called when the stream is open.
        options: Of its transport, and of TLS where it begins later.
        host: At the connecting end: the name that was connected to.
    """

    __slots__ = (
        "_begin",
        "_due",
        "_is_stopping",
        "_needed",
        "_peer_end",
        "_reader",
        "_row",
        "_seconds",
        "_timer",
        "_timer_at",
        "buffer",
        "driven",
        "drops",
        "ended",
        "host",
        "is_ended",
        "is_paused",
        "options",
        "ticket",
    )

    def __init__(
        self,
        limits: Limits,
        deadlines: Deadlines,
        begin: Callable[[Flow], None] | None = None,
        *,
        options: Options | None = None,
        host: str = "",
    ) -> None:
        super().__init__(limits, deadlines)
        self.options = options or Options(handshake=deadlines.handshake)
        self.host = host
        self.buffer = ReceiveBuffer()
        self.is_ended = False
        """The peer sends no more."""
        self.drops = False
        """Whether what comes is dropped."""
        self.is_paused = False
        """Whether so much has come that reading pauses."""
        self.ended: asyncio.Future[None] = self.loop.create_future()
        """Done when the connection is gone."""
        self.driven: Driven | None = None
        """Its handler, which is carried on at once when what it waits for has come."""
        self.ticket: Admitted | None = None
        """At the accepting end: what it was admitted with."""
        self._begin = begin
        self._reader: asyncio.Future[None] | None = None
        self._needed = 1
        self._row = 0
        self._due = 0.0
        """When the wait for something to come ends; 0 where it is by `Deadlines.idle`, until the timer strikes."""
        self._seconds = 0.0
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
        if buffer.size >= self._needed:
            driven = self.driven
            if driven is not None and driven.is_parked:
                driven.resume()
            elif self._reader is not None:
                self._wake_reader()
            if buffer.size and buffer.size >= self.limits.receive_bytes:
                self.is_paused = True
                self.transport.pause_reading()
            elif len(data) >= _MUCH:
                # uvloop reads on and on while a lot comes, and nothing else runs meanwhile.
                self.transport.pause_reading()
                self.loop.call_soon(self._read_on, self.transport)

    def _read_on(self, transport: asyncio.Transport) -> None:
        if not self.is_paused and not transport.is_closing():
            transport.resume_reading()

    def eof_received(self) -> bool:
        """The peer sends no more; this end still may."""
        self.is_ended = True
        self._wake_reader()
        if self._peer_end is not None and not self._peer_end.done():
            self._peer_end.set_result(None)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: all that waits for it wakes up."""
        self._lose("the connection was closed" if exc is None else f"the connection was lost: {exc}")
        if self._timer is not None:
            self._timer.cancel()
        if self.ticket is not None:
            self.ticket.release()
        if not self.ended.done():
            self.ended.set_result(None)

    def _lose(self, reason: str) -> None:
        self.lost = self.lost or reason
        self.is_free = False
        self._wake_reader()
        self.wake_writers()

    # Receiving.

    def wait(self, timeout: float | None) -> Wait | None:
        """How long a wait that begins now may take; None, by default, is `Deadlines.idle`."""
        return None if timeout is None else (self.loop.time() + timeout, timeout)

    def arrival(self, wait: Wait | None = None, needed: int = 1) -> Awaitable[None]:
        """To be awaited at once: until `needed` bytes are here, or the end. Raises `TimedOut`, `StreamBusy`."""
        reader, driven = self._reader, self.driven
        if (reader is not None and not reader.done()) or (driven is not None and driven.is_parked):
            raise StreamBusy(f"another task receives from {self.peer} just now: let one task receive")
        self._needed = needed
        self._row = 0
        if wait is not None:
            self._due, self._seconds = wait
            self.arm(self._due)
        else:
            self._due = 0.0
            if self._timer is None:
                self.arm(inf)
        if self._is_stopping:
            self._end_soon()
        if self.is_paused:
            self._resume()
        if driven is not None and driven.is_running and asyncio.current_task() is driven.task:
            return parked()
        self._reader = self.loop.create_future()
        return self._reader

    async def gather(self, count: int, wait: Wait | None) -> Wait | None:
        """Wait until `count` bytes are here; the wait that is left."""
        buffer = self.buffer
        while buffer.size < count:
            self.check_end(count)
            wait = self._begun(wait)
            await self.arrival(wait, count if buffer.size else 1)
        return wait

    def _begun(self, wait: Wait | None) -> Wait | None:
        """`wait`, where something has come: without a time-out, what has begun must be whole by `Deadlines.frame`."""
        return self.wait(self.deadlines.frame) if wait is None and self.buffer.size else wait

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

    def has_had_many(self) -> bool:
        """To be asked before a piece is taken: whether others should have their turn first.

        A peer may send very many pieces in one go.
        """
        self._row += 1
        if self._row <= _ROW:
            return False
        self._row = 0
        return True

    def take(self, most: int) -> bytes:
        """The first bytes, at most so many."""
        taken = self.buffer.take(most)
        if self.is_paused:
            self.relax()
        return taken

    def relax(self) -> None:
        """Receive again where there is room."""
        if self.is_paused and self.buffer.size < self.limits.receive_bytes // 2:
            self._resume()

    def deafen(self) -> None:
        """This end receives no more: the end is all there is to receive."""
        self.is_ended = True
        self._drop()
        self._wake_reader()

    def _drop(self) -> None:
        """Take no notice of what comes from now on, nor of what has come."""
        self.drops = True
        self.buffer.clear()
        self._resume()

    def _resume(self) -> None:
        self.is_paused = False
        if not self.transport.is_closing():
            self.transport.resume_reading()

    @property
    def _has_reader(self) -> bool:
        reader, driven = self._reader, self.driven
        return (driven is not None and driven.is_parked) or (reader is not None and not reader.done())

    def _wake_reader(self, error: Exception | None = None) -> None:
        reader = self._reader
        if self.driven is not None and self.driven.is_parked:
            self.loop.call_soon(self._unpark, self.driven, error)
        elif reader is not None and not reader.done():
            if error is None:
                reader.set_result(None)
            else:
                reader.set_exception(error)

    @staticmethod
    def _unpark(driven: Driven, error: Exception | None) -> None:
        """Carry the handler on, if that has not happened meanwhile."""
        if driven.is_parked:
            driven.resume(error)

    async def start_tls(self, options: Options) -> None:
        """See `Stream.start_tls`."""
        async with self.exclusively():
            # TLS does not hear from below that there is room again before its handshake is complete.
            await self.writable(None, empty=True)
            unread = self.buffer.peek(self.buffer.size)
            try:
                self.transport = await stack.start_tls(self.transport, self, options, hostname=self.host, unread=unread)
            except ConnectFailed as error:
                raise HandshakeFailed(str(error)) from error

    # Deadlines, and the end.

    def hurry(self) -> None:
        """The server stops: whoever waits to receive does so for a moment only."""
        self._is_stopping = True
        if self._has_reader:
            self._end_soon()

    def _end_soon(self) -> None:
        soon = self.loop.time() + QUIET
        self._due = min(self._due or soon, soon)
        self.arm(self._due)

    def cut(self, reason: str) -> None:
        """End the connection at once, so that the peer does not take it for the end of all that was to be sent."""
        self._lose(reason)
        if not self.ended.done():
            reset(self.transport)

    async def close(self) -> None:
        """End it when all is sent, up to `Deadlines.drain`; then, or if this is cancelled, at once."""
        is_first = not self.lost
        self._lose(CLOSED)
        try:
            if is_first:
                self.hand_over()
                await self._linger()
            self.transport.close()
            await asyncio.wait([self.ended], timeout=self.deadlines.drain)
        finally:
            self.cut(CLOSED)
        await asyncio.shield(self.ended)

    async def _linger(self) -> None:
        """Tell the peer that all is said, and hear it out for a moment."""
        self._drop()
        if self.is_ended or not self.transport.can_write_eof():
            return
        self.shut()
        if self._is_stopping:
            return
        self._peer_end = self.loop.create_future()
        await asyncio.wait([self._peer_end, self.ended], timeout=LINGER, return_when=asyncio.FIRST_COMPLETED)

    def arm(self, at: float) -> None:
        """Let the timer strike then, or before."""
        if self._timer is None or at < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = min(at, self.loop.time() + self.deadlines.idle / PARTS)
            self._timer = self.loop.call_at(self._timer_at, self._strike)

    def _strike(self) -> None:
        self._timer = None
        now = self.loop.time()
        if self._has_reader:
            if not self._due:
                self._seconds = self.deadlines.idle
                self._due = now + self._seconds
            if now >= self._due:
                self._wake_reader(self._late())
            else:
                self.arm(self._due)
        if self.clogged:
            self.check_progress(now)

    def _late(self) -> Exception:
        if self._is_stopping:
            return ConnectionLost("the server stops")
        return TimedOut(f"{self.peer} did not send what was waited for within {self._seconds:g} s")
