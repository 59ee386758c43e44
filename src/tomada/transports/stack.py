"""Which layers stand between the transport of an address and the protocol that is served there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tomada.errors import ConnectFailed, HandshakeFailed, ListenFailed
from tomada.transports.layer import Layer
from tomada.transports.tls import layer as tls
from tomada.transports.tls.certificates import Certificates, Unusable, client_context, server_context
from tomada.transports.tls.layer import Terms, TLSLayer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from tomada.address import Address
    from tomada.transports.options import Options
    from tomada.transports.websocket.blocking import WebSocketSocket

__all__ = ["NO_WEBSOCKETS", "Layer", "accepting", "certificates", "connecting", "start_tls", "websocket_socket"]

NO_WEBSOCKETS: Final = "WebSocket needs the package websockets: pip install 'tomada[websocket]'"

_SECURE = ("tls", "wss")


def certificates(address: Address, options: Options) -> Certificates | None:
    """What TLS is spoken with at the accepting end; ``None`` where the address has no TLS.

    Raises:
        ListenFailed: There is no certificate, or it cannot be used.
    """
    if address.scheme not in _SECURE:
        return None
    try:
        return Certificates(options.tls)
    except Unusable as error:
        raise ListenFailed(f"cannot listen on {address}: {error}") from error


def accepting(
    address: Address,
    factory: Callable[[], asyncio.Protocol],
    options: Options,
    pending: set[Layer],
    secured: Certificates | None,
) -> Callable[[], asyncio.Protocol]:
    """``factory`` with the layers of ``address`` around what it gives, at the accepting end.

    ``secured`` is what `certificates` gave for the same address.

    Raises:
        ListenFailed: A layer cannot be had, as its package is not installed.
    """
    layered = factory
    if address.scheme in ("ws", "wss"):
        layered = _accepting_websocket(address, factory, options, pending)
    if secured is not None:
        layered = _accepting_tls(layered, options, pending, secured)
    return _accepting_proxied(layered, options, pending) if options.proxied_by else layered


def _accepting_tls(
    upper: Callable[[], asyncio.Protocol], options: Options, pending: set[Layer], secured: Certificates
) -> Callable[[], asyncio.Protocol]:
    protocols = options.tls.protocols if options.tls is not None else ()

    def make() -> TLSLayer:
        # The context of this moment: a certificate that was renewed is used from the next connection on.
        return TLSLayer(upper(), options.handshake, pending, Terms(secured.context, True, "", protocols))  # noqa: FBT003 - a tuple's place

    return make


def _accepting_proxied(
    upper: Callable[[], asyncio.Protocol], options: Options, pending: set[Layer]
) -> Callable[[], asyncio.Protocol]:
    from tomada.transports.proxied import Proxied, networks  # noqa: PLC0415 - few servers need it

    trusted = networks(options.proxied_by)
    return lambda: Proxied(upper(), options.handshake, pending, trusted)


def connecting(
    address: Address, factory: Callable[[], asyncio.Protocol], options: Options
) -> Callable[[], asyncio.Protocol]:
    """``factory`` with the layers of ``address`` around what it gives, at the connecting end.

    Raises:
        ConnectFailed: A layer cannot be had: authorities that cannot be read, a package that is not installed.
    """
    layered = factory
    if address.scheme in ("ws", "wss"):
        layered = _connecting_websocket(address, factory, options)
    if address.scheme not in _SECURE:
        return layered
    terms = client_terms(address, options)
    return lambda: TLSLayer(layered(), options.handshake, None, terms)


def _accepting_websocket(
    address: Address, factory: Callable[[], asyncio.Protocol], options: Options, pending: set[Layer]
) -> Callable[[], asyncio.Protocol]:
    try:
        from tomada.transports.websocket.server import AcceptingWebSocket  # noqa: PLC0415 - it may not be installed
    except ImportError as error:
        raise ListenFailed(f"cannot listen on {address}: {NO_WEBSOCKETS}") from error
    return lambda: AcceptingWebSocket(address, options, factory(), pending)


def _connecting_websocket(
    address: Address, factory: Callable[[], asyncio.Protocol], options: Options
) -> Callable[[], asyncio.Protocol]:
    try:
        from tomada.transports.websocket.client import ConnectingWebSocket  # noqa: PLC0415 - it may not be installed
    except ImportError as error:
        raise ConnectFailed(f"cannot connect to {address}: {NO_WEBSOCKETS}") from error
    return lambda: ConnectingWebSocket(address, options, factory())


def websocket_socket(address: Address) -> type[WebSocketSocket]:
    """The class of a WebSocket without an event loop. Raises `ConnectFailed`: the package is not installed."""
    try:
        from tomada.transports.websocket.blocking import WebSocketSocket  # noqa: PLC0415 - it may not be installed
    except ImportError as error:
        raise ConnectFailed(f"cannot connect to {address}: {NO_WEBSOCKETS}") from error
    return WebSocketSocket


def client_terms(address: Address, options: Options) -> Terms:
    """How TLS is spoken at the connecting end.

    Raises:
        ConnectFailed: A file cannot be used.
    """
    try:
        context = client_context(options.tls)
    except Unusable as error:
        raise ConnectFailed(f"cannot connect to {address}: {error}") from error
    return Terms(context, False, _certified(address.host), options.tls.protocols if options.tls else ())  # noqa: FBT003 - a tuple's place


def _certified(host: str) -> str:
    """What the certificate must be for: no zone, which is of this machine only, and no dot at the end (RFC 6066)."""
    return host.partition("%")[0].removesuffix(".") or "localhost"


async def start_tls(
    transport: asyncio.Transport,
    protocol: asyncio.Protocol,
    options: Options,
    *,
    hostname: str = "",
    unread: bytes = b"",
) -> asyncio.Transport:
    """Put TLS between a running protocol and its transport; the transport to use from here on.

    Args:
        transport: In use without TLS so far; may be a layer itself.
        protocol: Its protocol. It is not told of a new connection, and of the end of the old one as always.
        options: Certificates, trust and the deadline.
        hostname: At the connecting end: the name that the peer's certificate must be for. Empty at the accepting end.
        unread: What was received and has not been read: there must be nothing (RFC 3207, section 6).

    Raises:
        HandshakeFailed: TLS cannot be had, or was not agreed on. The connection has ended.
    """
    own = options.tls
    try:
        context = client_context(own) if hostname else server_context(own)
    except Unusable as error:
        transport.abort()
        raise HandshakeFailed(str(error)) from error
    terms = Terms(context, not hostname, _certified(hostname) if hostname else "", own.protocols if own else ())
    return await tls.start_tls(transport, protocol, options.handshake, terms, unread=unread)
