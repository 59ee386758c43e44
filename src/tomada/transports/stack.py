"""Which layers stand between the transport of an address and the protocol that is served there."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from tomada.errors import ConnectFailed, ListenFailed
from tomada.transports.layer import Layer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from tomada.address import Address
    from tomada.transports.options import Options

__all__ = ["Layer", "accepting", "connecting"]

P = TypeVar("P", bound="asyncio.Protocol")


def accepting(
    address: Address, factory: Callable[[], asyncio.Protocol], options: Options, pending: set[Layer]
) -> Callable[[], asyncio.Protocol]:
    """``factory`` with the layers of ``address`` around what it gives, at the accepting end.

    Raises:
        ListenFailed: A layer cannot be had: no certificate, or a package that is not installed.
    """
    if address.scheme in ("ws", "wss"):
        raise ListenFailed(f"cannot listen on {address}: this version listens on tcp, tls and unix addresses only")
    if address.scheme in ("tls", "wss"):
        raise ListenFailed(f"cannot listen on {address}: this version listens on tcp and unix addresses only")
    return factory


def connecting(
    address: Address, factory: Callable[[], asyncio.Protocol], options: Options
) -> Callable[[], asyncio.Protocol]:
    """``factory`` with the layers of ``address`` around what it gives, at the connecting end.

    Raises:
        ConnectFailed: A layer cannot be had: authorities that cannot be read, a package that is not installed.
    """
    if address.scheme in ("ws", "wss"):
        raise ConnectFailed(f"cannot connect to {address}: this version connects to tcp, tls and unix addresses only")
    if address.scheme in ("tls", "wss"):
        raise ConnectFailed(f"cannot connect to {address}: this version connects to tcp and unix addresses only")
    return factory
