"""tomada's byte streams: the handler as the guide writes it."""

import asyncio
from collections.abc import Callable

import tomada
from benchmarks.echo_load import rate_of_echoes
from benchmarks.load import run

app = tomada.App("echo")


@app.stream("tcp://127.0.0.1:0")
async def echo(stream: tomada.Stream) -> None:
    """Send back what comes."""
    async for chunk in stream:
        await stream.send(chunk)


def serve(announce: Callable[[int], None]) -> None:
    """Serve the app."""

    async def main() -> None:
        async with tomada.serve(app) as server:
            announce(server.addresses[0].port or 0)
            await asyncio.Event().wait()

    run(main())


measure = rate_of_echoes
