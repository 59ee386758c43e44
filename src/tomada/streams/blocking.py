"""The face for programs without an event loop, and for plain ``def`` handlers. `tomada.sync` has its public name.

Nothing is written twice: each call runs the asynchronous one to its end, on a loop of its own in the caller's thread,
or on the server's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from tomada.errors import StreamEnded
from tomada.streams.framing import LengthPrefix, u32
from tomada.streams.stream import CHUNK

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Coroutine, Iterator
    from types import TracebackType
    from typing import IO, Self

    from tomada.address import Address
    from tomada.settings import TLS
    from tomada.streams import framing, stream
    from tomada.telemetry.statistics import StreamStatistics
    from tomada.transports import Credentials, Identity

T = TypeVar("T")


class Run(Protocol):
    """Runs a coroutine to its end and gives what it returns."""

    def __call__(self, work: Coroutine[Any, Any, T], /) -> T:  # noqa: D102 - the class says it
        ...


class Stream:
    """A stream of bytes in either direction, for threads: what `tomada.Stream` does, with calls that block.

    Got from `tomada.sync.connect_stream`, and by plain ``def`` handlers declared by `App.stream`. One thread at a time
    may use a stream of `connect_stream`; between its calls nothing is received, it waits in the kernel.
    """

    def __init__(self, inner: stream.Stream, run: Run, closed: Callable[[], None] = lambda: None) -> None:
        self._inner = inner
        self._run = run
        self._closed = closed

    def receive(self, most: int = CHUNK, *, timeout: float | None = None) -> bytes:
        """What has come; no bytes at the end. See `tomada.Stream.receive`."""
        return self._run(self._inner.receive(most, timeout=timeout))

    def receive_exactly(self, count: int, *, timeout: float | None = None) -> bytes:
        """The next `count` bytes. See `tomada.Stream.receive_exactly`."""
        return self._run(self._inner.receive_exactly(count, timeout=timeout))

    def receive_until(self, separator: bytes, limit: int = CHUNK, *, timeout: float | None = None) -> bytes:
        """The bytes before the next `separator`. See `tomada.Stream.receive_until`."""
        return self._run(self._inner.receive_until(separator, limit, timeout=timeout))

    def lines(self, limit: int = CHUNK) -> Iterator[bytes]:
        """The lines that come. See `tomada.Stream.lines`."""
        lines = self._inner.lines(limit)
        while (line := self._run(anext(lines, None))) is not None:
            yield line

    def frames(self, prefix: LengthPrefix = u32, limit: int | None = None) -> Frames:
        """The stream as frames, each after its length. See `tomada.Stream.frames`."""
        return Frames(self._inner.frames(prefix, limit), self._run)

    def __iter__(self) -> Iterator[bytes]:
        """The bytes in the pieces in which they come, until the peer ends its stream."""
        while chunk := self.receive():
            yield chunk

    def send(self, data: bytes | bytearray | memoryview, *, timeout: float | None = None) -> None:
        """Send all of `data`; returns when the kernel has taken it. See `tomada.Stream.send`."""
        self._run(self._send(data, timeout))

    async def _send(self, data: bytes | bytearray | memoryview, timeout: float | None) -> None:
        # Between the calls nothing runs that could send the rest.
        await self._inner.send(data, timeout=timeout)
        await self._inner.flush(timeout=timeout)

    def send_file(self, file: str | os.PathLike[str] | IO[bytes], offset: int = 0, count: int | None = None) -> int:
        """Send a file, or a part of it. See `tomada.Stream.send_file`."""
        return self._run(self._inner.send_file(file, offset, count))

    def send_out_of_band(self, byte: bytes) -> None:
        """Send one byte that overtakes. See `tomada.Stream.send_out_of_band`."""
        self._run(self._inner.send_out_of_band(byte))

    def receive_out_of_band(self, *, timeout: float | None = None) -> bytes:
        """The next byte that comes out of band. See `tomada.Stream.receive_out_of_band`."""
        return self._run(self._inner.receive_out_of_band(timeout=timeout))

    def start_tls(self, tls: TLS | None = None) -> None:
        """Go on encrypted. See `tomada.Stream.start_tls`."""
        self._run(self._inner.start_tls(tls))

    def shutdown(self, how: Literal["send", "receive", "both"] = "send") -> None:
        """End one direction. See `tomada.Stream.shutdown`."""
        self._run(self._inner.shutdown(how))

    def close(self) -> None:
        """End both directions and close. See `tomada.Stream.close`."""
        if self._inner.is_open:
            self._run(self._inner.close())
        self._closed()

    def abort(self) -> None:
        """End the connection at once."""
        if self._inner.is_open:
            self._run(self._abort())
        self._closed()

    async def _abort(self) -> None:
        self._inner.abort()
        await self._inner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    @property
    def peer(self) -> Address:
        """The address of the other end."""
        return self._inner.peer

    @property
    def address(self) -> Address:
        """The address of this end. See `tomada.Stream.address`."""
        return self._inner.address

    @property
    def identity(self) -> Identity | None:
        """Who the peer is, as its verified TLS certificate says."""
        return self._inner.identity

    @property
    def credentials(self) -> Credentials | None:
        """The peer's process, user and group over a Unix socket. See `tomada.Stream.credentials`."""
        return self._inner.credentials

    @property
    def alpn(self) -> str | None:
        """The application protocol that the two ends agreed on, if they did."""
        return self._inner.alpn

    @property
    def is_open(self) -> bool:
        """Whether the connection is there."""
        return self._inner.is_open

    def statistics(self) -> StreamStatistics:
        """What the stream has done so far; also when it has ended."""
        return self._inner.statistics()

    def __repr__(self) -> str:
        return repr(self._inner)


class Frames:
    """A byte stream, cut into frames, with calls that block: what `tomada.Frames` does."""

    def __init__(self, inner: framing.Frames, run: Run) -> None:
        self._inner = inner
        self._run = run

    def receive(self, *, timeout: float | None = None) -> bytes:
        """The next payload. See `tomada.Frames.receive`."""
        return self._run(self._inner.receive(timeout=timeout))

    def send(self, payload: bytes | bytearray | memoryview, *, timeout: float | None = None) -> None:
        """Send one frame. See `tomada.Frames.send`."""
        self._run(self._inner.send(payload, timeout=timeout))

    def __iter__(self) -> Iterator[bytes]:
        """The payloads, until the peer ends after one."""
        while True:
            try:
                yield self.receive()
            except StreamEnded as end:
                if end.received:
                    raise
                return
