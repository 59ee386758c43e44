"""What all tests of transports stand on: the two ends of a stream over the transport under test."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tomada import transports
from tomada.address import Address
from tomada.errors import ConnectionLost, StreamEnded
from tomada.settings import TLS, Deadlines, Limits
from tomada.streams import Stream
from tomada.streams.flow import Flow
from tomada.testing.conformance.running import Running, cancelled, expect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tomada.transports import Listener

KIB = 1_024
NARROW = Limits(buffer_bytes=64 * KIB, receive_bytes=64 * KIB)


class Ground(Running):
    """How the suite reaches the transport under test. A subclass gives `address`; the rest may stay as it is."""

    listening_tls: TLS | None = None
    """Of the accepting end, on ``tls`` and ``wss`` addresses."""
    connecting_tls: TLS | None = None
    """Of the connecting end."""
    half_closes: bool = True
    """Whether one direction can end while the other goes on; a WebSocket cannot."""
    tells_aborts: bool = True
    """Whether the other end can tell an abort from an orderly end; of a Unix socket it hears that it ended, no more."""
    knows_peers: bool = True
    """Whether `tomada.Stream.peer` tells the scheme, and at the connecting end the host and port, of the listener."""
    in_flight: int = 32 * KIB * KIB
    """Bytes that may be under way, all buffers together, before a sender whose peer does not receive must wait."""
    large: int = 8 * KIB * KIB
    """Bytes of a large transfer."""

    def address(self) -> str | Address:
        """Where to listen: called anew for each test, with port 0 where there are ports."""
        raise NotImplementedError("give the address to listen on, such as tcp://127.0.0.1:0")

    async def listen(self, address: Address, factory: Callable[[], asyncio.Protocol]) -> Listener:
        """A listener: `tomada.transports.listen`, unless the transport under test has another way."""
        return await transports.listen(address, factory, options=transports.Options(tls=self.listening_tls))

    async def connect(self, address: Address, factory: Callable[[], Flow]) -> Flow:
        """What `factory` gave, connected: by `tomada.transports.connect`, unless the transport has another way."""
        options = transports.Options(tls=self.connecting_tls)
        _, flow = await transports.connect(address, factory, timeout=self.longest, options=options)
        return flow

    def place(self) -> Address:
        """`address`, read."""
        given = self.address()
        return Address.of(given)

    @asynccontextmanager
    async def house(self, limits: Limits | None = None) -> AsyncIterator[House]:
        """A listener and the streams of all who connect to it; all end with the block."""
        house = House(self, limits or Limits())
        house.listener = await self.listen(self.place(), house.accept)
        try:
            yield house
        finally:
            house.listener.close()
            for stream in house.streams:
                stream.abort()
            for stream in house.streams:
                await stream.close()

    @asynccontextmanager
    async def ends(self, limits: Limits | None = None) -> AsyncIterator[tuple[Stream, Stream]]:
        """The connecting end of one stream, and the accepting end."""
        async with self.house(limits) as house:
            yield await house.pair()


class House:
    """A listener under test, and the ends of the streams that were made to it."""

    listener: Listener

    def __init__(self, ground: Ground, limits: Limits) -> None:
        self.streams: list[Stream] = []
        self._ground = ground
        self._limits = limits
        self._accepted: deque[Stream] = deque()
        self._waiting: deque[asyncio.Future[Stream]] = deque()

    @property
    def address(self) -> Address:
        """Where to connect."""
        return self.listener.addresses[0]

    def accept(self) -> Flow:
        """The protocol of an accepted connection."""
        return self._flow(self._arrived)

    def _flow(self, begin: Callable[[Flow], None] | None = None) -> Flow:
        return Flow(self._limits, Deadlines(drain=self._ground.longest), begin)

    def _arrived(self, flow: Flow) -> None:
        stream = Stream(flow)
        self.streams.append(stream)
        self._accepted.append(stream)
        while self._waiting and self._accepted:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(self._accepted.popleft())

    async def connected(self) -> Stream:
        """The connecting end of a new stream."""
        stream = Stream(await self._ground.connect(self.address, self._flow))
        self.streams.append(stream)
        return stream

    async def accepted(self) -> Stream:
        """The accepting end of the next stream."""
        if self._accepted:
            return self._accepted.popleft()
        waiting: asyncio.Future[Stream] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        return await waiting

    async def pair(self) -> tuple[Stream, Stream]:
        """Both ends of a new stream, which have exchanged a byte each way."""
        near = await self.connected()
        far = await self.accepted()
        # In some transports one end counts as connected before the other.
        await asyncio.gather(near.send(b"?"), far.send(b"!"))
        expect(await far.receive_exactly(1) == b"?", "the first byte came wrong")
        expect(await near.receive_exactly(1) == b"!", "the first byte came wrong")
        return near, far

    async def expect_service(self) -> None:
        """Expect that the listener serves whoever comes, after those that gave up."""
        near = await self.connected()
        await near.send(b"here")
        received = b""
        while not received:
            try:
                received = await (await self.accepted()).receive_exactly(4)
            except (StreamEnded, ConnectionLost):
                continue
        expect(received == b"here", "the listener did not serve who came last")


def same(received: bytes, sent: bytes) -> None:
    """Expect that the bytes are the same, and say where they are not."""
    if received == sent:
        return
    at = next((at for at, (one, other) in enumerate(zip(received, sent, strict=False)) if one != other), None)
    where = "one is the beginning of the other" if at is None else f"the first wrong one is number {at}"
    raise AssertionError(f"{len(sent)} bytes were sent and {len(received)} received: {where}")


async def drained(stream: Stream, count: int) -> bytes:
    """The next `count` bytes, in whatever pieces."""
    parts: list[bytes] = []
    while count:
        part = await stream.receive(min(count, 65_536))
        expect(part, f"the stream ended with {count} bytes missing")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


async def filled(stream: Stream, piece: bytes, most: int) -> int:
    """Send pieces until a send has to wait; how many bytes have been handed over. The last send was cancelled."""
    sent = 0
    while sent <= most:
        sent += len(piece)
        if await cancelled(stream.send(piece)):
            return sent
    raise AssertionError(f"{sent} bytes were sent to a peer that does not receive, and the sender never had to wait")
