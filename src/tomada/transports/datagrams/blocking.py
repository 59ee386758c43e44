"""Sockets for datagrams for programs without an event loop."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Final

from tomada.errors import ConnectFailed
from tomada.transports import tcp
from tomada.transports.datagrams.opening import check_peer, check_scheme, numeric
from tomada.transports.datagrams.sockets import Opened, found, open_udp, open_unix, wanted
from tomada.transports.datagrams.transport import MAX_UNIX_DATAGRAM

if TYPE_CHECKING:
    from tomada.address import Address
    from tomada.transports.datagrams.transport import DatagramOptions, SocketName


_TRUNCATED: Final = getattr(socket, "MSG_TRUNC", 0)


def open_now(address: Address, peer: Address | None, options: DatagramOptions) -> Opened:
    """As `open_datagrams`, and with its errors."""
    check_scheme(address)
    check_peer(address, peer)
    if address.scheme == "unixgram":
        return open_unix(address, peer)
    local = wanted(address, options)
    if local is None:
        try:
            local = found(_infos(address))
        except (OSError, UnicodeError) as error:
            raise tcp.listen_error(address, error) from error
    remote = [] if peer is None else numeric(peer) or found(_known(peer))
    return open_udp(address, local, peer, remote, options)


def look_up(opened: Opened, address: Address) -> SocketName:
    """What the system calls the address. Raises `ConnectFailed` where it is not known, or no way leads there."""
    name = opened.names.known(address)
    if name is None:
        name = opened.names.chosen(_known(address))
    if name is None:
        raise ConnectFailed(f"cannot send to {address}: it has no address that this socket can reach")
    opened.check_way(name, address)
    return name


def _known(address: Address) -> list[Any]:
    try:
        return _infos(address)
    except (OSError, UnicodeError) as error:
        raise ConnectFailed(f"cannot send to {address}: the name {address.host!r} is not known; check it") from error


def _infos(address: Address) -> list[Any]:
    return socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)


def send_now(opened: Opened, data: bytes, name: SocketName) -> bool:
    """Send; False where the system has no room. Raises `OSError`."""
    try:
        if name is None:
            opened.socket.send(data)
        else:
            opened.socket.sendto(data, name)
    except BlockingIOError:
        return False
    return True


def receive_now(opened: Opened) -> tuple[bytes | None, SocketName] | None:
    """A datagram, None in place of its bytes where they did not fit, and its sender; None where none has come."""
    most = MAX_UNIX_DATAGRAM
    try:
        if not hasattr(opened.socket, "recvmsg"):  # Windows
            data, name = opened.socket.recvfrom(most)
            return data, name
        data, _, flags, name = opened.socket.recvmsg(most)
    except BlockingIOError:
        return None
    return (None if flags & _TRUNCATED else data), name
