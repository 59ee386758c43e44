"""Streams over TCP, through the running loop: IPv4 and IPv6, one port for all addresses of a name.

``TCP_NODELAY`` is set on both ends, and ``SO_REUSEADDR`` where it means what it says.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from tomada.address import Address
from tomada.errors import AddressInUse, ConnectFailed, ListenFailed, SystemPort
from tomada.transports import happy_eyeballs
from tomada.transports.listener import Listener
from tomada.transports.system.port_holder import port_holder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tomada.transports.accepting import Accepting
    from tomada.transports.listener import Accepts

P = TypeVar("P", bound=asyncio.Protocol)

_ALL_INTERFACES = ("0.0.0.0", "::")  # noqa: S104  what an empty host asks for
_FIRST_USER_PORT = 1024
_PORT_ATTEMPTS = 10
_MOST_TOLD = 8
_ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


async def listen(address: Address, accepting: Accepting) -> Listener:
    """A listener on every local address that the host stands for, all on the same port.

    Raises:
        AddressInUse: Somebody holds the port.
        SystemPort: The port is below 1024 and the process may not use it.
        ListenFailed: The host is unknown or not one of this machine.
    """
    try:
        hosts = await local_hosts(address.host)
        return await _listen_on_one_port(accepting.at_port, hosts, address)
    except (OSError, UnicodeError) as error:
        raise listen_error(address, error) from error


async def connect(address: Address, factory: Callable[[], P], timeout: float) -> tuple[asyncio.Transport, P]:
    """The first connection that an address of the host accepts; an empty host means localhost.

    Raises:
        ConnectFailed: None did within ``timeout`` seconds, which each has, and so has the look-up; or the name is not
            known.
    """
    if not address.port:
        raise ConnectFailed(f"cannot connect to {address}: port 0 is for listening; give the port that is listened on")
    host = address.host or "localhost"
    try:
        if is_number(host):
            return await happy_eyeballs.connect_to(host, address.port, factory, timeout)
        return await happy_eyeballs.connect(host, address.port, factory, timeout)
    except (OSError, UnicodeError) as error:
        raise connect_error(address, error, timeout) from error


async def local_hosts(host: str) -> list[str]:
    """The numeric hosts that ``host`` stands for; empty means all interfaces. Raises `OSError`, `UnicodeError`."""
    if not host:
        return list(_ALL_INTERFACES)
    if is_number(host):
        return [host]
    loop = asyncio.get_running_loop()
    infos = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys(str(info[4][0]) for info in infos))


def is_number(host: str) -> bool:
    """Whether there is nothing to look up; a zone (``fe80::1%eth0``) would even get lost in it."""
    return ":" in host or not host.strip("0123456789.")


async def _listen_on_one_port(
    serve: Callable[[str, int], Awaitable[Accepts]], hosts: list[str], address: Address
) -> Listener:
    """The port that the system picks for the first host may be busy on the next: then it picks another."""
    for _ in range(_PORT_ATTEMPTS if not address.port else 0):
        try:
            return await _listen_on_each(serve, hosts, address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    return await _listen_on_each(serve, hosts, address)


async def _listen_on_each(
    serve: Callable[[str, int], Awaitable[Accepts]], hosts: list[str], address: Address
) -> Listener:
    port = address.port or 0
    bound: list[tuple[Accepts, Address]] = []
    try:
        for host in hosts:
            try:
                server = await serve(host, port)
                bound.append((server, _bound_address(server, address, host, port)))
            except OSError as error:
                if not _can_do_without(host, error, last=host == hosts[-1] and not bound):
                    raise
            else:
                port = bound[0][1].port or 0
    except BaseException:
        Listener(bound).close()
        raise
    return Listener(bound)


def _can_do_without(host: str, error: OSError, *, last: bool) -> bool:
    """Whether IPv6 is switched off here, so that ``::`` and the ``::1`` of localhost are missing.

    CPython 3.13 gives no number with an address that is missing.
    """
    return ":" in host and not last and (error.errno is None or error.errno in _ABSENT)


def _bound_address(server: Accepts, address: Address, host: str, port: int) -> Address:
    """The address that ``server`` really listens on, of those that ``address`` stands for.

    A loop passes in silence over a family that the machine lacks, and gives a server without sockets. A simulated
    server has no sockets either, but there all is IPv4.
    """
    for listening in getattr(server, "sockets", ()):
        bound = name_address(listening.getsockname(), address.scheme)
        return msgspec.structs.replace(bound, path=address.path)
    if ":" in host:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
    return msgspec.structs.replace(address, host=host, port=port)


def name_address(name: tuple[Any, ...], scheme: str = "tcp") -> Address:
    """The address of what ``getsockname`` or ``getpeername`` gave for a TCP socket."""
    host, port, *more = name
    zone = f"%{more[1]}" if len(more) > 1 and more[1] else ""  # link-local addresses lead nowhere without it
    return Address(scheme, f"{host}{zone}", port)


def listen_error(address: Address, error: OSError | UnicodeError) -> ListenFailed:
    """What the loop raised while listening on ``address``, in words that say what to do next."""
    start = f"cannot listen on {address}: "
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return ListenFailed(f"{start}the name {address.host!r} is not known; check it, or leave the host empty")
    if error.errno == errno.EADDRINUSE:
        return AddressInUse(start + _in_use(address.port or 0))
    if isinstance(error, PermissionError):
        return _not_permitted(address, start)
    if error.errno in _ABSENT or str(error).startswith("could not bind"):  # CPython 3.13, without a number
        text = "this machine has no such address; give one of its own, or leave the host empty for all of them"
        return ListenFailed(start + text)
    return ListenFailed(f"{start}{error}")


def _in_use(port: int) -> str:
    holder = port_holder(port)
    return f"port {port} is held by {holder or 'another process'}; stop it, take another port, or 0 for a free one"


def _not_permitted(address: Address, start: str) -> ListenFailed:
    if address.port is None or address.port >= _FIRST_USER_PORT:
        return ListenFailed(f"{start}the system does not permit it; take another port")
    text = f"{address.port} is a system port (below {_FIRST_USER_PORT}), and this process has no right to it; "
    ways = "take a port above 1023, give the program CAP_NET_BIND_SERVICE, or lower net.ipv4.ip_unprivileged_port_start"
    return SystemPort(start + text + ways)


def connect_error(address: Address, error: OSError | UnicodeError, timeout: float) -> ConnectFailed:
    """What the loop raised while connecting to ``address``, in words that say what to do next."""
    start = f"cannot connect to {address}: "
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return ConnectFailed(f"{start}the name {address.host!r} is not known; check it")
    if isinstance(error, happy_eyeballs.LookUpTimedOut):
        text = f"nobody said within {timeout:g} s what the name {address.host!r} stands for"
        return ConnectFailed(f"{start}{text}; check the network, or give a numeric host")
    if isinstance(error, happy_eyeballs.AllFailed):
        told = {host: _reason(each, timeout) for host, each in error.errors.items()}
        text = str(connect_error(address, min(error.errors.values(), key=_rank), timeout))
        if len(set(told.values())) > 1:
            text += " (" + "; ".join([f"{host}: {reason}" for host, reason in told.items()][:_MOST_TOLD]) + ")"
        return ConnectFailed(text)
    if isinstance(error, ConnectionRefusedError):
        return ConnectFailed(f"{start}nothing listens there; start the server, or check host and port")
    if _rank(error) == 1:
        return ConnectFailed(f"{start}{_reason(error, timeout)}; is it reachable, and does no firewall drop it?")
    return ConnectFailed(f"{start}{_reason(error, timeout)}")


def _rank(error: OSError) -> int:
    """Which of several failures says most: a machine that refuses is there, one that is silent may be."""
    if isinstance(error, ConnectionRefusedError):
        return 0
    return 1 if isinstance(error, TimeoutError) and error.errno is None else 2


def _reason(error: OSError, timeout: float) -> str:
    if _rank(error) == 1:
        return f"timed out after {timeout:g} s"
    return os.strerror(error.errno) if error.errno else str(error)
