"""The two ends of a connection in memory: what `asyncio.Transport` promises, with nothing but the loop's `call_soon`.

Each end has an inbox of `INBOX_BYTES`, which stands for the kernel's buffers: what does not fit waits at the sender, in
its write buffer, until the receiver has read. Nothing is delivered within the call that sent it.
"""

# Both ends are of one class, and each does to the other what the kernel would.
# ruff: noqa: SLF001

from __future__ import annotations

import asyncio
import errno
import os
from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tomada.address import Address

INBOX_BYTES: Final = 65_536
"""Bytes that one end has sent and the other has not read; a sender of more waits."""

_HIGH_WATER: Final = 65_536  # as the event loops have it


class _Rest(Enum):
    """What comes behind the bytes in an inbox."""

    MORE = "more bytes, perhaps"
    END = "the end: the peer has closed its sending half"
    TOLD = "nothing: the protocol knows of the end"
    RESET = "a reset"


def _reset() -> ConnectionResetError:
    return ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))


class MemoryTransport(asyncio.Transport):
    """One end of a connection; made by `pair`.

    As with TCP, an end that closes with unread bytes, or to which bytes are sent after it has closed, resets the
    connection behind what the peer can still read. `abort` resets it at once, and what was under way is lost.

    Args:
        loop: Of both ends.
        address: Where the connection was made; the name of both ends.
        pieces: Cuts what is delivered into pieces of random sizes; None delivers all that is there.
    """

    __slots__ = (
        "_aborted",
        "_closing",
        "_high",
        "_inbox",
        "_inbox_size",
        "_loop",
        "_low",
        "_outbox",
        "_outbox_size",
        "_peer",
        "_pieces",
        "_protocol",
        "_reading",
        "_rest",
        "_scheduled",
        "_started",
        "_writing_paused",
        "_wrote_eof",
        "lost",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, address: Address, pieces: Random | None) -> None:
        super().__init__({"peername": str(address), "sockname": str(address), "address": address})
        self._loop = loop
        self._pieces = pieces
        self._peer = self
        self._protocol: Any = None
        self._inbox: deque[bytes | memoryview] = deque()
        self._inbox_size = 0
        self._rest = _Rest.MORE
        self._outbox: deque[bytes | memoryview] = deque()
        self._outbox_size = 0
        self._started = False
        self._scheduled = False
        """Whether a turn of reading is due."""
        self._reading = True
        self._writing_paused = False
        self._wrote_eof = False
        self._aborted = False
        self._closing = False
        self.lost = False
        """Whether the protocol's ``connection_lost`` is due, or has been called."""
        self.set_write_buffer_limits()

    def start(self, protocol: asyncio.BaseProtocol, ready: Callable[[], object] | None = None) -> None:
        """Tell the protocol, in a later turn, that it is connected; read from then on. `ready` is called after that."""
        self._protocol = protocol
        self._loop.call_soon(protocol.connection_made, self)
        self._loop.call_soon(self._begin)  # apart, so that an error of connection_made goes to the loop's handler
        if ready is not None:
            self._loop.call_soon(ready)

    def _begin(self) -> None:
        self._started = True
        self._wake()

    # Sending.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send the bytes: never waits; what the peer's inbox does not take stays here."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"data must be bytes, bytearray or memoryview, not {type(data).__name__}")
        if self._wrote_eof:
            raise RuntimeError("write() after write_eof(): this end has said that nothing more comes")
        if not data or self._closing:
            return
        chunk = bytes(data)  # the caller may change its own later
        self._outbox.append(chunk)
        self._outbox_size += len(chunk)
        self._flush()
        self._pause_writing()

    def write_eof(self) -> None:
        """Close the sending half, behind what has been written."""
        if self._closing or self._wrote_eof:
            return
        self._wrote_eof = True
        self._flush()

    def can_write_eof(self) -> bool:
        """Always."""
        return True

    def _flush(self) -> None:
        self._fill_inbox()
        self._conclude()

    def _fill_inbox(self) -> None:
        """Move what fits to the peer's inbox."""
        peer = self._peer
        if self._outbox and peer.lost:
            self._refused()
            return
        while self._outbox and peer._inbox_size < INBOX_BYTES:
            chunk = _take(self._outbox, INBOX_BYTES - peer._inbox_size)
            self._outbox_size -= len(chunk)
            peer._inbox.append(chunk)
            peer._inbox_size += len(chunk)
        peer._wake()

    def _conclude(self) -> None:
        """Behind the last byte, say that it was the last."""
        if self._outbox or self.lost:
            return
        if self._closing:
            self._lose(None)
        elif self._wrote_eof:
            self._peer._end(_Rest.END)

    def _refused(self) -> None:
        """The peer takes nothing any more: a reset comes, behind what there is to read."""
        self._outbox.clear()
        self._outbox_size = 0
        if self._closing or not self._reading:
            self._lose(_reset())
        else:
            self._end(_Rest.RESET)

    def _room(self) -> None:
        """The peer has read."""
        if self.lost:
            return
        self._fill_inbox()
        self._resume_writing()
        self._conclude()

    def _pause_writing(self) -> None:
        if self._outbox_size > self._high and not self._writing_paused and not self.lost:
            self._writing_paused = True
            self._tell(self._protocol.pause_writing)

    def _resume_writing(self) -> None:
        is_ending = self.lost or self._rest is _Rest.RESET
        if self._outbox_size <= self._low and self._writing_paused and not is_ending:
            self._writing_paused = False
            self._tell(self._protocol.resume_writing)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Above `high` bytes that wait here the protocol is told to pause, at `low` to go on."""
        if high is None:
            high = _HIGH_WATER if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high}) must be at least low ({low}), and low at least 0")
        self._high, self._low = high, low
        self._pause_writing()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """The low and the high limit, in bytes."""
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        """Bytes that wait here until the peer has read."""
        return self._outbox_size

    # Receiving.

    def is_reading(self) -> bool:
        """Whether the protocol is given what comes."""
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        """Deliver nothing more; the peer's bytes fill the inbox, and then wait at the peer."""
        self._reading = False
        if self._rest is _Rest.RESET and self._writing_paused:
            self._lose(_reset())  # who waits until it may write again would wait for ever

    def resume_reading(self) -> None:
        """Deliver again."""
        self._reading = True
        self._wake()

    def _wake(self) -> None:
        """Read in a later turn, where there is something to read and somebody who reads."""
        something = self._inbox or self._rest in (_Rest.END, _Rest.RESET)
        if something and self._started and self.is_reading() and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._read)

    def _read(self) -> None:
        self._scheduled = False
        if not self.is_reading():
            return
        if self._inbox:
            self._deliver()
            self._wake()
        elif self._rest is _Rest.RESET:
            self._lose(_reset())
        elif self._rest is _Rest.END:
            self._rest = _Rest.TOLD
            if not self._tell(self._protocol.eof_received):
                self.close()

    def _deliver(self) -> None:
        most = self._inbox_size if self._pieces is None else self._pieces.randint(1, self._inbox_size)
        if isinstance(self._protocol, asyncio.BufferedProtocol):
            self._tell(self._fill, self._protocol, most)
        else:
            self._tell(self._protocol.data_received, bytes(self._take(most)))
        if self._peer._outbox:
            self._loop.call_soon(self._peer._room)

    def _fill(self, protocol: asyncio.BufferedProtocol, most: int) -> None:
        buffer = memoryview(protocol.get_buffer(-1)).cast("B")
        if not buffer:
            raise RuntimeError("get_buffer() returned an empty buffer")
        most = min(most, len(buffer))
        buffer[:most] = self._take(most)
        protocol.buffer_updated(most)

    def _take(self, most: int) -> bytes | memoryview:
        """The next bytes of the inbox."""
        parts: list[bytes | memoryview] = []
        self._inbox_size -= most
        while most:
            parts.append(_take(self._inbox, most))
            most -= len(parts[-1])
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _end(self, rest: _Rest) -> None:
        """What comes behind the inbox is known."""
        if rest is _Rest.RESET or self._rest is _Rest.MORE:
            self._rest = rest
            self._wake()

    # The end.

    def close(self) -> None:
        """Read no more, let what has been written go out, then end."""
        if not self._closing:
            self._closing = True
            if not self._outbox:
                self._lose(None)

    def abort(self) -> None:
        """End at once: what is under way is lost, and the peer gets a reset."""
        if not self.lost:
            self._aborted = True
            self._lose(None)

    def is_closing(self) -> bool:
        """Whether the end has begun."""
        return self._closing

    def _lose(self, error: Exception | None) -> None:
        """End in a later turn."""
        if not self.lost:
            self.lost = self._closing = True
            self._outbox.clear()
            self._outbox_size = 0
            self._loop.call_soon(self._finish, error)

    def _finish(self, error: Exception | None) -> None:
        try:
            if self._protocol is not None:
                self._protocol.connection_lost(error)
        finally:
            peer = self._peer
            if self._aborted:
                peer._lose(_reset())
            else:
                peer._end(_Rest.RESET if self._inbox else _Rest.END)
                if peer._outbox:
                    peer._refused()
            self._inbox.clear()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Who is told from now on."""
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who is told."""
        return self._protocol  # type: ignore[no-any-return] # what it was started with

    def _tell(self, call: Callable[..., object], *given: object) -> object:
        """Call the protocol; where it raises, the loop's handler is told and the connection is cut."""
        try:
            return call(*given)
        except Exception as error:  # noqa: BLE001 - told to the loop's handler
            message = f"{call.__name__}() of the protocol failed; its connection is cut"
            context = {"message": message, "exception": error, "transport": self, "protocol": self._protocol}
            self._loop.call_exception_handler(context)
            self._aborted = True
            self._lose(error)
            return True

    def __repr__(self) -> str:
        state = "closed" if self.lost else "closing" if self._closing else "open"
        return f"<{type(self).__name__} {self.get_extra_info('address')} {state}>"


def pair(
    loop: asyncio.AbstractEventLoop, address: Address, pieces: Random | None
) -> tuple[MemoryTransport, MemoryTransport]:
    """Two ends of one connection, of which none has begun."""
    near, far = MemoryTransport(loop, address, pieces), MemoryTransport(loop, address, pieces)
    near._peer, far._peer = far, near
    return near, far


def _take(chunks: deque[bytes | memoryview], most: int) -> bytes | memoryview:
    """The first chunk, or `most` bytes of it."""
    first = chunks[0]
    if len(first) <= most:
        return chunks.popleft()
    view = memoryview(first)
    chunks[0] = view[most:]
    return view[:most]
