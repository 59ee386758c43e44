"""Whether somebody accepts at an address, tried: a connection is made and closed, and nothing is sent."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from tomada.errors import ConnectFailed
from tomada.transports import tcp, unix

if TYPE_CHECKING:
    from tomada.address import Address


class _Visit(asyncio.Protocol):
    def __init__(self) -> None:
        self.over = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how it ends says nothing
        self.over.set_result(None)


async def why_unreached(address: Address, timeout: float) -> str:
    """Why no connection to a stream address comes about; empty where one did.

    Of ``tls``, ``ws`` and ``wss`` it is the TCP connection that is tried, without the handshake that comes next.
    """
    carrier = unix if address.scheme == "unix" else tcp
    try:
        transport, visit = await carrier.connect(address, _Visit, timeout)
    except ConnectFailed as error:
        return str(error).removeprefix(f"cannot connect to {address}: ")
    transport.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            await visit.over
    return ""
