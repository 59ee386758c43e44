"""Kernel sockets: the one folder that opens them, always through the running loop's own API.

May import ``address`` and ``errors``, and nothing else of the house. One file per transport; read ``tcp.py`` first.
What the system refuses is told here, once, in words that say what to do next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from tomada.address import Address
from tomada.errors import ConnectFailed, ListenFailed
from tomada.transports import tcp, unix
from tomada.transports.datagram import DatagramStatistics
from tomada.transports.listener import Listener

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["DatagramStatistics", "Listener", "connect", "listen", "peer_address"]

P = TypeVar("P", bound="asyncio.Protocol")


async def listen(address: Address, factory: Callable[[], asyncio.Protocol], *, backlog: int = 1024) -> Listener:
    """A listener that accepts at ``address`` from now on and calls ``factory`` for each connection.

    Args:
        address: Where; an empty host means all interfaces, port 0 a free port, the same for all of them.
        factory: Gives the protocol of a new connection.
        backlog: Connections that may wait to be accepted; the system may lower it.

    Raises:
        AddressInUse: Somebody listens there; the text names the process where the system tells.
        SystemPort: A port below 1024, without the privilege that it needs.
        ListenFailed: Anything else that the system refused, or a scheme that is not served.
    """
    if address.scheme == "tcp":
        return await tcp.listen(address, factory, backlog)
    if address.scheme == "unix":
        return await unix.listen(address, factory, backlog)
    raise ListenFailed(f"cannot listen on {address}: this version listens on tcp and unix addresses only")


async def connect(
    address: Address,
    factory: Callable[[], P],
    *,
    timeout: float,
) -> tuple[asyncio.Transport, P]:
    """An open connection: the transport, and the protocol that ``factory`` gave for it.

    Args:
        address: Where; an empty host means localhost.
        factory: Gives the protocol; asked once for every address of the host that accepts.
        timeout: Seconds until the attempt is given up, the look-up of the name included.

    Raises:
        ConnectFailed: Nobody could be reached; the text says why, and the system's error is the cause.
    """
    if address.scheme == "tcp":
        return await tcp.connect(address, factory, timeout)
    if address.scheme == "unix":
        return await unix.connect(address, factory, timeout)
    raise ConnectFailed(f"cannot connect to {address}: this version connects to tcp and unix addresses only")


def peer_address(transport: asyncio.BaseTransport) -> Address:
    """Where the other end is, as far as the system knows.

    The peers of a unix listener have no names: for them this is the listener's own path. The address of a TCP peer that
    has gone before it was asked for may be unknown: then it has no host, and port 0.
    """
    peer, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
    if isinstance(peer, tuple):
        return tcp.name_address(peer)
    if isinstance(own, str):
        return Address("unix", path=peer or own)
    return Address("tcp", "", 0)
