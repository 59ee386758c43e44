"""A proxy, as HAProxy is one: it says for whom it connects, and carries the bytes both ways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import tomada

HERE = "127.0.0.2"
"""Where it connects from: others are at 127.0.0.1."""


class Proxy:
    def __init__(self, target: tomada.Address, header: bytes, pieces: int) -> None:
        self.target = target
        self.header = header
        self.pieces = pieces
        self.address = target
        self.tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = asyncio.current_task()
        assert own is not None
        self.tasks.add(own)
        host, port = self.target.host, self.target.port
        far_reader, far_writer = await asyncio.open_connection(host, port, local_addr=(HERE, 0))
        try:
            for start in range(0, len(self.header), self.pieces):
                far_writer.write(self.header[start : start + self.pieces])
                await asyncio.sleep(0)
            await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))
        finally:
            for one in (writer, far_writer):
                one.close()
            for one in (writer, far_writer):
                with suppress(OSError):
                    await one.wait_closed()


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


@asynccontextmanager
async def proxy(target: tomada.Address, header: bytes, pieces: int = 1_000) -> AsyncIterator[Proxy]:
    """A proxy before `target` which sends its header in pieces of so many bytes."""
    running = Proxy(target, header, pieces)
    server = await asyncio.start_server(running.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    running.address = tomada.Address(target.scheme, "localhost", port, target.path)
    try:
        yield running
    finally:
        server.close()
        if running.tasks:
            await asyncio.wait(running.tasks)
