"""What travels: the same typed pair for every contender, and the frame of those that bring none of their own.

The text is 20 characters and the number differs in every request, so a reply can only be right by being the right one.
"""

import struct
from time import perf_counter
from typing import Final

import msgspec


class Ping(msgspec.Struct, array_like=True):
    """The request: an array of two on the wire."""

    number: int
    text: str


class Pong(msgspec.Struct, array_like=True):
    """The reply: it repeats both fields."""

    number: int
    text: str


TEXT: Final = "x" * 20
"""The text of every request."""

HEADER: Final = struct.Struct("!IBBHII")
"""16 bytes: length, kind, lane, type, id, sequence. Only length and id are used here."""

encode: Final = msgspec.msgpack.Encoder().encode
decode_ping: Final = msgspec.msgpack.Decoder(Ping).decode
decode_pong: Final = msgspec.msgpack.Decoder(Pong).decode


def answer(ping: Ping) -> Pong:
    """What every server does with a decoded request."""
    return Pong(ping.number, ping.text)


def frame(identifier: int, message: Ping | Pong) -> bytes:
    """The header and the MessagePack bytes of ``message``, ready to be written at once."""
    payload = encode(message)
    return HEADER.pack(len(payload), 0, 0, 0, identifier, 0) + payload


DATAGRAM: Final = b"x" * 64
"""What travels one way in datagrams."""
_COUNT: Final = struct.Struct("!IQd")


def told(question: bytes, count: int) -> bytes:
    """The answer to a question for the count of datagrams, with the time of this end's clock."""
    return _COUNT.pack(int.from_bytes(question[:4], "big"), count, perf_counter())


def count_of(answer: bytes) -> tuple[int, int, float]:
    """The question's number, the count and the time."""
    number, count, at = _COUNT.unpack(answer)
    return number, count, at
