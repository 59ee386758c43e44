"""Streams without a socket, inside one process and one event loop: for tests, and for parts that live together.

A name is listened on by one loop. Between loops, threads and processes the other transports are the right ones.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, TypeVar

from tomada.errors import AddressInUse, ConnectFailed, ListenFailed
from tomada.transports.listener import Listener
from tomada.transports.memory_transport import MemoryTransport, pair

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tomada.address import Address
    from tomada.transports.accepting import Accepting

P = TypeVar("P", bound=asyncio.Protocol)

PIECES: Final[ContextVar[Random | None]] = ContextVar("PIECES", default=None)
"""Cuts what travels over the connections made in this context into pieces of random sizes."""

_listening: Final[dict[str, _Acceptor]] = {}
"""All names of this process."""


class _Acceptor:
    """Who accepts at one name."""

    def __init__(self, name: str, factory: Callable[[], asyncio.Protocol]) -> None:
        self.loop = asyncio.get_running_loop()
        self._name = name
        self._factory = factory

    def accept(self, end: MemoryTransport) -> None:
        """Give the end a protocol, if the listener is still there and the peer too."""
        if _listening.get(self._name) is not self:
            end.abort()
        elif not end.lost:
            try:
                protocol = self._factory()
            except BaseException:
                end.abort()
                raise
            end.start(protocol)

    def close(self) -> None:
        """Accept no more."""
        if _listening.get(self._name) is self:
            del _listening[self._name]


async def listen(address: Address, accepting: Accepting) -> Listener:
    """A listener on the name, for connections from the same loop.

    Raises:
        AddressInUse: The name is listened on in this process, whatever the loop.
        ListenFailed: The connections were to be served by other threads or processes.
    """
    if accepting.make is None:
        raise ListenFailed(f"cannot listen on {address}: memory joins ends of one process; take a unix or tcp address")
    acceptor = _Acceptor(address.host, accepting.admitting())
    holder = _listening.setdefault(address.host, acceptor)
    if holder is not acceptor and holder.loop.is_closed():  # as the socket file of a server that was killed
        holder.close()
        holder = _listening.setdefault(address.host, acceptor)
    if holder is not acceptor:
        where = "" if holder.loop is acceptor.loop else " in another event loop"
        what = f"this process listens there already{where}; close that listener, or take another name"
        raise AddressInUse(f"cannot listen on {address}: {what}")
    return Listener([(acceptor, address)])


async def connect(address: Address, factory: Callable[[], P], timeout: float) -> tuple[asyncio.Transport, P]:  # noqa: ARG001 - it takes a turn of the loop
    """A connection to the name; without anything to wait for but a turn of the loop.

    Raises:
        ConnectFailed: Nobody in this process listens there, or somebody in another event loop.
    """
    loop = asyncio.get_running_loop()
    acceptor = _listening.get(address.host)
    if acceptor is None or acceptor.loop.is_closed():
        why = "nothing in this process listens there; start the server first, or check the name"
        raise ConnectFailed(f"cannot connect to {address}: {why}")
    if acceptor.loop is not loop:
        why = "another event loop of this process listens there, and memory joins ends of one loop; take unix or tcp"
        raise ConnectFailed(f"cannot connect to {address}: {why}")
    near, far = pair(loop, address, PIECES.get())
    protocol = factory()
    connected: asyncio.Future[None] = loop.create_future()

    def ready() -> None:
        if not connected.done():
            connected.set_result(None)

    near.start(protocol, ready)
    loop.call_soon(acceptor.accept, far)
    try:
        await connected
    except BaseException:
        near.abort()
        raise
    return near, protocol
