"""Kernel sockets: the one folder that opens them, always through the running loop's own API.

May import ``address``, ``errors``, ``settings``, ``sweep`` and ``telemetry``, and nothing else of the house. One file
per transport; read ``tcp.py`` first. TLS and WebSocket are layers over one: ``layer.py`` says what that is,
``stack.py`` which address has which. ``datagrams`` carries datagrams, ``system`` asks who holds what. What the system
refuses is told here, once, in words that say what to do next.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import msgspec

from tomada.errors import ConnectFailed, HandshakeFailed, ListenFailed
from tomada.telemetry import late
from tomada.transports import memory, stack, tcp, unix
from tomada.transports.accepting import Accepting
from tomada.transports.accepting import adopt as around
from tomada.transports.admission import Admission, Admitted, Ticket
from tomada.transports.credentials import Credentials
from tomada.transports.credentials import credentials as credentials_of
from tomada.transports.datagrams.transport import DatagramStatistics
from tomada.transports.held import held_by_kernel
from tomada.transports.keepalive import keep_alive
from tomada.transports.layer import End
from tomada.transports.listener import Listener
from tomada.transports.naming import own_address, peer_address
from tomada.transports.options import Options
from tomada.transports.rights import FileRights
from tomada.transports.short_queue import shorten_queue
from tomada.transports.tls.identity import Identity, identity

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomada.address import Address

__all__ = [
    "Admission",
    "Admitted",
    "Credentials",
    "DatagramStatistics",
    "End",
    "FileRights",
    "Identity",
    "Listener",
    "Options",
    "Ticket",
    "accept",
    "adopt",
    "bind",
    "close",
    "connect",
    "credentials",
    "identity",
    "keep_alive",
    "listen",
    "own_address",
    "passable",
    "peer_address",
    "reset",
    "shorten_queue",
    "unacknowledged",
]

P = TypeVar("P", bound="asyncio.Protocol")

BACKLOG: Final = 1024
"""Connections that may wait to be accepted; the system may lower it."""
_CARRIERS: Final[dict[str, Any]] = {"tcp": tcp, "unix": unix, "memory": memory, "tls": tcp, "ws": tcp, "wss": tcp}


async def listen(
    address: Address, factory: Callable[[], asyncio.Protocol], *, backlog: int = BACKLOG, options: Options | None = None
) -> Listener:
    """A listener that accepts at ``address`` from now on and calls ``factory`` for each connection.

    Args:
        address: Where; an empty host means all interfaces, port 0 a free port, the same for all of them.
        factory: Gives the protocol of a new connection.
        backlog: Connections that may wait to be accepted; the system may lower it.
        options: Of the layers of ``tls``, ``ws`` and ``wss``, and who is accepted.

    Raises:
        AddressInUse: Somebody listens there; the text names the process where the system tells.
        SystemPort: A port below 1024, without the privilege that it needs.
        ListenFailed: Anything else that the system refused; a useless certificate; a scheme without streams.
    """
    options = options or Options()
    pending: set[stack.Layer] = set()
    secured = stack.certificates(address, options)
    make = stack.accepting(address, factory, options, pending, secured)
    listener = await _listen(Accepting(address=address, backlog=backlog, options=options, make=make))
    listener.pending = pending
    listener.secure(secured)
    return listener


async def accept(
    address: Address,
    take: Callable[[socket.socket, Ticket | None], None],
    *,
    backlog: int = BACKLOG,
    options: Options | None = None,
) -> Listener:
    """A listener that gives each accepted socket to ``take``, to be served elsewhere by `adopt`. Raises as `listen`."""
    return await _listen(Accepting(address=address, backlog=backlog, options=options or Options(), take=take))


async def bind(address: Address, *, backlog: int = BACKLOG, options: Options | None = None) -> Listener:
    """A listener at whose sockets nobody accepts: callers wait in the system's queue. Raises as `listen`.

    For another process, which gets its `Listener.sockets` as `Options.inherited`.
    """
    return await _listen(Accepting(address=address, backlog=backlog, options=options or Options()))


async def _listen(accepting: Accepting) -> Listener:
    accepting = accepting.ready()
    address, inherited = accepting.address, accepting.options.inherited
    if inherited:
        listener = Listener([(accepting.at_socket(one), _listening_address(one, address)) for one in inherited])
    else:
        carrier = _CARRIERS.get(address.scheme)
        if carrier is None:
            raise ListenFailed(f"cannot listen on {address}: a {address.scheme} address carries no streams")
        listener = await carrier.listen(address, accepting)
    listener.tell_open()
    return listener


def _listening_address(listening: socket.socket, address: Address) -> Address:
    if address.scheme == "unix":
        return address
    bound = tcp.name_address(listening.getsockname(), address.scheme)
    return msgspec.structs.replace(bound, path=address.path)


async def adopt(
    accepted: socket.socket,
    address: Address,
    factory: Callable[[], asyncio.Protocol],
    options: Options,
    ticket: Admitted | None = None,
) -> None:
    """Serve a socket that was accepted at ``address``, by another loop or process, as if it had been accepted here.

    Args:
        accepted: It is this function's from now on.
        address: Where it was accepted.
        factory: Gives the protocol.
        options: Of the layers.
        ticket: It is told of the connection's end, also where the handshake of a layer fails.

    Raises:
        ListenFailed: A layer of the address cannot be had.
    """
    try:
        secured = stack.certificates(address, options)
        make = stack.accepting(address, factory, options, set(), secured)
    except BaseException:
        accepted.close()
        if ticket is not None:
            ticket.release()
        raise
    await around(accepted, make, ticket)


async def connect(
    address: Address, factory: Callable[[], P], *, timeout: float, options: Options | None = None
) -> tuple[asyncio.Transport, P]:
    """An open connection: the transport, and the protocol that ``factory`` gave for it.

    Args:
        address: Where; an empty host means localhost.
        factory: Gives the protocol; asked once for every address of the host that accepts, until one is taken.
        timeout: Seconds for each address of the host, tried a moment after one another, and for their look-up.
        options: Of the layers of ``tls``, ``ws`` and ``wss``.

    Raises:
        ConnectFailed: Nobody could be reached; the text says why, and the system's error is the cause.
        HandshakeFailed: Somebody was reached, who could not be agreed with on TLS or WebSocket.
    """
    carrier = _CARRIERS.get(address.scheme)
    if carrier is None:
        raise ConnectFailed(f"cannot connect to {address}: a {address.scheme} address carries no streams")
    make = stack.connecting(address, factory, options or Options())
    try:
        transport, protocol = await carrier.connect(address, make, timeout)
    except ConnectFailed as error:
        cause = error.__cause__
        if isinstance(cause, TimeoutError) and cause.errno is None:  # the system's own time-out has a number
            late("connect", timeout, address)
        raise
    try:
        while isinstance(protocol, stack.Layer):
            await asyncio.shield(protocol.opened)
            transport, protocol = protocol, protocol.upper
    except (ConnectFailed, HandshakeFailed) as error:
        raise type(error)(f"{address} was reached, but did not complete the handshake: {error}") from None
    except asyncio.CancelledError:
        transport.abort()
        raise
    return transport, cast("P", protocol)


def passable(transport: asyncio.BaseTransport) -> bool:
    """Whether a connection can go on in another process: a socket is all there is of it, no layer has state here."""
    return not isinstance(transport, stack.Layer) and transport.get_extra_info("socket") is not None


def close(transport: asyncio.Transport, why: End, reason: str) -> None:
    """Close `transport` when all is written, and say why where its protocol has words for it, as WebSocket does."""
    if isinstance(transport, stack.Layer):
        transport.end(why, reason)
    else:
        transport.close()


def credentials(transport: asyncio.BaseTransport) -> Credentials | None:
    """Who is at the other end of a Unix socket; ``None`` for other transports, or where the system does not tell."""
    connected = transport.get_extra_info("socket")
    return None if connected is None else credentials_of(connected)


def reset(transport: asyncio.Transport) -> None:
    """End the connection at once, and let a TCP peer know that this was no orderly end."""
    own = transport.get_extra_info("socket")
    if own is not None and own.family != getattr(socket, "AF_UNIX", None):
        # Closed with a linger of no seconds, a socket says RST and not FIN: socket(7).
        with suppress(OSError, ValueError):  # it is gone already; uvloop says ValueError
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def unacknowledged(transport: asyncio.BaseTransport) -> int:
    """Bytes that the kernel holds for the peer, which has not confirmed them; 0 where the system does not tell."""
    own = transport.get_extra_info("socket")
    return 0 if own is None else held_by_kernel(own.fileno())
