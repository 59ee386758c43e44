"""The header by which a proxy says for whom it connects: the PROXY protocol, versions 1 and 2. Bytes in, header out.

The specification is HAProxy's ``doc/proxy-protocol.txt``; the sections named here are its own. What a proxy adds behind
the addresses (TLVs: TLS details, a unique id, a checksum) is passed over unread.
"""

from __future__ import annotations

import struct
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Final

import msgspec

from tomada.errors import ProtocolError

LONGEST_LINE: Final = 107
"""Bytes of a header of version 1, with its end of line (section 2.1)."""
LONGEST_BLOCK: Final = 4_096
"""Bytes that may follow the first 16 of version 2. The addresses need 216 at most; 65,535 could be announced."""
SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
"""How version 2 begins (section 2.2)."""
_WORD: Final = b"PROXY "
_FIXED: Final = struct.Struct("!12sBBH")
_PORTS: Final = struct.Struct("!HH")
_LARGEST_PORT: Final = 0xFFFF
_VERSION: Final = 2
_LOCAL, _FORWARDED = 0, 1
_SHOWN: Final = 40
_FAMILIES: Final = {b"TCP4": AF_INET, b"TCP6": AF_INET6}
# Of version 2: the family and the kind of transport in one byte.
_UNKNOWN_KIND, _UNIX_STREAM = 0x00, 0x31
_UNIX_BYTES: Final = 216
_KINDS: Final = {0x11: (AF_INET, 4), 0x21: (AF_INET6, 16)}

Place = tuple[str, int]
"""A host, as a number, and a port."""


class Header(msgspec.Struct, frozen=True):
    """What a proxy says of the connection that it passes on.

    Without places the proxy speaks for itself, as when it asks whether the server is well, or has not learnt, or not in
    terms of TCP, who the client is: then the proxy's own address is all there is to know.

    Attributes:
        size: How many bytes it took; the client's own follow.
        client: Where the client connected from.
        server: Where it connected to.
    """

    size: int
    client: Place | None = None
    server: Place | None = None


def read_header(data: bytes) -> Header | None:
    """The header that `data` begins with; ``None`` where more must come to tell.

    At most `LONGEST_BLOCK` and 16 bytes are waited for, and no more than the first wrong one.

    Raises:
        ProtocolError: They are the beginning of no such header.
    """
    if SIGNATURE.startswith(data[: len(SIGNATURE)]):
        return _read_block(data)
    if _WORD.startswith(data[: len(_WORD)]):
        return _read_line(data)
    raise ProtocolError(f"it is no PROXY header: it begins with {data[:_SHOWN]!r}")


# Version 1: a line of text.


def _read_line(data: bytes) -> Header | None:
    end = data.find(b"\r\n", 0, LONGEST_LINE)
    if end < 0:
        if len(data) >= LONGEST_LINE:
            raise ProtocolError(f"its PROXY header has no end of line within {LONGEST_LINE} bytes")
        return None
    size = end + 2
    kind, *words = data[len(_WORD) : end].split(b" ")
    if kind == b"UNKNOWN":
        return Header(size)  # "the receiver must ignore anything presented before the CRLF"
    family = _FAMILIES.get(kind)
    if family is None or len(words) != 4:  # noqa: PLR2004 - two addresses, two ports
        raise ProtocolError(f"its PROXY header cannot be read: {data[:end]!r}")
    client, server, client_port, server_port = words
    try:
        return Header(size, _place(family, client, client_port), _place(family, server, server_port))
    except (ValueError, OSError):
        raise ProtocolError(f"its PROXY header cannot be read: {data[:end]!r}") from None


def _place(family: int, host: bytes, port: bytes) -> Place:
    number = int(port) if port.isdigit() else -1
    if not 0 <= number <= _LARGEST_PORT or len(port) > len(str(_LARGEST_PORT)):
        raise ValueError(port)
    return inet_ntop(family, inet_pton(family, host.decode("ascii"))), number


# Version 2: binary.


def _read_block(data: bytes) -> Header | None:
    if len(data) < _FIXED.size:
        return None
    _, version, kind, length = _FIXED.unpack_from(data)
    if version >> 4 != _VERSION:
        raise ProtocolError(f"its PROXY header is of version {version >> 4}; 1 and 2 are understood")
    command = version & 0xF
    if command not in (_LOCAL, _FORWARDED):
        raise ProtocolError(f"its PROXY header has the command {command}; 0 and 1 are understood")
    if length > LONGEST_BLOCK:
        raise ProtocolError(f"its PROXY header has {length} bytes; {LONGEST_BLOCK} are the most that are taken")
    size = _FIXED.size + length
    known = _KINDS.get(kind)
    needed = _needed(kind) if command == _FORWARDED else 0
    if length < needed:
        raise ProtocolError(f"its PROXY header has {length} bytes for its addresses, which need {needed}")
    if len(data) < size:
        return None
    if command == _LOCAL or known is None:
        return Header(size)  # in either case "the receiver must use the real connection endpoints"
    family, width = known
    hosts = memoryview(data)[_FIXED.size :]
    client_port, server_port = _PORTS.unpack_from(hosts, 2 * width)
    client = inet_ntop(family, bytes(hosts[:width]))
    server = inet_ntop(family, bytes(hosts[width : 2 * width]))
    return Header(size, (client, client_port), (server, server_port))


def _needed(kind: int) -> int:
    """How many bytes the addresses take. Raises `ProtocolError`: they are of no stream."""
    if kind in _KINDS:
        return 2 * _KINDS[kind][1] + _PORTS.size
    if kind == _UNIX_STREAM:
        return _UNIX_BYTES
    if kind == _UNKNOWN_KIND:
        return 0
    raise ProtocolError(f"its PROXY header is for {kind:#04x}, which is no TCP connection")
