"""The receiving half of a stream: what has come, who waits for more, and until when.

The middle part of a `Flow`.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING, Final, TypeAlias

from tomada.driven import parked
from tomada.errors import ConnectionLost, StreamBusy, StreamEnded, TimedOut
from tomada.streams.backlog import Backlog
from tomada.telemetry import late

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tomada.capacity import Room
    from tomada.driven import Driven
    from tomada.settings import Deadlines, Limits

Wait: TypeAlias = "tuple[float, float, str]"
"""When it ends on the loop's clock, how many seconds that were, and by which deadline: empty for a call's own."""

PARTS: Final = 10
"""Into so many parts the time is cut that a stream may be idle: such a wait counts from the wheel's next look on, so
that it ends up to a part late, and in return it costs no look at the clock."""
_STOPPED: Final = "stopped"
"""In place of a deadline's name: this end stops."""
QUIET: Final = 1.0
"""Once its server stops, a stream on which nothing comes for so many seconds is over."""
_ROW: Final = 200
"""So many pieces may be taken in a row, without a wait, before others have their turn."""
_MUCH: Final = 65_536
"""Where so many bytes come at once, others have their turn before more are received."""
CLOSED: Final = "the stream was closed at this end"


class Inflow(Backlog):
    """What is received on one stream. Its waits end by two clocks: see `Flow`.

    Args:
        limits: `Limits.receive_bytes` bounds what waits here.
        deadlines: How long things may take.
        room: What all that waits in the streams of a server shares.
    """

    __slots__ = (
        "_is_stopping",
        "_moved",
        "_needed",
        "_reader",
        "_row",
        "_timer",
        "_timer_at",
        "_wait",
        "driven",
        "is_ended",
        "received_bytes",
    )

    def __init__(self, limits: Limits, deadlines: Deadlines, room: Room | None) -> None:
        super().__init__(limits, deadlines, room)
        self.received_bytes = 0
        """All that came so far."""
        self.is_ended = False
        """The peer sends no more."""
        self.driven: Driven | None = None
        """Its handler, which is carried on at once when what it waits for has come."""
        self._reader: asyncio.Future[None] | None = None
        self._needed = 1
        self._row = 0
        self._wait: Wait | None = None
        """Of who waits for something to come; none where it is by `Deadlines.idle`, until the wheel looks."""
        self._moved = 0
        """How many bytes had come and gone when the wheel found somebody idle."""
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._is_stopping = False

    def data_received(self, data: bytes) -> None:
        """Keep what has come; where it is too much, receive no more until some is taken."""
        size = len(data)
        self.received_bytes += size
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
            elif size >= _MUCH:
                # uvloop reads on and on while a lot comes, and nothing else runs meanwhile.
                self.transport.pause_reading()
                self.loop.call_soon(self._read_on, self.transport)
        if buffer.size >= self.next_unread:
            self.weigh()

    def _read_on(self, transport: asyncio.Transport) -> None:
        if not self.is_paused and not transport.is_closing():
            transport.resume_reading()

    # Receiving.

    def wait(self, timeout: float | None) -> Wait | None:
        """How long a wait that begins now may take; None, by default, is `Deadlines.idle`."""
        return None if timeout is None else (self.loop.time() + timeout, timeout, "")

    def arrival(self, wait: Wait | None = None, needed: int = 1) -> Awaitable[None]:
        """To be awaited at once: until `needed` bytes are here, or the end. Raises `TimedOut`, `StreamBusy`."""
        reader, driven = self._reader, self.driven
        if (reader is not None and not reader.done()) or (driven is not None and driven.is_parked):
            raise StreamBusy(f"another task receives from {self.peer} just now: let one task receive")
        self._needed = needed
        self._row = 0
        self._wait = wait
        if wait is not None:
            self._watch(wait)
        if self._is_stopping:
            self._end_soon()
        if self.is_paused and not (self.is_squeezed and self.clogged):
            self._resume()  # whoever waits gets what there is, and more
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
        if wait is not None or not self.buffer.size:
            return wait
        seconds = self.deadlines.frame
        return self.loop.time() + seconds, seconds, "frame"

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

    def resume_writing(self) -> None:
        """The kernel has taken all."""
        super().resume_writing()
        if self.is_paused and self._has_reader:
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

    # Until when.

    def hurry(self) -> None:
        """The server stops: whoever waits to receive does so for a moment only."""
        self._is_stopping = True
        if self._has_reader:
            self._end_soon()

    def _end_soon(self) -> None:
        soon = self.loop.time() + QUIET
        if self._wait is None or self._wait[0] > soon:
            self._wait = soon, QUIET, _STOPPED
            self.look_at(soon)

    def _watch(self, wait: Wait) -> None:
        """Let the wheel look when a wait is to end; the timer, where it is a call's own."""
        at = wait[0]
        if wait[2]:
            self.look_at(at)
        elif self._timer is None or at < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = at
            self._timer = self.loop.call_at(at, self._strike)

    def _strike(self) -> None:
        self._timer = None
        wait = self._wait
        if wait is not None and not wait[2] and self._has_reader:
            if self.loop.time() >= wait[0]:
                self._wake_reader(self._late(wait))
            else:
                self._watch(wait)

    def sweep_wait(self, now: float) -> float:
        """Wake who waits too long for something to come."""
        wait, moved = self._wait, self.received_bytes + self.sent_bytes
        if wait is None or (wait[2] == "idle" and now >= wait[0] and moved != self._moved):
            # What was sent was exchanged, too; to a peer that does not take it another deadline applies.
            self._moved = moved
            seconds = self.deadlines.idle
            wait = self._wait = now + seconds, seconds, "idle"
        if not wait[2]:
            return inf
        if now < wait[0]:
            return wait[0]
        self._wake_reader(self._late(wait))
        return inf

    def _late(self, wait: Wait) -> Exception:
        if self._is_stopping:
            return ConnectionLost("the server stops")
        _, seconds, deadline = wait
        if deadline:
            late(deadline, seconds, self.peer)
        return TimedOut(f"{self.peer} did not send what was waited for within {seconds:g} s")
