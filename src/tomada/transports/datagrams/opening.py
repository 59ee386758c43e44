"""Opens a socket for datagrams on the running loop, and chooses what carries them."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import TYPE_CHECKING, Any, Final

from tomada.errors import ConnectFailed, DatagramError, ListenFailed
from tomada.transports import tcp
from tomada.transports.datagrams.batches import BatchTransport
from tomada.transports.datagrams.endpoints import over_loop, over_socket
from tomada.transports.datagrams.names import is_number, socket_name
from tomada.transports.datagrams.sockets import Opened, found, open_udp, open_unix, wanted
from tomada.transports.datagrams.transport import DatagramOptions

if TYPE_CHECKING:
    from tomada.address import Address
    from tomada.transports.datagrams.sockets import Candidates
    from tomada.transports.datagrams.transport import DatagramTransport, Receiver

_REAL: Final = ("asyncio.unix_events", "asyncio.windows_events", "uvloop", "uvloop.loop", "winloop", "winloop.loop")
_LOOK_UP_SECONDS: Final = 5.0
SCHEMES: Final = ("udp", "unixgram")


def check_scheme(address: Address) -> None:
    """Raise `ListenFailed` for an address that carries no datagrams."""
    if address.scheme not in SCHEMES:
        raise ListenFailed(f"cannot listen on {address}: it carries no datagrams; take a udp or unixgram address")


def check_peer(address: Address, peer: Address | None) -> None:
    """Raise `DatagramError` for a peer of another kind, or without a port."""
    if peer is not None and peer.scheme != address.scheme:
        raise DatagramError(f"cannot connect to {peer} from {address}: both must be {address.scheme} addresses")
    if peer is not None and peer.scheme == "udp" and not peer.port:
        raise DatagramError(f"cannot connect to {peer}: port 0 is for binding; give the peer's port")


async def open_datagrams(
    address: Address,
    receiver: Receiver,
    *,
    peer: Address | None = None,
    options: DatagramOptions | None = None,
    batches: bool | None = None,
) -> DatagramTransport:
    """An open socket for datagrams.

    Args:
        address: Where to bind; a unixgram address without a path asks for an unnamed one.
        receiver: Whom to tell what comes.
        peer: The only one to send to and to receive from.
        options: Of the socket.
        batches: Whether to carry them in batches; None: where the system and the loop can.

    Raises:
        ListenFailed: `AddressInUse`, `SystemPort`, or the system refused something else.
        ConnectFailed: The peer is not known, or no way leads there.
        DatagramError: The peer is of another kind than the address.
    """
    check_scheme(address)
    check_peer(address, peer)
    transport = await _open(address, receiver, peer, options or DatagramOptions(), batches=batches)
    if peer is None:
        transport.tell_open()
    return transport


async def _open(
    address: Address, receiver: Receiver, peer: Address | None, options: DatagramOptions, *, batches: bool | None
) -> DatagramTransport:
    loop = asyncio.get_running_loop()
    if type(loop).__module__ not in _REAL:
        return await over_loop(address, peer, receiver, options.limits)
    if address.scheme == "unixgram":
        opened = open_unix(address if address.path else None, peer, options.rights)
        batches = True  # uvloop's endpoints know no socket files
    else:
        opened = await _open_udp(address, peer, options)
    return await _carried(opened, receiver, options, batches=batches)


async def adopt_datagrams(
    bound: socket.socket, address: Address, receiver: Receiver, options: DatagramOptions
) -> DatagramTransport:
    """Carry the datagrams of a socket that another process has bound at `address` with these options.

    It is this function's from now on.
    """
    opened = Opened(bound, address.scheme, multicast=options.multicast)
    transport = await _carried(opened, receiver, options, batches=address.scheme == "unixgram" or None)
    transport.tell_open()
    return transport


async def _carried(
    opened: Opened, receiver: Receiver, options: DatagramOptions, *, batches: bool | None
) -> DatagramTransport:
    if sys.platform == "linux" if batches is None else batches:
        return BatchTransport(asyncio.get_running_loop(), opened, receiver, options.limits)
    return await over_socket(opened, receiver, options.limits)


async def _open_udp(address: Address, peer: Address | None, options: DatagramOptions) -> Opened:
    local = wanted(address, options)
    if local is None:
        try:
            local = found(await _look_up(address))
        except (OSError, UnicodeError) as error:
            raise tcp.listen_error(address, error) from error
    remote: Candidates = []
    if peer is not None:
        try:
            remote = numeric(peer) or found(await _look_up(peer))
        except TimeoutError as error:
            raise ConnectFailed(f"cannot send to {peer}: {error}") from error
        except (OSError, UnicodeError) as error:
            raise ConnectFailed(f"cannot send to {peer}: the name {peer.host!r} is not known; check it") from error
    return open_udp(address, local, peer, remote, options)


def numeric(peer: Address) -> Candidates:
    """The names of a peer that needs no look-up; an empty host means this machine."""
    if not peer.host:
        return [(socket.AF_INET, ("127.0.0.1", peer.port)), (socket.AF_INET6, ("::1", peer.port))]
    if not is_number(peer.host):
        return []
    family = socket.AF_INET6 if ":" in peer.host else socket.AF_INET
    return [(family, socket_name(family, peer))]


async def _look_up(address: Address) -> list[Any]:
    try:
        async with asyncio.timeout(_LOOK_UP_SECONDS):
            return await asyncio.get_running_loop().getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
    except TimeoutError:
        raise TimeoutError(f"the name {address.host!r} was not looked up within {_LOOK_UP_SECONDS:g} s") from None
