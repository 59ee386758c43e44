"""`Stream`: a whole connection as a stream of bytes, for handlers and for clients."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

import msgspec

from tomada.errors import ConnectionLost, LimitExceeded, StreamEnded, TransportError
from tomada.streams import files
from tomada.streams.framing import Frames, LengthPrefix, u32
from tomada.transports import identity, out_of_band, own_address

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator
    from types import TracebackType
    from typing import IO, Self

    from tomada.address import Address
    from tomada.settings import TLS
    from tomada.streams.flow import Flow
    from tomada.telemetry.statistics import StreamStatistics
    from tomada.transports import Credentials, Identity

CHUNK = 65_536


class Stream:
    """A stream of bytes in either direction: given to `App.stream` handlers, and got from `tomada.connect_stream`.

    There are no messages on a stream: what is sent in one piece may come in several, and the other way round. So say
    how much you wait for: `receive_exactly`, `receive_until`, `lines`, `frames`. Each wait has a deadline: a time-out
    that is not given is `Deadlines.idle` while nothing comes, and `Deadlines.frame` from the first byte of a piece on.
    A receiving call that is late or cancelled takes nothing: what has come is there for the next.
    """

    __slots__ = ("flow",)

    def __init__(self, flow: Flow) -> None:
        self.flow = flow

    # Receiving.

    async def receive(self, most: int = CHUNK, *, timeout: float | None = None) -> bytes:
        """What has come, at most `most` bytes, waiting where nothing has; no bytes when the peer has ended its stream.

        Args:
            most: Above 0.
            timeout: In seconds.

        Raises:
            TimedOut: Nothing came in time.
            ConnectionLost: The connection is gone, and all that came has been received.
            StreamBusy: Another task receives just now.
        """
        if most < 1:
            raise ValueError(f"receive({most}) would give no bytes, which says that the peer has ended: ask for some")
        flow = self.flow
        if flow.buffer.size and flow.has_had_many():
            await asyncio.sleep(0)
        while not flow.buffer.size:
            if flow.lost:
                flow.check_lost()
            if flow.is_ended:
                return b""
            await flow.arrival(flow.wait(timeout))
        return flow.take(most)

    async def receive_exactly(self, count: int, *, timeout: float | None = None) -> bytes:
        """The next `count` bytes.

        Args:
            count: At most `Limits.message_bytes`; a longer piece is received in several.
            timeout: In seconds, until all is there.

        Raises:
            StreamEnded: The peer ended its stream before; what has come stays, and is the error's `received`.
            LimitExceeded: `count` is above the limit.
            TimedOut, ConnectionLost, StreamBusy: As of `receive`.
        """
        flow = self.flow
        if count > flow.limits.message_bytes:
            raise LimitExceeded(
                f"{count} bytes at once are above Limits.message_bytes, {flow.limits.message_bytes}: "
                "receive them in several pieces"
            )
        if flow.has_had_many():
            await asyncio.sleep(0)
        if flow.buffer.size < count:
            await flow.gather(count, flow.wait(timeout))
        return flow.take(count)

    async def receive_until(self, separator: bytes, limit: int = CHUNK, *, timeout: float | None = None) -> bytes:
        r"""The bytes before the next `separator`, which is dropped.

        Args:
            separator: Such as ``b"\\r\\n"``.
            limit: How many bytes may come before it.
            timeout: In seconds, until it is there.

        Raises:
            LimitExceeded: So many bytes came without a separator; they stay.
            StreamEnded: The peer ended its stream before; what has come stays, and is the error's `received`.
            TimedOut, ConnectionLost, StreamBusy: As of `receive`.
        """
        if not separator:
            raise ValueError("the separator is empty: give the bytes that end what is received")
        flow = self.flow
        if flow.has_had_many():
            await asyncio.sleep(0)
        wait = flow.wait(timeout)
        while (taken := flow.buffer.take_until(separator, limit)) is None:
            wait = await flow.gather(flow.buffer.size + 1, wait)
        flow.relax()
        return taken

    async def lines(self, limit: int = CHUNK) -> AsyncIterator[bytes]:
        r"""The lines that come, without their ``\\n`` or ``\\r\\n``, until the peer ends its stream.

        A last line without an end is one too.

        Args:
            limit: Bytes that a line may have.

        Raises:
            LimitExceeded: A line is longer.
            TimedOut, ConnectionLost, StreamBusy: As of `receive`.
        """
        while True:
            try:
                line = await self.receive_until(b"\n", limit)
            except StreamEnded as end:
                if end.received:
                    yield self.flow.take(len(end.received))
                return
            yield line[:-1] if line.endswith(b"\r") else line

    def frames(self, prefix: LengthPrefix = u32, limit: int | None = None) -> Frames:
        """The stream as frames, each after its length.

        Args:
            prefix: How the length is written: `tomada.u8`, `u16`, `u32`, `u64`; ``u32.little`` for little-endian.
            limit: Bytes that a frame may have; by default `Limits.message_bytes`.
        """
        most = self.flow.limits.message_bytes
        return Frames(self, prefix, most if limit is None else min(limit, most))

    def __aiter__(self) -> Self:
        """The bytes in the pieces in which they come, until the peer ends its stream. Raises as `receive`."""
        return self

    async def __anext__(self) -> bytes:
        flow = self.flow
        while not flow.buffer.size:  # as in `receive`, whose call would cost as much as what it does
            if flow.lost:
                flow.check_lost()
            if flow.is_ended:
                raise StopAsyncIteration
            await flow.arrival()
        if flow.is_paused:
            return flow.take(flow.buffer.size)
        return flow.buffer.take_all()

    # Sending.

    async def send(self, data: bytes | bytearray | memoryview, *, timeout: float | None = None) -> None:
        """Send all of `data`; returns when it is handed over, and waits where too much waits already.

        What is sent by one call is never mixed with what others send. What has been handed over is transmitted also
        when this is late or cancelled.

        Args:
            data: It may be changed again when this has begun.
            timeout: Seconds to wait for room; by default as long as the peer takes something now and then
                (`Deadlines.progress`).

        Raises:
            ConnectionLost: The connection is gone, or this end was shut down or closed.
            TimedOut: There was no room in time.
        """
        flow = self.flow
        if not flow.is_free:
            await flow.turn(timeout)
        whole = data if isinstance(data, bytes) else bytes(data)
        was_clogged = flow.clogged
        flow.sent_bytes += len(whole)
        if was_clogged:
            flow.keep(whole)
        else:
            flow.transport.write(whole)
        if flow.clogged:
            if not was_clogged:
                flow.count()
            if flow.is_full:
                await flow.writable(timeout)

    def send_nowait(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of `data`, if there is room for it to wait in.

        Raises:
            BufferFull: More than `Limits.buffer_bytes` waits already, or a file is being sent; nothing was sent.
            ConnectionLost: The connection is gone, or this end was shut down or closed.
        """
        self.flow.write_nowait(data if isinstance(data, bytes) else bytes(data))

    async def flush(self, *, timeout: float | None = None) -> None:
        """Wait until the kernel has taken all that was sent. Raises `TimedOut`, `ConnectionLost`."""
        await self.flow.writable(timeout, empty=True)

    async def send_file(
        self, file: str | os.PathLike[str] | IO[bytes], offset: int = 0, count: int | None = None
    ) -> int:
        """Send a file, or a part of it; how many bytes that were.

        On a plain TCP or Unix socket the kernel does it, and the bytes never come into this process; elsewhere it is
        read in pieces. What other tasks send meanwhile goes after it.

        Args:
            file: A path, or a file opened in binary mode, whose position stays where it is.
            offset: The first byte to send.
            count: How many bytes; by default all to the end of the file as it is now.

        Raises:
            OSError: The file cannot be opened or read; nothing was sent.
            LimitExceeded: The file has not so many bytes; nothing was sent.
            FileChanged: It became shorter meanwhile; the text says how many bytes the peer got.
            ConnectionLost: The connection is gone, or the peer took nothing for `Deadlines.progress`.
        """
        return await files.send_file(self.flow, file, offset, count)

    async def send_out_of_band(self, byte: bytes) -> None:
        """Send one byte that overtakes what waits at the peer: TCP's urgent data, received by a call of its own.

        Raises:
            TransportError: This is not plain TCP: nothing else has such data.
            ConnectionLost: The connection is gone.
        """
        if len(byte) != 1:
            raise ValueError(f"TCP carries one byte out of band at a time, not {len(byte)}")
        self._check_open()
        out_of_band.send(self.flow.transport, byte)

    async def receive_out_of_band(self, *, timeout: float | None = None) -> bytes:
        """The next byte that the peer sends out of band; no bytes when the connection ends first.

        A byte that comes before the one before was received replaces it: that is TCP's way (RFC 6093, section 3).

        Raises:
            TransportError: This is not plain TCP, or the system cannot tell (it is not Linux).
            TimedOut: None came within `timeout` seconds.
        """
        self._check_open()
        return await self.flow.within(
            timeout, out_of_band.receive(self.flow.transport, self.flow.ended), "sent no out-of-band data"
        )

    async def start_tls(self, tls: TLS | None = None) -> None:
        """Go on encrypted, on the same connection: what STARTTLS of SMTP, IMAP, FTP and others does.

        The two ends agree on it in their own protocol first. No other task may be receiving.

        Args:
            tls: By default what `tomada.serve` or `tomada.connect_stream` was given. At the accepting end it needs a
                certificate; at the connecting end the peer's must be for the host that was connected to.

        Raises:
            HandshakeFailed: The two ends could not agree, or something has come that was not received before: somebody
                on the way may have put it there (RFC 3207, section 6). The connection has ended.
            ConnectionLost: It had ended before.
        """
        self._check_open()
        options = self.flow.options
        await self.flow.start_tls(options if tls is None else msgspec.structs.replace(options, tls=tls))

    # The end.

    async def shutdown(self, how: Literal["send", "receive", "both"] = "send") -> None:
        """End one direction and leave the other open; the classic primitive.

        Args:
            how: ``send``: nothing more is sent; the peer receives all that was, then the end. ``receive``: what comes
                from now on is dropped, and `receive` finds the end. ``both``: either.

        Raises:
            ConnectionLost: The connection is gone.
            TransportError: This kind of stream cannot end one direction: a WebSocket.
        """
        self._check_open()
        flow = self.flow
        if how != "receive":
            if not flow.transport.can_write_eof():
                scheme = flow.peer.scheme
                raise TransportError(f"a {scheme} stream cannot end one direction and go on with the other; close it")
            if not flow.is_shut:
                await flow.turn(None)
            flow.shut()
        if how != "send":
            flow.deafen()

    async def close(self) -> None:
        """Send what waits, end both directions and close; what has not gone at `Deadlines.drain` is lost.

        Returns when the connection is gone. A peer that still sends is heard out for a second, so that its kernel does
        not throw away what it has not read yet. To call it again does nothing.
        """
        await self.flow.close()

    def abort(self) -> None:
        """End the connection at once; what waits to be sent is lost, and the peer finds no end but a reset."""
        self.flow.cut("the stream was aborted at this end")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            await self.close()
        else:
            self.abort()

    @property
    def peer(self) -> Address:
        """The address of the other end."""
        return self.flow.peer

    @property
    def address(self) -> Address:
        """The address of this end: of an accepted stream, where its peer reached it."""
        return own_address(self.flow.transport)

    @property
    def identity(self) -> Identity | None:
        """Who the peer is, as its verified TLS certificate says; ``None`` without TLS, or without a certificate."""
        return identity(self.flow.transport)

    @property
    def credentials(self) -> Credentials | None:
        """The peer's process, user and group over a Unix socket; ``None`` elsewhere, or if the system does not tell."""
        return self.flow.credentials

    @property
    def alpn(self) -> str | None:
        """The application protocol that the two ends agreed on (`TLS.protocols`), if they did."""
        name: str | None = self.flow.transport.get_extra_info("alpn")
        return name

    @property
    def is_open(self) -> bool:
        """Whether the connection is there."""
        return not self.flow.lost

    def statistics(self) -> StreamStatistics:
        """What the stream has done so far; also when it has ended."""
        return self.flow.statistics()

    def __repr__(self) -> str:
        return f"<Stream with {self.peer}: {self.flow.lost or 'open'}>"

    def _check_open(self) -> None:
        if self.flow.lost:
            raise ConnectionLost(self.flow.lost)
