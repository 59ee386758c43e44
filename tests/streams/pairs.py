"""The two ends of one stream, in the hands of one test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import tomada
from tomada import Deadlines, Limits, Stream

HERE = "tcp://127.0.0.1:0"
HASTE = Deadlines(idle=0.05, frame=0.05, progress=0.05, drain=0.2, handshake=1)
SMALL = Limits(buffer_bytes=1_024, receive_bytes=1_024, message_bytes=65_536)


@asynccontextmanager
async def paired(
    address: str = HERE, *, limits: Limits | None = None, deadlines: Deadlines | None = None
) -> AsyncIterator[tuple[Stream, Stream]]:
    """The client's end and the server's; the limits and deadlines are the server's."""
    app = tomada.App()
    accepted: asyncio.Future[Stream] = asyncio.get_running_loop().create_future()
    done = asyncio.Event()

    @app.stream(address)
    async def hand_over(stream: Stream) -> None:
        accepted.set_result(stream)
        await done.wait()

    async with tomada.serve(app, limits=limits, deadlines=deadlines) as server:
        near = await tomada.connect_stream(server.addresses[0])
        far = await accepted
        try:
            yield near, far
        finally:
            done.set()
            near.abort()
            await near.close()
            await far.close()


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until it holds."""
    while not condition():  # noqa: ASYNC110 - what the test waits for has no event
        await asyncio.sleep(0)


@asynccontextmanager
async def echoing(*, deadlines: Deadlines | None = None) -> AsyncIterator[tomada.Address]:
    """The address of a server that sends back what comes."""
    app = tomada.App()

    @app.stream(HERE)
    async def echo(stream: Stream) -> None:
        async for chunk in stream:
            await stream.send(chunk)

    async with tomada.serve(app, deadlines=deadlines) as server:
        yield server.addresses[0]
