"""An application with streams, and what it notes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import tomada

TCP = "tcp://127.0.0.1:0"
ADDRESSES = (TCP, "memory://stall", "ws://127.0.0.1:0/stall")


class Tick(tomada.Message, tag=True):
    number: int


class Tock(tomada.Message, tag=True):
    text: str


class Add(tomada.Request[int]):
    left: int
    right: int


class Count(tomada.StreamRequest[Tick]):
    """So many ticks; then, where it says so, an error."""

    most: int
    fails: bool = False


class Bulk(tomada.StreamRequest[bytes]):
    """Chunks of `size` that all carry their number."""

    size: int
    most: int


class Mixed(tomada.StreamRequest[Tick | Tock | int | None]):
    pass


class Wrong(tomada.StreamRequest[int]):
    pass


class Sit(tomada.StreamRequest[int]):
    """One item, then nothing, for as long as its caller wants."""


class Store(tomada.UploadRequest[bytes, int]):
    """How many bytes come, of the first so many parts."""

    most: int = 1_000_000_000


class Sum(tomada.UploadRequest[Tick, int]):
    pass


class Refuse(tomada.UploadRequest[Tick, int]):
    """Fails at the first part."""


class Echo(tomada.DuplexRequest[Tick, Tick]):
    pass


class Spoilt(tomada.RemoteError):
    number: int


class Stage:
    """What the handlers have done."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.made = 0
        """How many chunks or ticks were made."""

    def mark(self, event: str) -> None:
        self.events.append(event)

    async def until(self, event: str, count: int = 1) -> None:
        """Wait until it has happened."""
        async with asyncio.timeout(20):
            while self.events.count(event) < count:  # noqa: ASYNC110 - marked in any turn, seldom waited for
                await asyncio.sleep(0.001)

    async def until_still(self) -> int:
        """Wait until nothing more is made; how many there are."""
        made = -1
        while made != self.made:
            made = self.made
            await asyncio.sleep(0.1)
        return made


def chunk(number: int, size: int) -> bytes:
    return number.to_bytes(8, "big") * (size // 8)


async def taken(stream: AsyncIterator[Any], into: list[Any] | None = None) -> list[Any]:
    """What the stream gives; `into` has it also where the stream fails."""
    items = [] if into is None else into
    async for item in stream:
        items.append(item)
    return items


def stall(stage: Stage) -> tomada.App:  # noqa: C901, PLR0915 - one handler after the other
    """The application: what its handlers do is noted on the stage."""
    app = tomada.App("stall")

    @app.on
    async def add(request: Add) -> int:
        return request.left + request.right

    @app.on
    async def count(request: Count) -> AsyncIterator[Tick]:
        try:
            for number in range(request.most):
                stage.made += 1
                yield Tick(number)
            if request.fails:
                raise Spoilt(number=request.most)
        except GeneratorExit:
            stage.mark("closed count")
            raise
        except asyncio.CancelledError:
            stage.mark("cancelled count")
            raise
        finally:
            await asyncio.sleep(0)
            stage.mark("ended count")

    @app.on
    async def bulk(request: Bulk) -> AsyncIterator[bytes]:
        try:
            for number in range(request.most):
                stage.made += 1
                yield chunk(number, request.size)
        finally:
            stage.mark("ended bulk")

    @app.on
    async def mixed(_: Mixed) -> AsyncIterator[Tick | Tock | int | None]:
        yield Tick(1)
        yield None
        yield Tock("two")
        yield 3

    @app.on
    async def wrong(_: Wrong) -> AsyncIterator[int]:
        yield 1
        yield "two"  # type: ignore[misc]

    @app.on
    async def sit(_: Sit) -> AsyncIterator[int]:
        yield 1
        stage.mark("sits")
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            stage.mark("cancelled sit")
            raise

    @app.on
    async def store(request: Store, parts: AsyncIterator[bytes]) -> int:
        size = taken = 0
        try:
            async for part in parts:
                size += len(part)
                taken += 1
                if taken == request.most:
                    break
        except asyncio.CancelledError:
            stage.mark("cancelled store")
            raise
        return size

    @app.on
    async def total(_: Sum, parts: AsyncIterator[Tick]) -> int:
        try:
            return sum([part.number async for part in parts])
        except asyncio.CancelledError:
            stage.mark("cancelled sum")
            raise

    @app.on
    async def refuse(_: Refuse, parts: AsyncIterator[Tick]) -> int:
        async for part in parts:
            raise Spoilt(number=part.number)
        return 0

    @app.on
    async def echo(_: Echo, parts: AsyncIterator[Tick]) -> AsyncIterator[Tick]:
        try:
            async for part in parts:
                yield part
        finally:
            stage.mark("ended echo")

    return app


@asynccontextmanager
async def served(address: str = TCP, **options: Any) -> AsyncIterator[tuple[tomada.Connection, Stage, tomada.Server]]:
    """A connection to a stall, its stage, and its server."""
    stage = Stage()
    async with tomada.serve(stall(stage), address, **options) as server, tomada.connect(server.addresses[0]) as client:
        yield client, stage, server


def cut(end: Any) -> None:
    """Take the transport away from under a connection."""
    transport = getattr(end, "_link", end).transport
    if transport is not None:
        transport.abort()
