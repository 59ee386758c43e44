"""asyncio's streams on uvloop: `write` and `drain` at the one end, whole chunks by `readexactly` at the other."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter

from benchmarks.load import Plan, run


async def _send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    chunk = bytes(int(await reader.readline()))
    with suppress(ConnectionError):
        while True:
            writer.write(chunk)
            await writer.drain()
    writer.close()


def serve(announce: Callable[[int], None]) -> None:
    """Send chunks to whoever asks for some."""

    async def main() -> None:
        server = await asyncio.start_server(_send, "127.0.0.1", 0)
        announce(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    run(main())


def measure(port: int, plan: Plan) -> float:
    """Megabytes per second."""

    async def main() -> float:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"%d\n" % plan.load)
        begun, count, now = perf_counter() + plan.warm_up, 0, 0.0
        while now < begun + plan.seconds:
            chunk = await reader.readexactly(plan.load)
            now = perf_counter()
            if now >= begun:
                count += len(chunk)
        writer.transport.abort()
        return count / 1e6 / (now - begun)

    return run(main())
