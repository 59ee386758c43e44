"""Stream sockets for programs without an event loop."""

from __future__ import annotations

import socket
from concurrent.futures import Future
from threading import Thread
from typing import TYPE_CHECKING, TypeAlias, cast

from tomada.errors import ConnectFailed, HandshakeFailed
from tomada.telemetry import late
from tomada.transports import happy_eyeballs, stack, tcp, unix
from tomada.transports.credentials import Credentials
from tomada.transports.credentials import credentials as credentials_of
from tomada.transports.held import held_by_kernel
from tomada.transports.readiness import AT_ONCE
from tomada.transports.tls.blocking import TLSSocket
from tomada.transports.tls.identity import Identity, identity_of

if TYPE_CHECKING:
    from tomada.address import Address
    from tomada.transports.options import Options
    from tomada.transports.websocket.blocking import WebSocketSocket

Carrier: TypeAlias = socket.socket | TLSSocket
Connected: TypeAlias = "Carrier | WebSocketSocket"


def connect(address: Address, timeout: float, options: Options) -> Connected:
    """A connected, blocking stream socket.

    Raises:
        ConnectFailed: Nobody could be reached within `timeout` seconds, which each address of the host has, one after
            the other, and so has their look-up; the text says why.
        HandshakeFailed: Somebody was reached, who could not be agreed with on TLS or WebSocket.
    """
    scheme = address.scheme
    if scheme == "memory":
        why = "memory joins ends of one event loop, and here is none; take `await tomada.connect(…)`, or a unix address"
        raise ConnectFailed(f"cannot connect to {address}: {why}")
    if scheme not in ("tcp", "tls", "unix", "ws", "wss"):
        raise ConnectFailed(f"cannot connect to {address}: a {scheme} address carries no streams for threads")
    terms = stack.client_terms(address, options) if scheme in ("tls", "wss") else None
    layer = stack.websocket_socket(address) if scheme in ("ws", "wss") else None
    connected: Connected = _connect(address, timeout)
    try:
        if terms is not None:
            connected = TLSSocket(cast("socket.socket", connected), terms)
            connected.shake(options.handshake)
        if layer is not None:
            connected = layer(cast("Carrier", connected), address, options)
            connected.shake(options.handshake)
    except (ConnectFailed, HandshakeFailed) as error:
        connected.close()
        raise type(error)(f"{address} was reached, but did not complete the handshake: {error}") from error
    except BaseException:
        connected.close()
        raise
    return connected


def _connect(address: Address, timeout: float) -> socket.socket:
    if address.scheme != "unix" and not address.port:
        raise ConnectFailed(f"cannot connect to {address}: port 0 is for listening; give the port that is listened on")
    try:
        connected = _connect_unix(address, timeout) if address.scheme == "unix" else _connect_tcp(address, timeout)
    except (OSError, UnicodeError) as error:
        if isinstance(error, TimeoutError) and error.errno is None:
            late("connect", timeout, address)
        transport = unix if address.scheme == "unix" else tcp
        raise transport.connect_error(address, error, timeout) from error
    connected.settimeout(None)
    return connected


def _connect_tcp(address: Address, timeout: float) -> socket.socket:
    host, port = address.host or "localhost", address.port or 0
    errors: dict[str, OSError] = {}
    for numeric in [host] if tcp.is_number(host) else _look_up(host, port, timeout):
        try:
            return _connect_to(numeric, port, timeout)
        except OSError as error:
            errors[numeric] = error
    raise happy_eyeballs.failed(errors)


def _look_up(host: str, port: int, timeout: float) -> list[str]:
    """The numeric hosts of a name. The system's look-up has no deadline of its own: a thread is left to it."""
    found: Future[list[tuple[object, ...]]] = Future()

    def look_up() -> None:
        try:
            found.set_result([*socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)])
        except BaseException as error:  # noqa: BLE001 - it belongs to who waits for it
            found.set_exception(error)

    Thread(target=look_up, name="tomada look-up", daemon=True).start()
    try:
        return happy_eyeballs.interleaved(found.result(timeout))
    except TimeoutError as error:
        raise happy_eyeballs.LookUpTimedOut(str(error)) from error


def _connect_to(host: str, port: int, timeout: float) -> socket.socket:
    connected = socket.create_connection((host, port), timeout)
    try:
        happy_eyeballs.check_ends(connected.getsockname(), connected.getpeername())
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        connected.close()
        raise
    return connected


def _connect_unix(address: Address, timeout: float) -> socket.socket:
    connected = socket.socket(socket.AF_UNIX)
    try:
        connected.settimeout(timeout)
        connected.connect(address.path)
    except BaseException:
        connected.close()
        raise
    return connected


def identity(connected: Connected) -> Identity | None:
    """Who is at the other end; ``None`` without TLS."""
    below = _carrier(connected)
    return identity_of(below.ssl_object) if isinstance(below, TLSSocket) else None


def credentials(connected: Connected) -> Credentials | None:
    """Who is at the other end of a Unix socket; ``None`` for others, or where the system does not tell."""
    return credentials_of(connected) if isinstance(connected, socket.socket) else None


def alpn(connected: Connected) -> str | None:
    """The application protocol that was agreed on, if one was."""
    below = _carrier(connected)
    return below.ssl_object.selected_alpn_protocol() if isinstance(below, TLSSocket) else None


def _carrier(connected: Connected) -> Carrier:
    return connected if isinstance(connected, socket.socket | TLSSocket) else connected.below


def unacknowledged(connected: Connected) -> int:
    """Bytes that the kernel holds for the peer, which has not confirmed them; 0 where the system does not tell."""
    return held_by_kernel(connected.fileno())


def send_some(to: Connected, data: memoryview) -> int:
    """How many bytes the kernel took at once; 0 where its buffer is full."""
    try:
        return to.send(data, AT_ONCE)
    except BlockingIOError:
        return 0


def receive_some(source: Connected, most: int) -> bytes | None:
    """What has come; None where nothing has, and no bytes at the end."""
    try:
        return source.recv(most, AT_ONCE)
    except BlockingIOError:
        return None


def own_address(connected: Connected, peer: Address) -> Address:
    """Where this end is; the peer's address where this end has none: it has connected to a unix address, or is gone."""
    try:
        name = _carrier(connected).getsockname()
    except OSError:
        return peer
    return tcp.name_address(name, peer.scheme) if isinstance(name, tuple) else peer
