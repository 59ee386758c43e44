"""Both ways of carrying datagrams, under the same socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from tomada.address import Address
from tomada.datagrams import DatagramSocket
from tomada.settings import DatagramLimits, Multicast
from tomada.transports.datagram import DatagramOptions
from tomada.transports.datagram_opening import open_datagrams

HERE = "udp://127.0.0.1:0"
SOON = 5.0


@asynccontextmanager
async def bound(
    address: str | Address = HERE,
    peer: Address | None = None,
    *,
    batches: bool | None = None,
    multicast: Multicast | None = None,
    **limits: Any,
) -> AsyncIterator[DatagramSocket]:
    """An open socket, in batches or not."""
    where = address if isinstance(address, Address) else Address.parse(address)
    options = DatagramOptions(multicast=multicast, limits=DatagramLimits(**limits))
    socket = DatagramSocket(peer)
    socket.attach(await open_datagrams(where, socket, peer=peer, options=options, batches=batches))
    async with socket:
        yield socket


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not condition():  # noqa: ASYNC110 - what it waits for is counted, not signalled
            await asyncio.sleep(0)


async def received(socket: DatagramSocket, count: int) -> list[bytes]:
    """The next datagrams."""
    return [(await socket.receive(timeout=SOON)).data for _ in range(count)]
