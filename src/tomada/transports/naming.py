"""What the two ends of a connection are called: their addresses, as far as the system knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tomada.address import Address
from tomada.transports import tcp

if TYPE_CHECKING:
    import asyncio


def peer_address(transport: asyncio.BaseTransport) -> Address:
    """Where the other end is, as far as the system knows.

    The peers of a unix listener have no names: for them this is the listener's own path; so it is in memory. The
    address of a TCP peer that has gone before it was asked for may be unknown: then it has no host, and port 0.
    """
    return _named(transport, "peername", "sockname")


def own_address(transport: asyncio.BaseTransport) -> Address:
    """Where this end is. One that connected to a unix address has no name: its path is the one it connected to."""
    return _named(transport, "sockname", "peername")


def _named(transport: asyncio.BaseTransport, wanted: str, other: str) -> Address:
    made_at = transport.get_extra_info("address")
    if isinstance(made_at, Address):
        return made_at
    name, instead = transport.get_extra_info(wanted), transport.get_extra_info(other)
    scheme = transport.get_extra_info("scheme") or "tcp"
    if isinstance(name, tuple):
        return tcp.name_address(name, scheme)
    if isinstance(name, str) or isinstance(instead, str):
        return Address("unix", path=name or instead)
    return Address(scheme, "", 0)
