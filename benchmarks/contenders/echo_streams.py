"""asyncio streams on uvloop, as the standard library's documentation writes the echo server."""

import asyncio
from collections.abc import Callable
from contextlib import closing

from benchmarks.echo_load import rate_of_echoes
from benchmarks.load import run


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with closing(writer):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


def serve(announce: Callable[[int], None]) -> None:
    """Echo, a task for each connection."""

    async def main() -> None:
        server = await asyncio.start_server(_echo, "127.0.0.1", 0)
        announce(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    run(main())


measure = rate_of_echoes
