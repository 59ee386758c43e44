"""A protocol that notes what happens to it, and servers and clients made of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

from tomada import transports
from tomada.address import Address


class Recorder(asyncio.Protocol):
    """Futures for the three things that can happen: made, data has come, lost."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.made: asyncio.Future[asyncio.Transport] = loop.create_future()
        self.data: asyncio.Future[bytes] = loop.create_future()
        self.lost: asyncio.Future[Exception | None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do what asyncio.Transport says without being one.
        self.made.set_result(cast("asyncio.Transport", transport))

    def data_received(self, data: bytes) -> None:
        self.data.set_result(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)

    async def close(self) -> None:
        if self.made.done():
            self.made.result().abort()
            await self.lost


class Server:
    """A listener, and the protocols of the connections that it accepted, in order."""

    def __init__(self) -> None:
        self.accepted: asyncio.Queue[Recorder] = asyncio.Queue()
        self.all: list[Recorder] = []
        self.listener: transports.Listener

    def new(self) -> Recorder:
        recorder = Recorder()
        self.all.append(recorder)
        self.accepted.put_nowait(recorder)
        return recorder


@asynccontextmanager
async def serving(address: Address) -> AsyncIterator[Server]:
    server = Server()
    server.listener = await transports.listen(address, server.new)
    try:
        yield server
    finally:
        server.listener.close()
        for recorder in server.all:
            await recorder.close()


@asynccontextmanager
async def connected(address: Address) -> AsyncIterator[tuple[asyncio.Transport, Recorder]]:
    transport, recorder = await transports.connect(address, Recorder, timeout=30)
    try:
        yield transport, recorder
    finally:
        await recorder.close()
