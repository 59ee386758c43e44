"""The socket for datagrams as users see it, on an event loop. Got from `tomada.bind`."""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from tomada.address import Address
from tomada.datagrams.directory import Directory, parsed
from tomada.errors import (
    BufferFull,
    ConnectFailed,
    DatagramError,
    DatagramTooLong,
    TimedOut,
    TransportError,
)
from tomada.transports.names import Names

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from tomada.transports.datagram import DatagramStatistics, DatagramTransport


class Datagram(msgspec.Struct, frozen=True, gc=False):
    """A datagram that was received, and who says to have sent it.

    UDP does not check the sender: on an open network it may be forged.
    """

    data: bytes
    """What it carries; may be empty."""
    peer: Address
    """Its sender's address; of a unixgram sender that has none, one without a path."""


def checked(data: bytes | bytearray | memoryview) -> bytes:
    """The bytes to send. Raises `TypeError` for what is none."""
    if data.__class__ is bytes:
        return data
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"a datagram carries bytes, not {type(data).__name__}: encode it first")
    return bytes(data)


def too_long(data: bytes, to: object, longest: int) -> DatagramTooLong:
    """The error for a datagram that is longer than `longest` bytes."""
    return DatagramTooLong(
        f"a datagram of {len(data):,} bytes cannot be sent to {to}: at most {longest:,} fit into one; "
        "cut it, or take a stream"
    )


class DatagramSocket:
    """A socket for datagrams.

    A datagram may be lost, doubled or reordered: it is UDP. tomada says so, counts what it can see, and adds nothing.

    ::

        async with tomada.bind("udp://:7001") as socket:
            async for datagram in socket:
                await socket.send(datagram.data, datagram.peer)
    """

    def __init__(self, peer: Address | None) -> None:
        self._peer = peer
        self._inbox: deque[tuple[bytes, Any]] = deque()
        self._waiting_bytes = 0
        self._receivers: deque[asyncio.Future[None]] = deque()
        self._senders: deque[asyncio.Future[None]] = deque()
        self._trouble: OSError | None = None
        self._transport: DatagramTransport
        self._directory: Directory

    def attach(self, transport: DatagramTransport) -> None:
        """Begin, on an open transport. Users have no need of it: `bind` does so."""
        self._transport = transport
        names = Names(0, transport.address.scheme, is_dual=False)
        self._directory = Directory(names.address)
        if self._peer is not None:
            for to in (None, self._peer, str(self._peer)):
                self._directory.names[to] = None

    # Sending.

    async def send(
        self, data: bytes | bytearray | memoryview, to: str | Address | None = None, *, timeout: float | None = None
    ) -> None:
        """Send a datagram. Returns when it is handed on, which says nothing of its arrival.

        Args:
            data: Up to 65,507 bytes over UDP; over a socket file what the system takes, 212,960 by Linux's default.
            to: The receiver; not needed where the socket has a `peer`. A name is looked up once.
            timeout: Seconds to wait for room in the send buffer, and for the look-up; none by default.

        Raises:
            DatagramTooLong: It does not fit into one datagram.
            DatagramError: It says not whom to, or an address that this socket cannot send to.
            ConnectFailed: The name is not known, or no way leads there; found out when first sending to it. On a
                socket with a `peer` also: an earlier datagram was refused, nobody receives there. Told once; this one
                is not sent.
            TimedOut: There was no room in time.
        """
        transport = self._transport
        try:
            name = self._directory.names[to]
        except KeyError:
            name = await self._within(timeout, self._look_up(to), "was not looked up")
        if transport.is_crowded:
            await self._within(timeout, self._until_room(), "there was no room to send")
        self._send(data if data.__class__ is bytes else checked(data), name, to)

    def send_nowait(self, data: bytes | bytearray | memoryview, to: str | Address | None = None) -> None:
        """As `send`, but never waits.

        Raises:
            BufferFull: Too much waits to be sent.
            DatagramError: As for `send`; or the receiver is a name that was not looked up yet.
        """
        try:
            name = self._directory.names[to]
        except KeyError:
            name = self._find(to)
            if name is None:
                raise DatagramError(f"{to} must be looked up, which takes time: await send() first") from None
        transport = self._transport
        if transport.unsent > transport.limits.buffer_bytes:
            raise BufferFull(
                f"{transport.unsent:,} bytes wait to be sent from {self.address}, and "
                f"{transport.limits.buffer_bytes:,} may: await send() waits for room"
            )
        self._send(checked(data), name, to)

    def _send(self, data: bytes, name: Any, to: object) -> None:
        transport = self._transport
        if transport.is_closed or self._trouble is not None:
            raise self._closed() if transport.is_closed else self._refusal()
        if len(data) > transport.longest:
            transport.statistics.too_long += 1
            raise too_long(data, self._peer if to is None else to, transport.longest)
        transport.send(data, name)

    def _find(self, to: str | Address | None) -> Any:
        """What the system calls the receiver; None where it must be looked up."""
        if self._transport.is_closed:
            raise self._closed()
        if to is None:
            raise DatagramError(f"say whom to send to: {self.address} was bound without a peer")
        if self._peer is not None:
            raise DatagramError(f"cannot send to {to}: the socket was bound with the peer {self._peer}")
        name = self._transport.name_of(parsed(to))
        if name is not None:
            self._directory.keep(to, name)
        return name

    async def _look_up(self, to: str | Address | None) -> Any:
        name = self._find(to)
        if name is None and to is not None:
            name = await self._transport.look_up(parsed(to))
            self._directory.keep(to, name)
        return name

    async def _until_room(self) -> None:
        transport = self._transport
        while transport.is_crowded and not transport.is_closed:
            turn = transport.loop.create_future()
            self._senders.append(turn)
            await turn

    async def _within(self, timeout: float | None, waiting: Any, what: str) -> Any:
        if timeout is None:
            return await waiting
        try:
            async with asyncio.timeout(timeout):
                return await waiting
        except TimeoutError as error:
            if isinstance(error, TransportError):
                raise
            raise TimedOut(f"{self.address}: {what} within {timeout:g} s") from None

    # Receiving.

    async def receive(self, *, timeout: float | None = None) -> Datagram:
        """The next datagram. To cancel it loses none.

        Args:
            timeout: In seconds; none by default.

        Raises:
            TimedOut: None came in time.
            ConnectFailed: On a socket with a `peer`: the system says that nobody receives there. Told once.
            TransportError: The socket was closed.
        """
        while not self._inbox:
            if self._trouble is not None:
                raise self._refusal()
            if self._transport.is_closed:
                raise self._closed()
            await self._within(timeout, self._until_received(), "no datagram came")
        data, name = self._inbox.popleft()
        self._waiting_bytes -= len(data)
        return Datagram(data, self._directory[name] if self._peer is None else self._peer)

    async def _until_received(self) -> None:
        turn = self._transport.loop.create_future()
        self._receivers.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and self._inbox:
                _wake(self._receivers, 1)  # it was this one's turn, and is another's now
            raise

    async def __aiter__(self) -> Any:
        """The datagrams that `receive` gives, until the socket is closed; a refusal is counted and passed over."""
        while True:
            try:
                datagram = await self.receive()
            except ConnectFailed:
                continue
            except TransportError:
                return
            yield datagram

    # The transport calls these.

    def datagrams_received(self, datagrams: Sequence[bytes], name: Any) -> None:
        """Keep what fits."""
        limits, statistics = self._transport.limits, self._transport.statistics
        room = limits.waiting - len(self._inbox)
        if len(datagrams) > room:
            statistics.dropped += len(datagrams) - room
            datagrams = tuple(islice(datagrams, room))
        size = sum(map(len, datagrams))
        if self._waiting_bytes + size > limits.waiting_bytes:
            statistics.dropped += len(datagrams)
            return
        self._waiting_bytes += size
        self._inbox.extend((data, name) for data in datagrams)
        if self._receivers:
            _wake(self._receivers, len(datagrams))

    def peer_refused(self, error: OSError) -> None:
        """Tell who sends or receives next, where there is only one peer it can be about."""
        if self._peer is not None:
            self._trouble = error
            _wake(self._receivers, 1)

    def room_again(self) -> None:
        """Let who waits send."""
        _wake(self._senders, len(self._senders))

    def _refusal(self) -> ConnectFailed:
        trouble, self._trouble = self._trouble, None
        failed = ConnectFailed(f"nobody receives at {self._peer}: {trouble}; start the receiver, or check the address")
        failed.__cause__ = trouble
        return failed

    def _closed(self) -> TransportError:
        return TransportError(f"the socket at {self.address} has been closed")

    # What it is.

    @property
    def address(self) -> Address:
        """Where the socket is, with the port that the system chose in place of 0."""
        return self._transport.address

    @property
    def peer(self) -> Address | None:
        """The only one it sends to and receives from; None where it is open to all."""
        return self._peer

    @property
    def statistics(self) -> DatagramStatistics:
        """The counts of this moment."""
        return self._transport.counted()

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._transport.is_closed

    def close(self) -> None:
        """Send what the system takes of what waits, and close. Who waits to receive is told so. Can be called again."""
        self._transport.close()
        _wake(self._receivers, len(self._receivers))
        _wake(self._senders, len(self._senders))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
        await asyncio.sleep(0)  # the loop may close what it has opened in its next turn

    def __repr__(self) -> str:
        return f"<DatagramSocket at {self.address}{', closed' if self.is_closed else ''}>"


def _wake(waiting: deque[asyncio.Future[None]], most: int) -> None:
    while waiting and most > 0:
        turn = waiting.popleft()
        if not turn.done():
            turn.set_result(None)
            most -= 1
