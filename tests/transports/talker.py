"""A protocol that collects what it receives, and servers and clients made of it, with TLS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from tests.authority import Authority
from tomada import transports
from tomada.address import Address
from tomada.settings import TLS
from tomada.transports import Options

HERE = Address.parse("tls://127.0.0.1:0")


class Talker(asyncio.Protocol):
    """Says `ECHO` of what it hears where that is its task, and can be waited for."""

    transport: asyncio.Transport

    def __init__(self, *, echoes: bool = False, stays: bool = False) -> None:
        loop = asyncio.get_running_loop()
        self.data = bytearray()
        self.ended = False
        self.lost: asyncio.Future[Exception | None] = loop.create_future()
        self.is_writable = asyncio.Event()
        self.is_writable.set()
        self.pauses = 0
        self._echoes = echoes
        self._stays = stays
        self._news = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.data += data
        if self._echoes:
            self.transport.write(data.upper())
        self._news.set()

    def eof_received(self) -> bool:
        self.ended = True
        self._news.set()
        return self._stays

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)
        self._news.set()

    def pause_writing(self) -> None:
        self.pauses += 1
        self.is_writable.clear()

    def resume_writing(self) -> None:
        self.is_writable.set()

    async def until(self, condition: Callable[[Talker], object]) -> None:
        while not condition(self):
            self._news.clear()
            await self._news.wait()

    async def hear(self, size: int) -> bytes:
        """The first ``size`` bytes that come, which are taken out."""
        await self.until(lambda self: len(self.data) >= size)
        heard = bytes(self.data[:size])
        del self.data[:size]
        return heard


class Serving:
    """A listener and the protocols of its connections."""

    def __init__(self, listener: transports.Listener, accepted: list[Talker]) -> None:
        self.listener = listener
        self.accepted = accepted
        self.address = listener.addresses[0]
        self.port = self.address.port or 0

    async def first(self) -> Talker:
        """The first connection, once it is open."""
        while not (self.accepted and hasattr(self.accepted[0], "transport")):  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0)
        return self.accepted[0]

    def plain(self) -> Address:
        """Its address, as who knows nothing of TLS would write it."""
        return Address("tcp", self.address.host, self.port)


@asynccontextmanager
async def serving(
    tls: TLS | None, *, address: Address = HERE, echoes: bool = True, stays: bool = False, handshake: float = 30
) -> AsyncIterator[Serving]:
    accepted: list[Talker] = []

    def accept() -> Talker:
        accepted.append(Talker(echoes=echoes, stays=stays))
        return accepted[-1]

    listener = await transports.listen(address, accept, options=Options(tls=tls, handshake=handshake))
    try:
        yield Serving(listener, accepted)
    finally:
        listener.close()
        for talker in accepted:
            if hasattr(talker, "transport"):
                talker.transport.abort()
                await talker.lost


@asynccontextmanager
async def connected(address: Address, tls: TLS | None, **more: Any) -> AsyncIterator[Talker]:
    options = Options(tls=tls, handshake=30)
    _, talker = await transports.connect(address, lambda: Talker(**more), timeout=30, options=options)
    try:
        yield talker
    finally:
        talker.transport.abort()
        await talker.lost


async def greets(address: Address, authority: Authority) -> str:
    """The fingerprint of the certificate that a healthy client is shown; it is served in full."""
    async with connected(address, authority.client) as talker:
        talker.transport.write(b"all is well")
        assert await talker.hear(11) == b"ALL IS WELL"
        who = transports.identity(talker.transport)
        assert who is not None
        return who.fingerprint
