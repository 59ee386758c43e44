"""Length-prefixed frames on a byte stream: each payload follows its own length."""

from __future__ import annotations

import asyncio
from struct import Struct
from typing import TYPE_CHECKING, Final

from tomada.errors import LimitExceeded, StreamEnded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tomada.streams.stream import Stream


class LengthPrefix:
    """An unsigned integer before each frame: `u8`, `u16`, `u32` or `u64`, in network byte order.

    Attributes:
        little: The same with the least significant byte first; of itself for the one that is.
    """

    __slots__ = ("_struct", "little", "name", "size")

    def __init__(self, name: str, code: str, *, little: bool = False) -> None:
        self._struct = Struct(("<" if little else ">") + code)
        self.name = name
        self.size = self._struct.size
        """In bytes."""
        self.little: LengthPrefix = self if little else LengthPrefix(f"{name}.little", code, little=True)

    def pack(self, length: int) -> bytes:
        """The prefix of a payload of `length` bytes. Raises `LimitExceeded` where it does not fit."""
        if length >> 8 * self.size:
            raise LimitExceeded(f"a frame of {length} bytes does not fit a length of type {self.name}")
        return self._struct.pack(length)

    def unpack(self, prefix: bytes) -> int:
        """The length that `prefix` says."""
        length: int = self._struct.unpack(prefix)[0]
        return length

    def __repr__(self) -> str:
        return f"tomada.{self.name}"


u8: Final = LengthPrefix("u8", "B")
u16: Final = LengthPrefix("u16", "H")
u32: Final = LengthPrefix("u32", "I")
u64: Final = LengthPrefix("u64", "Q")


class Frames:
    """A byte stream, cut into frames. Got from `Stream.frames`; iterate over it for the payloads that come.

    Args:
        stream: What they travel on.
        prefix: What stands before each.
        limit: Bytes that a payload may have.
    """

    __slots__ = ("_limit", "_prefix", "_stream")

    def __init__(self, stream: Stream, prefix: LengthPrefix, limit: int) -> None:
        self._stream = stream
        self._prefix = prefix
        self._limit = limit

    async def receive(self, *, timeout: float | None = None) -> bytes:
        """The next payload. A call that is cancelled or late takes nothing.

        Args:
            timeout: In seconds, until the whole frame is there; `Deadlines.idle` by default.

        Raises:
            StreamEnded: The peer has sent its last frame (then `StreamEnded.received` is empty), or ended within one.
            LimitExceeded: The length is above the limit; nothing has been kept for it.
            TimedOut, ConnectionLost: As of `Stream.receive`.
        """
        size = self._prefix.size
        flow = self._stream.flow
        if flow.has_had_many():
            await asyncio.sleep(0)
        wait = flow.wait(timeout)
        wait = await flow.gather(size, wait)
        length = self._prefix.unpack(flow.buffer.peek(size))
        if length > self._limit:
            raise LimitExceeded(f"{self._stream.peer} sends a frame of {length} bytes, the limit is {self._limit}")
        await flow.gather(size + length, wait)
        return flow.take(size + length)[size:]

    async def send(self, payload: bytes | bytearray | memoryview, *, timeout: float | None = None) -> None:
        """Send one frame. Raises as `Stream.send`, and `LimitExceeded` where the payload is too long."""
        length = len(payload)
        if length > self._limit:
            raise LimitExceeded(f"a frame of {length} bytes is above the limit of {self._limit}")
        await self._stream.send(self._prefix.pack(length) + payload, timeout=timeout)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The payloads, until the peer ends after one. Raises as `receive` where it ends within one."""
        while True:
            try:
                yield await self.receive()
            except StreamEnded as end:
                if end.received:
                    raise
                return
