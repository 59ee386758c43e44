"""What all tests of the suite stand on: the two ends of a stream over the transport under test, and a deadline."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from random import Random
from typing import TYPE_CHECKING, Any

from tomada import transports
from tomada.address import Address
from tomada.errors import ConnectionLost, StreamEnded
from tomada.settings import TLS, Deadlines, Limits
from tomada.streams import Stream
from tomada.streams.flow import Flow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from tomada.transports import Listener

SOON = 0.05
"""Seconds that are waited for what must not come."""
KIB = 1_024
NARROW = Limits(buffer_bytes=64 * KIB, receive_bytes=64 * KIB)


class Ground:
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
    longest: float = 30.0
    """Seconds that one test may take."""

    def address(self) -> str | Address:
        """Where to listen: called anew for each test, with port 0 where there are ports."""
        raise NotImplementedError("give the address to listen on, such as tcp://127.0.0.1:0")

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """The loop that each test runs on; asyncio's own unless a subclass has another."""
        return asyncio.new_event_loop()

    async def listen(self, address: Address, factory: Callable[[], asyncio.Protocol]) -> Listener:
        """A listener: `tomada.transports.listen`, unless the transport under test has another way."""
        return await transports.listen(address, factory, options=transports.Options(tls=self.listening_tls))

    async def connect(self, address: Address, factory: Callable[[], Flow]) -> Flow:
        """What `factory` gave, connected: by `tomada.transports.connect`, unless the transport has another way."""
        options = transports.Options(tls=self.connecting_tls)
        _, flow = await transports.connect(address, factory, timeout=self.longest, options=options)
        return flow

    def run(self, test: Coroutine[Any, Any, None]) -> None:
        """Run one test to its end, within its time; nothing that it began goes on after it."""
        with asyncio.Runner(loop_factory=self.new_event_loop) as runner:
            runner.run(self._in_time(test))

    async def _in_time(self, test: Coroutine[Any, Any, None]) -> None:
        complaints: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        try:
            async with asyncio.timeout(self.longest):
                await test
        except TimeoutError as error:
            raise AssertionError(f"it did not end within {self.longest:g} s") from error
        for _ in range(100):
            if len(asyncio.all_tasks()) == 1:
                break
            await asyncio.sleep(0)
        expect(len(asyncio.all_tasks()) == 1, f"tasks were left behind: {asyncio.all_tasks()}")
        expect(not complaints, f"the loop's exception handler was called: {complaints}")

    def place(self) -> Address:
        """`address`, read."""
        given = self.address()
        return given if isinstance(given, Address) else Address.parse(given)

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


def expect(holds: object, otherwise: str) -> None:
    """Raise an `AssertionError` that says what is wrong; an ``assert`` would vanish under ``python -O``."""
    if not holds:
        raise AssertionError(otherwise)


def same(received: bytes, sent: bytes) -> None:
    """Expect that the bytes are the same, and say where they are not."""
    if received == sent:
        return
    at = next((at for at, (one, other) in enumerate(zip(received, sent, strict=False)) if one != other), None)
    where = "one is the beginning of the other" if at is None else f"the first wrong one is number {at}"
    raise AssertionError(f"{len(sent)} bytes were sent and {len(received)} received: {where}")


async def raises(kind: type[BaseException], work: Awaitable[object], otherwise: str) -> BaseException:
    """The error of this kind that `work` must raise."""
    try:
        await work
    except kind as error:
        return error
    raise AssertionError(otherwise)


async def cancelled(work: Coroutine[Any, Any, object], turns: int | None = None) -> bool:
    """Cancel `work` after so many turns of the loop, or when it has waited for a moment; whether it had not ended."""
    task = asyncio.ensure_future(work)
    if turns is None:
        await asyncio.wait([task], timeout=SOON)
    for _ in range(turns or 0):
        await asyncio.sleep(0)
    was_waiting = task.cancel()
    await asyncio.wait([task])
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error
    return was_waiting and task.cancelled()


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


def noise(seed: int, count: int) -> bytes:
    """Random bytes, the same for the same seed."""
    return Random(seed).randbytes(count)  # noqa: S311 - no secrets
