"""A server, a proxy before it, and connections through it, all in the hands of one test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import tomada
from tomada import transports
from tomada.testing import FaultProxy

HERE = "tcp://127.0.0.1:0"
LONG = 20.0
"""Seconds in which what must happen has happened, on any machine."""
A_WHILE = 0.05
"""Seconds in which what must not happen would have, on most."""


class Proxied:
    """Makes connections through a proxy to a listener, which it stands for as the server."""

    def __init__(self, proxy: FaultProxy, listener: tomada.StreamListener, stack: AsyncExitStack) -> None:
        self.proxy = proxy
        self.listener = listener
        self._stack = stack

    async def client(self) -> tomada.Stream:
        """The client's end of a new connection."""
        stream = await tomada.connect_stream(self.proxy.address)
        self._stack.callback(stream.abort)
        return stream

    async def accepted(self) -> tomada.Stream:
        """The server's end of the next one."""
        stream = await self.listener.accept(timeout=LONG)
        self._stack.callback(stream.abort)
        return stream

    async def both(self) -> tuple[tomada.Stream, tomada.Stream]:
        """The client's and the server's end of a new one."""
        return await self.client(), await self.accepted()


@asynccontextmanager
async def proxied(listen: str = HERE, to: str = HERE, **options: Any) -> AsyncIterator[Proxied]:
    """A proxy at `listen`, with a server at `to` behind it."""
    async with (
        tomada.listen_stream(to) as listener,
        FaultProxy(listen, to=listener.address, **options) as proxy,
        AsyncExitStack() as stack,
    ):
        yield Proxied(proxy, listener, stack)


async def until(condition: Callable[[], object]) -> None:
    """Let the loop turn until it holds."""
    async with asyncio.timeout(LONG):
        while not condition():  # noqa: ASYNC110 - what the test waits for has no event
            await asyncio.sleep(0.001)


async def passes(sender: tomada.Stream, receiver: tomada.Stream, data: bytes = b"is it well?") -> None:
    """What the one sends, the other receives."""
    await sender.send(data)
    assert await receiver.receive_exactly(len(data), timeout=LONG) == data


async def healthy(*ends: tomada.Stream) -> None:
    """Bytes pass, both ways, between the two ends."""
    near, far = ends
    await passes(near, far)
    await passes(far, near)


async def nothing_comes(stream: tomada.Stream) -> None:
    """Neither a byte nor an end."""
    try:
        data = await stream.receive(timeout=A_WHILE)
    except tomada.TimedOut:
        return
    raise AssertionError(f"{data!r} has come")


async def is_reset(stream: tomada.Stream) -> bool:
    """Whether the stream ends by a reset, once all that came before has been received."""
    try:
        while await stream.receive(timeout=LONG):
            pass
    except tomada.ConnectionLost:
        return True
    return False


async def send_until_full(stream: tomada.Stream) -> int:
    """Send until nobody takes any more; how many bytes that were, 400,000,000 at most."""
    piece = b"x" * 65_536
    sent = 0
    with suppress(tomada.TimedOut):
        while sent < 400_000_000:
            await stream.send(piece, timeout=0.3)
            sent += len(piece)
    return sent


class _Pieces(asyncio.Protocol):
    """Notes what it receives, as it comes."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.pieces.append(data)

    def eof_received(self) -> None:
        self.ended.set_result(None)


async def piece_sizes(place: Proxied, data: bytes) -> list[int]:
    """The sizes of the pieces in which a client receives what the server has sent."""
    transport, got = await transports.connect(place.proxy.address, _Pieces, timeout=LONG)
    far = await place.accepted()
    await far.send(data)
    await far.shutdown()
    await got.ended
    transport.abort()
    assert b"".join(got.pieces) == data
    return [len(piece) for piece in got.pieces]
