"""Translates between addresses and what the system calls them, for sockets of datagrams."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Final

from tomada.address import Address
from tomada.errors import DatagramError

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAPPED: Final = "::ffff:"  # an IPv4 address on a socket of both families: RFC 4291, section 2.5.5.2


def is_number(host: str) -> bool:
    """Whether there is nothing to look up."""
    return ":" in host or not host.strip("0123456789.")


def same_family(family: int, names: Iterable[tuple[int, Any]]) -> bool:
    """Whether one of `names` is of the family."""
    return any(other == family for other, _ in names)


def socket_name(family: int, address: Address) -> tuple[Any, ...]:
    """A numeric address as a socket of `family` calls it."""
    port = address.port or 0
    if family == socket.AF_INET:
        return address.host, port
    host, _, zone = address.host.partition("%")
    scope = 0
    if zone:
        try:
            scope = int(zone) if zone.isdigit() else socket.if_nametoindex(zone)
        except OSError as error:
            raise DatagramError(f"{address} names an interface that this machine has not: {zone}") from error
    return host, port, 0, scope


class Names:
    """The names of one socket.

    Args:
        family: The socket's.
        scheme: Of its addresses.
        is_dual: Whether one of IPv6 speaks IPv4 too.
    """

    __slots__ = ("family", "is_dual", "scheme")

    def __init__(self, family: int, scheme: str, *, is_dual: bool) -> None:
        self.family = family
        self.scheme = scheme
        self.is_dual = is_dual

    def address(self, name: Any) -> Address:
        """The address of what the system calls `name`; without host or path where the socket has no name."""
        if self.scheme == "unixgram":
            return Address("unixgram", path=name.decode("latin-1") if isinstance(name, bytes) else name or "")
        host, port, *more = name
        if host.startswith(_MAPPED):
            host = host[len(_MAPPED) :]
        elif host == "::" and self.is_dual:
            host = ""
        zone = f"%{more[1]}" if len(more) > 1 and more[1] else ""
        return Address("udp", f"{host}{zone}", port)

    def known(self, address: Address) -> Any:
        """What the system calls `address`; None where its host must be looked up.

        Raises:
            DatagramError: The address is of another kind than the socket.
        """
        if address.scheme != self.scheme:
            raise DatagramError(f"cannot send to {address}: this socket is for {self.scheme} addresses")
        if self.scheme == "unixgram":
            if not address.path:
                raise DatagramError("cannot send to a peer without a name: it must bind a path to be answered")
            return address.path if address.path[0] != "\0" else address.path.encode("latin-1")
        if not address.port:
            raise DatagramError(f"cannot send to {address}: port 0 is for binding; give the receiver's port")
        host = address.host or ("::1" if self.family == socket.AF_INET6 and not self.is_dual else "127.0.0.1")
        if not is_number(host):
            return None
        if ":" in host:
            if self.family == socket.AF_INET:
                raise DatagramError(f"cannot send to {address}: this socket speaks IPv4; bind an IPv6 address")
            return socket_name(self.family, address if address.host else Address("udp", host, address.port))
        return self._of_v4(host, address)

    def _of_v4(self, host: str, address: Address) -> tuple[Any, ...]:
        if self.family == socket.AF_INET:
            return host, address.port
        if not self.is_dual:
            raise DatagramError(f"cannot send to {address}: this socket speaks IPv6; bind an IPv4 address")
        return _MAPPED + host, address.port, 0, 0

    def chosen(self, infos: list[Any]) -> Any:
        """The first name of a look-up that the socket can send to; None where there is none."""
        for info in infos:
            family, name = info[0], info[4]
            if family == self.family:
                return name
            if family == socket.AF_INET and self.is_dual:
                return _MAPPED + name[0], name[1], 0, 0
        return None
