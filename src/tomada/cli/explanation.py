"""What there is to know about one address, gathered: what ``tomada address`` shows, and prints with ``--json``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec

from tomada.address import Address
from tomada.transports import ports, probe, resolution, socket_table
from tomada.transports.socket_file import SocketFile, look

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomada.transports.socket_table import Process

LOOK_UP_SECONDS: Final = 5.0
KNOCK_SECONDS: Final = 1.0
MOST_TRIED: Final = 8
"""How many addresses of one name a connection is tried to."""

_KINDS: Final = {
    "tcp": "stream",
    "tls": "stream",
    "unix": "stream",
    "udp": "datagrams",
    "unixgram": "datagrams",
    "ws": "messages over WebSocket",
    "wss": "messages over WebSocket",
    "memory": "stream",
}
_ENCRYPTED: Final = ("tls", "wss")
_ANY: Final = ("0.0.0.0", "::")  # noqa: S104 - what all interfaces are called


class PortFacts(msgspec.Struct):
    """What the number says by itself."""

    class_: str = msgspec.field(name="class")
    service: str | None
    needs_privilege: bool
    has_privilege: bool


class Hosts(msgspec.Struct):
    """What the host stands for."""

    listen: list[str] = []
    connect: list[str] = []
    elsewhere: list[str] = []
    """Where others reach who listens there."""
    error: str | None = None


class Bound(msgspec.Struct):
    """A socket that receives there."""

    address: str
    user: str
    processes: list[Process]


class Attempt(msgspec.Struct):
    """A connection that was tried."""

    address: str
    error: str | None


class Explanation(msgspec.Struct):
    """All of it; a part that the scheme does not have is None."""

    address: str
    scheme: str
    kind: str
    encrypted: bool
    ordered: bool
    reliable: bool
    reach: str
    """``process``, ``machine`` or ``network``."""
    port: PortFacts | None = None
    hosts: Hosts | None = None
    file: SocketFile | None = None
    listens: bool | None = None
    """None where it cannot be told."""
    is_here: bool = True
    """Whether the address is on this machine, so that its tables tell who listens."""
    sockets: list[Bound] = []
    attempts: list[Attempt] = []


async def explain(address: Address) -> Explanation:
    """What there is to know; takes a few seconds at the most."""
    kind = _KINDS[address.scheme]
    is_datagram = kind == "datagrams"
    # A socket file leads to one queue in the kernel, so that datagrams in it keep their order and are not lost.
    keeps = not is_datagram or address.scheme == "unixgram"
    known = Explanation(str(address), address.scheme, kind, address.scheme in _ENCRYPTED, keeps, keeps, "network")
    if address.scheme == "memory":
        known.reach = "process"
    elif address.port is None:
        await _explain_file(known, address)
    else:
        await _explain_host(known, address, address.port)
    return known


async def _explain_file(known: Explanation, address: Address) -> None:
    known.reach = "machine"
    known.file = look(address.path)
    known.sockets = _bound(socket_table.unix_sockets(address.scheme, address.path), lambda _: address)
    if known.file.is_socket and address.scheme == "unix":
        known.attempts = [await _try(address)]
    _conclude(known)


async def _explain_host(known: Explanation, address: Address, port: int) -> None:
    protocol = "udp" if address.scheme == "udp" else "tcp"
    own = resolution.own_hosts()
    known.port = _port(port, protocol)
    known.hosts = await _hosts(address, own)
    connect = known.hosts.connect
    is_everywhere = not address.host or set(connect) <= set(_ANY)
    known.is_here = all(resolution.is_own(host, own) for host in connect)
    if connect and not is_everywhere and all(resolution.is_loopback(host) for host in connect):
        known.reach = "machine"
    if not (port and connect):
        return
    if known.is_here:
        entries = socket_table.inet_sockets(protocol, port, socket_table.RECEIVING[protocol])
        entries = [entry for entry in entries if is_everywhere or entry.host in {*connect, *_ANY}]
        known.sockets = _bound(entries, lambda entry: Address(address.scheme, entry.host, port, address.path))
        if entries:
            known.hosts.elsewhere = _elsewhere(address, own, [entry.host for entry in entries])
    if protocol == "tcp":
        tried = [Address(address.scheme, host, port, address.path) for host in connect[:MOST_TRIED]]
        known.attempts = await asyncio.gather(*map(_try, tried))
    _conclude(known)


def _port(port: int, protocol: str) -> PortFacts | None:
    if not port:
        return None
    needs = port < ports.first_free_for_all()
    service = ports.service_name(port, protocol)
    return PortFacts(
        class_=ports.port_class(port), service=service, needs_privilege=needs, has_privilege=ports.has_privilege()
    )


async def _hosts(address: Address, own: list[str]) -> Hosts:
    try:
        connect = await resolution.hosts(address, LOOK_UP_SECONDS, listening=False)
        listen = connect if address.host else await resolution.hosts(address, LOOK_UP_SECONDS, listening=True)
    except TimeoutError:
        return Hosts(error=f"no answer to the look-up of {address.host} within {LOOK_UP_SECONDS:g} s")
    except (OSError, UnicodeError):
        return Hosts(error=f"the name {address.host} is not known")
    here = [host for host in listen if resolution.is_own(host, own)]
    return Hosts(listen=here, connect=connect, elsewhere=_elsewhere(address, own, here))


def _elsewhere(address: Address, own: list[str], listened: list[str]) -> list[str]:
    """Where others reach who listens on these hosts."""
    if not address.port:
        return []
    near = [host for host in own if not resolution.is_link_local(host)]
    reached = [host for host in near if host in listened or _any(host) in listened]
    return [str(Address(address.scheme, host, address.port, address.path)) for host in reached]


def _any(host: str) -> str:
    return "::" if ":" in host else "0.0.0.0"  # noqa: S104 - what all interfaces are called


def _bound(entries: list[socket_table.Entry], where: Callable[[socket_table.Entry], Address]) -> list[Bound]:
    holders = socket_table.processes([entry.inode for entry in entries])
    return [Bound(str(where(entry)), entry.user, holders[entry.inode]) for entry in entries]


async def _try(address: Address) -> Attempt:
    return Attempt(str(address), await probe.why_unreached(address, KNOCK_SECONDS) or None)


def _conclude(known: Explanation) -> None:
    """Whether somebody listens, as far as it can be told."""
    if known.sockets or any(attempt.error is None for attempt in known.attempts):
        known.listens = True
    elif known.is_here and (known.attempts or socket_table.is_readable()):
        known.listens = False
