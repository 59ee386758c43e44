"""A stream of bytes over tomada's messages: what the caller's loop was given counts, by its clock."""

import asyncio
from collections.abc import AsyncIterator, Callable
from time import perf_counter

import tomada
from benchmarks.load import Plan, run


class Chunks(tomada.StreamRequest[bytes]):
    """Chunks of so many bytes, for as long as somebody takes them."""

    size: int


class Numbers(tomada.StreamRequest[int]):
    """Small items, alike."""


app = tomada.App("chunks")


@app.on
async def chunks(request: Chunks) -> AsyncIterator[bytes]:
    """Give the same bytes again and again."""
    chunk = bytes(request.size)
    while True:
        yield chunk


@app.on
async def numbers(_: Numbers) -> AsyncIterator[int]:
    """Count."""
    number = 0
    while True:
        yield number
        number += 1


def serve(announce: Callable[[int], None]) -> None:
    """Serve the streams."""

    async def main() -> None:
        async with tomada.serve(app, "tcp://127.0.0.1:0") as server:
            announce(server.addresses[0].port or 0)
            await asyncio.Event().wait()

    run(main())


def measure(port: int, plan: Plan) -> float:
    """Megabytes per second."""

    async def main() -> float:
        async with tomada.connect(f"tcp://127.0.0.1:{port}") as client:
            begun, count, now = perf_counter() + plan.warm_up, 0, 0.0
            async for chunk in client.stream(Chunks(plan.load)):
                now = perf_counter()
                if now >= begun:
                    count += len(chunk)
                    if now >= begun + plan.seconds:
                        break
            return count / 1e6 / (now - begun)

    return run(main())
