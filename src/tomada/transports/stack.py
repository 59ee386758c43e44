"""Which layers stand between the transport of an address and the protocol that is served there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from tomada.errors import ConnectFailed, ListenFailed
from tomada.transports.layer import Layer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from tomada.address import Address
    from tomada.transports.options import Options
    from tomada.transports.websocket_socket import WebSocketSocket

__all__ = ["NO_WEBSOCKETS", "Layer", "accepting", "connecting"]

NO_WEBSOCKETS: Final = "WebSocket needs the package websockets: pip install 'tomada[websocket]'"

P = TypeVar("P", bound="asyncio.Protocol")


def accepting(
    address: Address, factory: Callable[[], asyncio.Protocol], options: Options, pending: set[Layer]
) -> Callable[[], asyncio.Protocol]:
    """``factory`` with the layers of ``address`` around what it gives, at the accepting end.

    Raises:
        ListenFailed: A layer cannot be had: no certificate, or a package that is not installed.
    """
    if address.scheme in ("ws", "wss"):
        factory = _accepting_websocket(address, factory, options, pending)
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
        factory = _connecting_websocket(address, factory, options)
    if address.scheme in ("tls", "wss"):
        raise ConnectFailed(f"cannot connect to {address}: this version connects to tcp and unix addresses only")
    return factory


def _accepting_websocket(
    address: Address, factory: Callable[[], asyncio.Protocol], options: Options, pending: set[Layer]
) -> Callable[[], asyncio.Protocol]:
    try:
        from tomada.transports.websocket_server import AcceptingWebSocket  # noqa: PLC0415 - it may not be installed
    except ImportError as error:
        raise ListenFailed(f"cannot listen on {address}: {NO_WEBSOCKETS}") from error
    return lambda: AcceptingWebSocket(address, options, factory(), pending)


def _connecting_websocket(
    address: Address, factory: Callable[[], asyncio.Protocol], options: Options
) -> Callable[[], asyncio.Protocol]:
    try:
        from tomada.transports.websocket_client import ConnectingWebSocket  # noqa: PLC0415 - it may not be installed
    except ImportError as error:
        raise ConnectFailed(f"cannot connect to {address}: {NO_WEBSOCKETS}") from error
    return lambda: ConnectingWebSocket(address, options, factory())


def websocket_socket(address: Address) -> type[WebSocketSocket]:
    """The class of a WebSocket without an event loop. Raises `ConnectFailed`: the package is not installed."""
    try:
        from tomada.transports.websocket_socket import WebSocketSocket  # noqa: PLC0415 - it may not be installed
    except ImportError as error:
        raise ConnectFailed(f"cannot connect to {address}: {NO_WEBSOCKETS}") from error
    return WebSocketSocket
