"""The server for the browser, with streams: ``python -m tests.web.streaming ADDRESS ORIGIN…``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import tomada
from tests.web.program import InsufficientFunds, Tick, app, main


class Ticks(tomada.StreamRequest[Tick]):
    """So many, or without end."""

    count: int | None = None
    pause: float = 0.0


class Chunks(tomada.StreamRequest[bytes]):
    """So many chunks of so many bytes; each begins with its number."""

    count: int
    bytes: int


class Names(tomada.StreamRequest[str | None]):
    """Some, and then it fails."""


class Stopped(tomada.Request[list[int]]):
    """At which tick each stream of ticks ended."""


class Store(tomada.UploadRequest[bytes, int]):
    """The answer is how many bytes came, in their order."""


class Add(tomada.UploadRequest[Tick, list[int]]):
    """The numbers; at 13 it fails."""


class Double(tomada.DuplexRequest[int, int]):
    """Each part, twice as much."""


class PageCount(tomada.StreamRequest[int]):
    """What the page answers with items."""

    count: int


class PageStore(tomada.UploadRequest[bytes, int]):
    """What the page answers when it has all."""


class AskPage(tomada.Request[list[int]]):
    """Streams from the page, and to it."""

    count: int
    leaves_at: int | None = None


stopped: list[int] = []


@app.on
async def ticks(request: Ticks) -> AsyncIterator[Tick]:
    number = 0
    try:
        while request.count is None or number < request.count:
            yield Tick(number)
            number += 1
            await asyncio.sleep(request.pause)
    finally:
        stopped.append(number)


@app.on
async def chunks(request: Chunks) -> AsyncIterator[bytes]:
    for number in range(request.count):
        yield number.to_bytes(4, "big") + bytes(request.bytes - 4)


@app.on
async def names(request: Names) -> AsyncIterator[str | None]:  # noqa: ARG001 - the annotation is the route
    yield "ana"
    yield None
    raise InsufficientFunds(balance=7)


@app.on
async def all_stopped(request: Stopped) -> list[int]:  # noqa: ARG001 - the annotation is the route
    return stopped


@app.on
async def store(request: Store, parts: AsyncIterator[bytes]) -> int:  # noqa: ARG001 - the annotation is the route
    count = number = 0
    async for part in parts:
        if int.from_bytes(part[:4], "big") != number:
            raise ValueError(f"{part[:4]!r} came where {number} was due")
        number += 1
        count += len(part)
    return count


@app.on
async def add(request: Add, parts: AsyncIterator[Tick]) -> list[int]:  # noqa: ARG001 - the annotation is the route
    numbers = []
    async for part in parts:
        if part.number == 13:
            raise InsufficientFunds(balance=13)
        numbers.append(part.number)
    return numbers


@app.on
async def double(request: Double, parts: AsyncIterator[int]) -> AsyncIterator[int]:  # noqa: ARG001 - the annotation is the route
    async for part in parts:
        yield 2 * part


@app.on
async def ask_page(request: AskPage, peer: tomada.Connection) -> list[int]:
    numbers = []
    async with peer.stream(PageCount(request.count)) as items:
        async for number in items:
            numbers.append(number)
            if number == request.leaves_at:
                break
    size = await peer.ask(PageStore(), upload=[bytes([number]) * 10_000 for number in range(50)])
    return [len(numbers), size]


if __name__ == "__main__":
    main(*sys.argv[1:])
