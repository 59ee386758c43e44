"""Streams over TCP, through the running loop: IPv4 and IPv6, one port for all addresses of a name.

``TCP_NODELAY`` is set on both ends, and ``SO_REUSEADDR`` where it means what it says.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from tomada.address import Address
from tomada.errors import AddressInUse, ConnectFailed, ListenFailed, SystemPort
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
_HEAD_START = 0.25  # seconds before the next address of a name is tried as well: RFC 8305, section 5
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
        ConnectFailed: None did within ``timeout`` seconds, or the name is unknown.
    """
    if not address.port:
        raise ConnectFailed(f"cannot connect to {address}: port 0 is for listening; give the port that is listened on")
    loop, host = asyncio.get_running_loop(), address.host or "localhost"
    options: dict[str, Any] = {}
    if isinstance(loop, asyncio.BaseEventLoop) and not _is_number(host):
        options["happy_eyeballs_delay"] = _HEAD_START  # uvloop tries one address after the other
    try:
        async with asyncio.timeout(timeout):
            transport, protocol = await loop.create_connection(factory, host, address.port, **options)
    except (OSError, UnicodeError) as error:
        raise connect_error(address, error, timeout) from error
    if transport.get_extra_info("sockname") == transport.get_extra_info("peername"):
        # A local port out of the system's own range may be picked as the source as well, and TCP joins the two.
        transport.abort()
        raise ConnectFailed(_nobody_listens(address))
    return transport, protocol


async def local_hosts(host: str) -> list[str]:
    """The numeric hosts that ``host`` stands for; empty means all interfaces. Raises `OSError`, `UnicodeError`."""
    if not host:
        return list(_ALL_INTERFACES)
    if _is_number(host):
        return [host]
    loop = asyncio.get_running_loop()
    infos = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys(str(info[4][0]) for info in infos))


def _is_number(host: str) -> bool:
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
    if isinstance(error, TimeoutError) and error.errno is None:
        return ConnectFailed(f"{start}timed out after {timeout:g} s; is it reachable, and does no firewall drop it?")
    if isinstance(error, ConnectionRefusedError) or errno.ECONNREFUSED in _numbers(error):
        return ConnectFailed(_nobody_listens(address))
    return ConnectFailed(f"{start}{os.strerror(error.errno) if error.errno else error}")


def _numbers(error: OSError) -> set[int]:
    """The error numbers: where several addresses failed in different ways, the loop puts them into one text."""
    return {error.errno} if error.errno else {int(number) for number in re.findall(r"\[Errno (\d+)\]", str(error))}


def _nobody_listens(address: Address) -> str:
    return f"cannot connect to {address}: nothing listens there; start the server, or check host and port"
