"""What the host of an address stands for, on this machine and now; and what this machine is called elsewhere."""

# Importing pathlib would slow every start, for what is rarely asked.
# ruff: noqa: PTH123

from __future__ import annotations

import asyncio
import re
import socket
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Final

from tomada.transports import tcp

if TYPE_CHECKING:
    from tomada.address import Address

_LOCAL: Final = re.compile(r"\|-- ([0-9.]+)\s+/32 host LOCAL")
_ITSELF: Final = "10"  # the scope in /proc/net/if_inet6; 20 is the link, 00 everywhere
# Addresses for documentation (RFC 5737, RFC 3849), which no machine has. Connecting a datagram socket sends nothing.
_FAR: Final = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


async def hosts(address: Address, timeout: float, *, listening: bool) -> list[str]:
    """The numeric hosts that are listened on, or connected to one after the other.

    Raises:
        OSError: The name is not known, or no answer came within ``timeout`` seconds (`TimeoutError`).
        UnicodeError: The name cannot be asked for.
    """
    async with asyncio.timeout(timeout):
        if listening:
            return await tcp.local_hosts(address.host)
        return await tcp.local_hosts(address.host or "localhost")


def is_own(host: str, own: list[str]) -> bool:
    """Whether what is sent to the numeric ``host`` stays on this machine, which others know as ``own``."""
    return is_loopback(host) or ip_address(host).is_unspecified or host in own


def is_loopback(host: str) -> bool:
    """Whether only this machine itself can reach the numeric ``host``."""
    return ip_address(host).is_loopback


def is_link_local(host: str) -> bool:
    """Whether only machines on the same link can reach the numeric ``host``."""
    return ip_address(host).is_link_local


def own_hosts(proc: str = "/proc") -> list[str]:
    """The numeric hosts under which others may reach this machine."""
    found = [*_own_ipv4(proc), *_own_ipv6(proc)]
    return list(dict.fromkeys(found)) or _own_by_route()


def _own_ipv4(proc: str) -> list[str]:
    with suppress(OSError), open(f"{proc}/net/fib_trie", encoding="ascii") as table:
        return [host for host in _LOCAL.findall(table.read()) if not ip_address(host).is_loopback]
    return []


def _own_ipv6(proc: str) -> list[str]:
    with suppress(OSError), open(f"{proc}/net/if_inet6", encoding="ascii") as table:
        rows = [line.split() for line in table]
        found = [(IPv6Address(bytes.fromhex(row[0])), row[5]) for row in rows if row[3] != _ITSELF]
        return [f"{host}%{device}" if host.is_link_local else str(host) for host, device in found]
    return []


def _own_by_route() -> list[str]:
    """The hosts that the system would give as this machine's when it speaks to somebody far away."""
    found = []
    for family, far in _FAR:
        with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.connect((far, 9))
            found.append(str(asking.getsockname()[0]))
    return found
