"""PROXY headers, as proxies write them; by the specification, not by what reads them here."""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_address

SIGNATURE = b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a"
Place = tuple[str, int]


def line(client: Place, server: Place) -> bytes:
    """Version 1."""
    family = "TCP6" if ":" in client[0] else "TCP4"
    return f"PROXY {family} {client[0]} {server[0]} {client[1]} {server[1]}\r\n".encode("ascii")


def block(client: Place, server: Place, more: bytes = b"") -> bytes:
    """Version 2."""
    version = ip_address(client[0]).version
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    hosts = socket.inet_pton(family, client[0]) + socket.inet_pton(family, server[0])
    addresses = hosts + struct.pack("!HH", client[1], server[1])
    return raw_block(0x21, 0x11 if version == 4 else 0x21, addresses + more)


def raw_block(version_and_command: int, kind: int, rest: bytes, length: int | None = None) -> bytes:
    head = struct.pack("!BBH", version_and_command, kind, len(rest) if length is None else length)
    return SIGNATURE + head + rest
