"""What a TLS client offers in its first message: the application protocols (RFC 7301).

Python's server goes on without a protocol where none is common, and cannot tell that from a client that offers none.
"""

from __future__ import annotations

from typing import Final

RECORD_HEADER: Final = 5
_MESSAGE_HEADER: Final = 4
_VERSION_AND_RANDOM: Final = 2 + 32
_ALPN: Final = 16


def offered_protocols(records: bytes) -> tuple[str, ...]:
    """The names that the ClientHello in ``records`` offers, the best first; none where it offers none.

    OpenSSL has read and accepted the same bytes before; what is cut off all the same offers nothing.
    """
    hello = _Reader(_without_headers(records)[_MESSAGE_HEADER + _VERSION_AND_RANDOM :])
    hello.vector(1)  # session id
    hello.vector(2)  # cipher suites
    hello.vector(1)  # compression methods
    extensions = _Reader(hello.vector(2))
    while extensions.left:
        kind, body = extensions.number(2), extensions.vector(2)
        if kind == _ALPN:
            return tuple(_names(_Reader(_Reader(body).vector(2))))
    return ()


def _without_headers(records: bytes) -> bytes:
    """A handshake message may be spread over several records: RFC 8446, section 5.1."""
    reader, parts = _Reader(records), []
    while reader.left >= RECORD_HEADER:
        reader.number(3)  # type and version
        parts.append(reader.vector(2))
    return b"".join(parts)


def _names(reader: _Reader) -> list[str]:
    names = []
    while reader.left:
        names.append(reader.vector(1).decode("ascii", "replace"))
    return names


class _Reader:
    """Numbers and vectors out of bytes; at their end there is nothing more."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return max(0, len(self._data) - self._at)

    def number(self, size: int) -> int:
        self._at += size
        return int.from_bytes(self._data[self._at - size : self._at], "big")

    def vector(self, size: int) -> bytes:
        """What follows its own length, which is a number of ``size`` bytes."""
        length = self.number(size)
        self._at += length
        return self._data[self._at - length : self._at]
