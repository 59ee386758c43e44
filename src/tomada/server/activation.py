"""Socket activation: sockets that a service manager, such as systemd, has bound and gives to this process.

It says how many in ``LISTEN_FDS``, from descriptor 3 on, and to whom in ``LISTEN_PID``: sd_listen_fds(3).
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Final

import msgspec

from tomada.address import Address
from tomada.errors import ListenFailed
from tomada.transports import tcp
from tomada.transports.reservation import Reservation

if TYPE_CHECKING:
    from collections.abc import MutableMapping

_FIRST: Final = 3  # SD_LISTEN_FDS_START
_ANY: Final = ("", "0.0.0.0", "::")  # noqa: S104 - compared, not bound
_STREAM_SCHEMES: Final = ("tcp", "tls", "ws", "wss")


class _Given:
    __slots__ = ("address", "is_taken", "socket")

    def __init__(self, own: socket.socket, address: Address) -> None:
        self.socket = own
        self.address = address
        self.is_taken = False


class Activation:
    """The sockets that were given to this process; none, mostly."""

    __slots__ = ("_given",)

    def __init__(self, given: list[tuple[socket.socket, Address]] | None = None) -> None:
        self._given = [_Given(own, address) for own, address in given or ()]

    @property
    def addresses(self) -> list[Address]:
        """Where they are, those of connections first; the scheme is the socket's name, where that is one."""
        found = [given.address for given in self._given]
        return sorted(found, key=lambda address: address.scheme in ("udp", "unixgram"))

    def take(self, address: Address) -> Reservation | None:
        """Those for `address`, if there are any. It may be asked for again: several workers share them."""
        found = [given for given in self._given if _fits(given, address)]
        if not found:
            return None
        for given in found:
            given.is_taken = True
        sockets = [socket.socket(fileno=os.dup(given.socket.fileno())) for given in found]
        is_single = address.scheme in ("udp", "unixgram")
        shown = [
            msgspec.structs.replace(given.address, scheme=address.scheme, path=address.path or given.address.path)
            for given in found
        ]
        return Reservation(sockets, shown, is_single=is_single)

    def check_used(self) -> None:
        """Raise `ListenFailed` where a socket was given whose address nobody has named: its callers would wait."""
        left = [str(given.address) for given in self._given if not given.is_taken]
        if left:
            text = f"the service manager gives a socket at {', '.join(left)}, where nothing is served"
            raise ListenFailed(f"{text}: name that address with --bind, or leave --bind out to serve at all of them")

    def close(self) -> None:
        """Close them here."""
        for given in self._given:
            given.socket.close()


def activation(environment: MutableMapping[str, str] = os.environ) -> Activation:
    """The sockets that were given to this process. What says so is taken out of the environment.

    Raises:
        ListenFailed: Something was given that cannot be served at.
    """
    process, count = environment.pop("LISTEN_PID", ""), environment.pop("LISTEN_FDS", "")
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    if process != str(os.getpid()) or not count.isdigit():
        return Activation()
    given = []
    for place in range(int(count)):
        name = names[place] if place < len(names) else ""
        given.append(_socket(_FIRST + place, name))
    return Activation(given)


def _socket(number: int, name: str) -> tuple[socket.socket, Address]:
    what = f"the service manager gives descriptor {number}"
    try:
        os.set_inheritable(number, False)  # noqa: FBT003 - positional only
        own = socket.socket(fileno=number)
        own.settimeout(0)
        here = own.getsockname()
    except OSError as error:
        raise ListenFailed(f"{what}, which is no socket: {error}") from error
    is_stream = own.type == socket.SOCK_STREAM
    if own.type not in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        raise ListenFailed(f"{what}, which is neither for streams nor for datagrams: give it ListenStream= instead")
    if own.family == socket.AF_UNIX:
        if not isinstance(here, str) or not here:
            raise ListenFailed(f"{what}, a socket in no file system: give it a path")
        return own, Address("unix" if is_stream else "unixgram", path=here)
    if own.family not in (socket.AF_INET, socket.AF_INET6):
        raise ListenFailed(f"{what}, which is neither of IP nor a socket file")
    if is_stream and not own.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise ListenFailed(f"{what}, a connection: the unit must say Accept=no")
    if not is_stream:
        return own, tcp.name_address(here, "udp")
    scheme = name if name in _STREAM_SCHEMES else "tcp"
    return own, msgspec.structs.replace(tcp.name_address(here, scheme), path="/" if scheme in ("ws", "wss") else "")


def _fits(given: _Given, address: Address) -> bool:
    """Whether what is served at `address` can be served at the socket that was given."""
    is_stream = address.scheme in _STREAM_SCHEMES
    here = given.address
    if address.scheme in ("unix", "unixgram"):
        return (here.scheme, here.path) == (address.scheme, address.path)
    is_same_kind = here.scheme in _STREAM_SCHEMES if is_stream else here.scheme == address.scheme == "udp"
    if not is_same_kind or here.port != address.port:
        return False
    if address.host in _ANY:
        # Two of one family each, or one of both: whatever the service manager has for all interfaces.
        return here.host in _ANY and address.host in ("", here.host)
    return here.host in _numbers(address)


def _numbers(address: Address) -> list[str]:
    """The numeric hosts that an address stands for."""
    try:
        infos = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [str(info[4][0]) for info in infos]
