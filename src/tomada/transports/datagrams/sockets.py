"""Opens the kernel's sockets for datagrams, UDP and socket files, and says in words what the system refuses.

Used by everything that has a real socket: with an event loop and without.
"""

from __future__ import annotations

import errno
import socket
import stat
import struct
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tomada.errors import AddressInUse, ConnectFailed, ListenFailed, TransportError
from tomada.transports import tcp, unix
from tomada.transports.datagrams.names import Names, is_number, same_family, socket_name
from tomada.transports.datagrams.transport import MAX_UDP_DATAGRAM, MAX_UNIX_DATAGRAM
from tomada.transports.rights import FileRights, bind
from tomada.transports.system.port_holder import port_holder

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomada.address import Address
    from tomada.settings import Multicast
    from tomada.transports.datagrams.transport import DatagramOptions, SocketName

KERNEL_BUFFER: Final = 4_194_304
"""What is asked of the system for datagrams that wait to be received; it gives what it allows."""
_ABSENT: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_UNIX_OVERHEAD: Final = 32  # unix_dgram_sendmsg() in the kernel: longer than the send buffer less this is refused
_SO_MEMINFO, _DROPS = 55, 8  # include/uapi/asm-generic/socket.h and include/uapi/linux/sock_diag.h

Candidates = list[tuple[int, Any]]
"""Families and names, of which the first that works is taken."""


class Opened:
    """An open socket and what must be known of it.

    Attributes:
        socket: Not blocking.
        address: Where it is; of an unnamed one without path.
        names: Translates addresses.
        longest: Bytes that one datagram may have.
    """

    __slots__ = ("_forget", "_multicast", "address", "longest", "names", "socket")

    def __init__(
        self,
        opened: socket.socket,
        scheme: str,
        forget: Callable[[], None] | None = None,
        multicast: Multicast | None = None,
    ) -> None:
        self.socket = opened
        self._multicast = multicast
        self.names = Names(opened.family, scheme, is_dual=_is_dual(opened))
        self.address = self.names.address(opened.getsockname())
        self.longest = MAX_UDP_DATAGRAM if scheme == "udp" else _longest_unix(opened)
        self._forget = forget

    def forget_file(self) -> None:
        """Remove the socket's file."""
        forget, self._forget = self._forget, None
        if forget is not None:
            forget()

    def close(self) -> None:
        """Close the socket and remove its file."""
        self.forget_file()
        self.socket.close()

    def dropped(self) -> int:
        """How many datagrams the system has given up because the socket's buffer was full, where it tells."""
        if sys.platform != "linux":
            return 0
        with suppress(OSError):
            return int(struct.unpack("9I", self.socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36))[_DROPS])
        return 0

    def check_way(self, name: SocketName, address: Address) -> None:
        """Raise `ConnectFailed` where no way leads to `address`. The system says so at once only when connecting."""
        with socket.socket(self.socket.family, socket.SOCK_DGRAM) as probe:
            if self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST):
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            if self.socket.family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not self.names.is_dual)
            if self._multicast is not None:
                _set_multicast(probe, self._multicast)
            try:
                probe.connect(name)
            except OSError as error:
                raise send_error(address, error) from error


def _is_dual(opened: socket.socket) -> bool:
    return opened.family == socket.AF_INET6 and not opened.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


def _longest_unix(opened: socket.socket) -> int:
    return min(MAX_UNIX_DATAGRAM, opened.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) - _UNIX_OVERHEAD)


def wanted(address: Address, options: DatagramOptions) -> Candidates | None:
    """The names to try for a socket at `address`; None where its host must be looked up."""
    port, group = address.port or 0, options.multicast.join if options.multicast is not None else None
    if not address.host:
        # One socket of both families, but a group of IPv4 is joined on one of IPv4.
        both: Candidates = [(socket.AF_INET6, ("::", port)), (socket.AF_INET, ("0.0.0.0", port))]  # noqa: S104 - empty
        return both if group is None else [each for each in both if (each[0] == socket.AF_INET6) is (":" in group)]
    if is_number(address.host):
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        return [(family, socket_name(family, address))]
    return None


def found(infos: list[Any]) -> Candidates:
    """What a look-up gave."""
    return list(dict.fromkeys((int(info[0]), info[4]) for info in infos))


def open_udp(
    address: Address, local: Candidates, peer: Address | None, remote: Candidates, options: DatagramOptions
) -> Opened:
    """An open socket for UDP.

    Args:
        address: What was asked for, for error texts.
        local: Names to bind; the first that works is taken.
        peer: Whom to connect to.
        remote: Its names.
        options: As the user set them.

    Raises:
        ListenFailed: `AddressInUse`, `SystemPort`, or the system refused something else.
        ConnectFailed: No way leads to the peer.
    """
    if remote:
        local = [each for each in local if same_family(each[0], remote)] or local
    is_dual = not address.host and not remote and options.multicast is None
    for place, (family, name) in enumerate(local):
        try:
            opened = socket.socket(family, socket.SOCK_DGRAM)
            try:
                _prepare(opened, options, is_dual=is_dual, port=name[1])
                opened.bind(name)
                _join(opened, address, options.multicast)
                if peer is not None:
                    _connect(opened, peer, remote)
            except BaseException:
                opened.close()
                raise
            return Opened(opened, "udp", multicast=options.multicast)
        except TransportError:
            raise
        except OSError as error:
            if error.errno not in _ABSENT or place == len(local) - 1:
                raise bind_error(address, error) from error
    raise ListenFailed(f"cannot listen on {address}: the name stands for no address")


def _prepare(opened: socket.socket, options: DatagramOptions, *, is_dual: bool, port: int) -> None:
    opened.settimeout(0)
    with suppress(OSError):  # the system gives what it allows
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BUFFER)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, options.limits.buffer_bytes)
    if opened.family == socket.AF_INET6:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not is_dual)
    if options.broadcast:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    if options.multicast is not None and options.multicast.join and port:
        # Several programs of one machine receive a group's datagrams on its port.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform not in ("linux", "win32"):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def _join(opened: socket.socket, address: Address, multicast: Multicast | None) -> None:
    if multicast is None:
        return
    try:
        own, index = _set_multicast(opened, multicast)
        if multicast.join and opened.family == socket.AF_INET6:
            group = _packed(socket.AF_INET6, multicast.join)
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, struct.pack("@16sI", group, index))
        elif multicast.join:
            group = _packed(socket.AF_INET, multicast.join)
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, struct.pack("@4s4si", group, own, index))
    except OSError as error:
        group_text = multicast.join or "multicast"
        raise ListenFailed(f"cannot listen on {address}: {_why_not_joined(group_text, multicast, error)}") from error


def _packed(family: int, group: str) -> bytes:
    try:
        return socket.inet_pton(family, group)
    except OSError as error:
        raise OSError(errno.EINVAL, str(error)) from error


def _why_not_joined(group: str, multicast: Multicast, error: OSError) -> str:
    if error.errno == errno.EINVAL:
        return f"{group} is no multicast group; take one from 224.0.0.0 to 239.255.255.255, or one that begins with ff"
    if error.errno in (errno.ENODEV, errno.EADDRNOTAVAIL, errno.ENXIO) or error.errno is None:
        via = f"interface {multicast.interface!r} does not lead" if multicast.interface else "no route leads"
        return f"{via} to the multicast group {group}; name one that does with Multicast(interface=…)"
    return str(error)


def _set_multicast(opened: socket.socket, multicast: Multicast) -> tuple[bytes, int]:
    """Say how what is sent travels; the interface's own address, or its number."""
    interface = multicast.interface
    own = socket.inet_aton(interface) if interface and is_number(interface) and ":" not in interface else bytes(4)
    index = socket.if_nametoindex(interface) if interface and not any(own) else 0
    if opened.family == socket.AF_INET6:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, multicast.ttl)
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, multicast.loopback)
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        return own, index
    opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, multicast.ttl)
    opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, multicast.loopback)
    if interface:
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("@4s4si", bytes(4), own, index))
    return own, index


def _connect(opened: socket.socket, peer: Address, remote: Candidates) -> None:
    name = next((name for family, name in remote if family == opened.family), None)
    if name is None:
        raise ConnectFailed(f"cannot connect to {peer}: it is of another family than the address to bind")
    try:
        opened.connect(name)
    except OSError as error:
        raise send_error(peer, error) from error


def open_unix(address: Address | None, peer: Address | None, rights: FileRights | None = None) -> Opened:
    """An open socket at a socket file with these rights; without an address one that the system names, where it can.

    Raises:
        AddressInUse: Somebody receives there.
        ListenFailed: The file is no socket, its directory is missing, or the system does not permit it.
        ConnectFailed: Nobody receives at the peer's file.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise ListenFailed(f"cannot listen on {address}: this system has no socket files; take a udp address")
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    forget = None
    try:
        opened.settimeout(0)
        if address is None:
            opened.bind("")  # on Linux it gives itself a name in no file system: unix(7), autobind
        else:
            forget = _bind_file(opened, address, rights or FileRights())
        if peer is not None:
            _connect_file(opened, peer)
        return Opened(opened, "unixgram", forget)
    except OSError as error:
        opened.close()
        if forget is not None:
            forget()
        if isinstance(error, TransportError) or address is None:
            raise
        raise unix.listen_error(address, error) from error


def _bind_file(opened: socket.socket, address: Address, rights: FileRights) -> Callable[[], None]:
    path = address.path
    known = unix.look(path)
    if known is not None:
        if not stat.S_ISSOCK(known.st_mode):
            raise ListenFailed(f"cannot listen on {address}: a file that is no socket is there; take another path")
        if _is_live(path):
            text = f"cannot listen on {address}: another process receives there; stop it, or take another path"
            raise AddressInUse(text)
        unix.remove(path, known)
    bind(opened, address, rights)
    return partial(unix.remove_own, path, unix.look(path))


def _is_live(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError as error:
            if error.errno == errno.EPROTOTYPE:  # a socket for streams
                return True
            raise
    return True


def _connect_file(opened: socket.socket, peer: Address) -> None:
    try:
        opened.connect(peer.path)
    except OSError as error:
        raise send_error(peer, error) from error


def bind_error(address: Address, error: OSError) -> ListenFailed:
    """What the system said when binding, in words that say what to do next."""
    if error.errno == errno.EADDRINUSE:
        port = address.port or 0
        holder = port_holder(port, kind="udp") or "another process"
        text = f"port {port} is held by {holder}; stop it, take another port, or 0 for a free one"
        return AddressInUse(f"cannot listen on {address}: {text}")
    return tcp.listen_error(address, error)


def send_error(address: Address, error: OSError) -> ConnectFailed:
    """What the system said about sending to `address`, in words that say what to do next."""
    start = f"cannot send to {address}: "
    if address.scheme == "unixgram":
        if error.errno == errno.EPROTOTYPE:
            return ConnectFailed(f"{start}the socket file is for streams; take a unix address with tomada.connect")
        return ConnectFailed(start + str(unix.connect_error(address, error, 0)).partition(": ")[2])
    if isinstance(error, PermissionError):
        return ConnectFailed(f"{start}the system does not permit it; for broadcast open the socket with broadcast=True")
    if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL):
        return ConnectFailed(f"{start}no route leads there; check the address, and the interface of a multicast group")
    if error.errno in (errno.EAFNOSUPPORT, errno.EINVAL):
        return ConnectFailed(f"{start}this socket cannot reach it; bind one of the same kind and interface")
    return ConnectFailed(f"{start}{error.strerror or error}")
