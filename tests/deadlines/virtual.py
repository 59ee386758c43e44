"""Time that passes at once, and peers in memory that do, or do not, what they should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, cast

import tomada
from tests.integration.house import CATALOGUE, Wire, frame
from tests.timeless import TimelessLoop
from tomada import transports
from tomada.address import Address
from tomada.protocol import Hello, Kind, encode
from tomada.sweep import TICK

HERE = "memory://deadlines"
SLACK = 2 * TICK + 0.001
"""What is late is ended so many seconds later, at most."""


def virtually(main: Coroutine[Any, Any, None]) -> None:
    """Run a test on a clock that jumps to whatever is due next; nothing may be left."""
    complaints: list[dict[str, Any]] = []

    async def whole() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        await main
        for _ in range(20):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with asyncio.Runner(loop_factory=TimelessLoop) as runner:
        runner.run(whole())
    assert complaints == []


def now() -> float:
    return asyncio.get_running_loop().time()


async def until(condition: Callable[[], object]) -> None:
    """Let time pass until it holds."""
    while not condition():  # noqa: ASYNC110 - a stand-in has no events
        await asyncio.sleep(0.05)


@contextmanager
def lasting(seconds: float, slack: float = SLACK) -> Iterator[None]:
    """What is done must take so long, and no longer."""
    begun = now()
    yield
    taken = now() - begun
    assert seconds - 1e-6 <= taken <= seconds + slack, f"it took {taken:g} s, not {seconds:g} s"


class MemoryWire:
    """A peer that says what it likes, byte by byte; it hears all, and answers nothing."""

    def __init__(self, reader: asyncio.StreamReader, transport: asyncio.Transport) -> None:
        self.reader = reader
        self.transport = transport
        self._wire = Wire.__new__(Wire)
        self._wire.sequence = 0
        self._wire.reader = reader

    def say(self, data: bytes) -> None:
        self.transport.write(data)

    def ask(self, request: tomada.Message, id_: int) -> bytes:
        return self._wire.ask(request, id_)

    async def hello(self) -> None:
        self.say(frame(Kind.HELLO, encode(Hello(catalogue=tuple(CATALOGUE.entries)))))
        kind, _, _ = await self._wire.hear()
        assert kind == Kind.WELCOME

    async def hear(self) -> tuple[int, int, bytes]:
        return await self._wire.hear()

    async def until_closed(self) -> bytes:
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""

    async def trickle(self, data: bytes, every: float) -> None:
        """Say a byte now and then, until nobody listens any more."""
        for byte in data:
            if self.transport.is_closing():
                return
            self.say(bytes([byte]))
            await asyncio.sleep(every)


@asynccontextmanager
async def wire(address: str = HERE) -> AsyncIterator[MemoryWire]:
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await transports.connect(Address.parse(address), lambda: protocol, timeout=5)
    try:
        yield MemoryWire(reader, transport)
    finally:
        transport.abort()
        await asyncio.sleep(0)


def freeze(connection: tomada.Connection) -> None:
    """Its end reads nothing, and so answers nothing: as a process that was stopped."""
    link = connection._link
    cast("asyncio.Transport", link.transport).pause_reading()
    link.paused = True  # who does not listen asks for no signs
