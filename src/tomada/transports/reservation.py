"""Addresses that are bound in one process and served in others: a supervisor reserves, its workers listen.

A reserved address is bound and not listened on: nobody else gets it, and nobody can connect before a worker is there.
Then the sockets stay open here for as long as the address is served, so that the callers in their queues outlive any
worker. Without an event loop: who supervises has none.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from tomada.errors import AddressInUse, ListenFailed
from tomada.transports import tcp, unix
from tomada.transports.datagrams.names import is_number
from tomada.transports.datagrams.sockets import found, open_udp, open_unix, wanted
from tomada.transports.datagrams.transport import DatagramOptions
from tomada.transports.rights import FileRights
from tomada.transports.rights import bind as bind_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomada.address import Address

_ALL_INTERFACES: Final = ("0.0.0.0", "::")  # noqa: S104 - what an empty host asks for
_PORT_ATTEMPTS: Final = 10
_ABSENT: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
SPREADS: Final = sys.platform == "linux"
"""Whether the system spreads callers over the sockets that share a port (SO_REUSEPORT); elsewhere the last one bound
gets them all, or none can be bound."""


class Reservation:
    """One address that is held here. Got from `reserve`, or made of sockets that another program has bound.

    Attributes:
        sockets: One for each host that the address stands for, not blocking.
        addresses: Where they are, with the port that the system chose in place of 0.
        is_single: Whether only one process may serve it: what several would each receive, or none knows of the other.
    """

    __slots__ = ("_forget", "addresses", "is_single", "sockets")

    def __init__(
        self,
        sockets: list[socket.socket],
        addresses: list[Address],
        forget: Callable[[], None] | None = None,
        *,
        is_single: bool = False,
    ) -> None:
        self.sockets = sockets
        self.addresses = addresses
        self.is_single = is_single
        self._forget = forget

    def twins(self) -> list[socket.socket]:
        """Sockets at the same addresses, among which the system spreads callers; those here are among them, too.

        To be made before anybody listens. Empty where the system spreads none, or where there is no such thing, as for
        socket files.

        Raises:
            ListenFailed: The system refused.
        """
        if not SPREADS or any(own.family not in (socket.AF_INET, socket.AF_INET6) for own in self.sockets):
            return []
        made: list[socket.socket] = []
        try:
            made.extend(_twin(own) for own in self.sockets)
        except OSError as error:
            for own in made:
                own.close()
            raise tcp.listen_error(self.addresses[0], error) from error
        return made

    def close(self) -> None:
        """Give the address up, and remove its socket file. A second call does nothing."""
        forget, self._forget = self._forget, None
        if forget is not None:
            forget()
        for own in self.sockets:
            own.close()


def _twin(own: socket.socket) -> socket.socket:
    # Set on the first one only now: bound without it, that one has made sure that nobody else is there.
    own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made = socket.socket(own.family, own.type)
    try:
        made.settimeout(0)
        options = [(socket.SOL_SOCKET, name) for name in (socket.SO_REUSEADDR, socket.SO_REUSEPORT)]
        if own.family == socket.AF_INET6:
            options.append((socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
        if own.type == socket.SOCK_DGRAM:
            options += [(socket.SOL_SOCKET, name) for name in (socket.SO_RCVBUF, socket.SO_SNDBUF)]
        for level, name in options:
            value = own.getsockopt(level, name)
            # The system doubles what it is given for its buffers, and tells the double.
            made.setsockopt(level, name, value // 2 if name in (socket.SO_RCVBUF, socket.SO_SNDBUF) else value)
        made.bind(own.getsockname())
    except BaseException:
        made.close()
        raise
    return made


def reserve(address: Address, options: DatagramOptions | None = None, rights: FileRights | None = None) -> Reservation:
    """The address, bound; not listened on.

    Args:
        address: Where; an empty host means all interfaces, port 0 a free port, the same for all of them.
        options: Of a socket for datagrams.
        rights: What the socket file of a unix address is made with.

    Raises:
        AddressInUse: Somebody is there; the text names the process where the system tells.
        SystemPort: A port below 1024, without the privilege that it needs.
        ListenFailed: Anything else that the system refused.
    """
    if address.scheme == "unix":
        return _reserve_file(address, rights or FileRights())
    if address.scheme in ("udp", "unixgram"):
        return _reserve_datagrams(address, options or DatagramOptions())
    if address.scheme == "memory":
        raise ListenFailed(
            f"cannot listen on {address}: it is inside one process; several workers need another address"
        )
    try:
        hosts = _hosts(address.host)
        for _ in range(_PORT_ATTEMPTS if not address.port else 0):
            try:
                return _reserve_hosts(address, hosts)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
        return _reserve_hosts(address, hosts)
    except (OSError, UnicodeError) as error:
        raise tcp.listen_error(address, error) from error


def _hosts(host: str) -> list[str]:
    if not host:
        return list(_ALL_INTERFACES)
    if is_number(host):
        return [host]
    infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys(str(info[4][0]) for info in infos))


def _reserve_hosts(address: Address, hosts: list[str]) -> Reservation:
    port = address.port or 0
    bound: list[socket.socket] = []
    addresses: list[Address] = []
    try:
        for host in hosts:
            try:
                bound.append(_bound(host, port))
            except OSError as error:
                # IPv6 is switched off here: `::`, and the `::1` of localhost, are missing.
                if error.errno not in _ABSENT or ":" not in host or (host == hosts[-1] and not bound):
                    raise
                continue
            here = tcp.name_address(bound[-1].getsockname(), address.scheme)
            addresses.append(msgspec.structs.replace(here, path=address.path))
            port = addresses[0].port or 0
    except BaseException:
        for own in bound:
            own.close()
        raise
    return Reservation(bound, addresses)


def _bound(host: str, port: int) -> socket.socket:
    """A bound socket that is alone at its port, until it listens.

    Two sockets with SO_REUSEADDR can be bound to one port as long as neither listens. Without it they cannot; but then
    the port of a server that has just ended is not free for a minute.
    """
    if os.name != "posix" or not port:
        return _bound_with(host, port, reuse=False)
    try:
        return _bound_with(host, port, reuse=False)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
    return _bound_with(host, port, reuse=True)


def _bound_with(host: str, port: int, *, reuse: bool) -> socket.socket:
    family, name = (socket.AF_INET6 if ":" in host else socket.AF_INET), (host, port)
    if "%" in host:
        name = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0][4]  # type: ignore[assignment] # of IPv6
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.settimeout(0)
        if reuse:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(name)
    except BaseException:
        made.close()
        raise
    return made


def _reserve_file(address: Address, rights: FileRights) -> Reservation:
    path = address.path
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.settimeout(0)
        known = unix.look(path)
        if known is not None:
            if not stat.S_ISSOCK(known.st_mode):
                raise ListenFailed(f"cannot listen on {address}: a file that is no socket is there; take another path")
            if _is_live(path):
                what = "another process accepts there; stop it, or take another path"
                raise AddressInUse(f"cannot listen on {address}: {what}")
            unix.remove(path, known)
        bind_file(made, address, rights)
    except OSError as error:
        made.close()
        raise error if isinstance(error, ListenFailed) else unix.listen_error(address, error) from error
    return Reservation([made], [address], partial(unix.remove_own, path, unix.look(path)))


def _is_live(path: str) -> bool:
    """Whether somebody accepts at the socket file: a connection is made for it, and dropped."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EPROTOTYPE):  # a full queue, or a socket for datagrams
                raise
    return True


def _reserve_datagrams(address: Address, options: DatagramOptions) -> Reservation:
    if address.scheme == "unixgram":
        opened = open_unix(address, None, options.rights)
        is_single = True  # who sends through a file reaches any of its readers: none could know what comes twice
    else:
        local = wanted(address, options)
        if local is None:
            try:
                local = found(socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM))
            except (OSError, UnicodeError) as error:
                raise tcp.listen_error(address, error) from error
        opened = open_udp(address, local, None, [], options)
        # The system gives each of the sockets at a port what is sent to a group, or to all.
        is_single = options.multicast is not None or options.broadcast
    forget = opened.forget_file
    return Reservation([opened.socket], [opened.address], forget, is_single=is_single)
