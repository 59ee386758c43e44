"""Greetings without their secrets: recordings are mailed around, and a session's token lets whoever has it go on."""

from __future__ import annotations

from typing import Final

import msgspec

from tomada.errors import UNREADABLE
from tomada.protocol.frames import Kind
from tomada.protocol.handshake import Hello, Resume, Session, Welcome

_fields: Final = msgspec.msgpack.Decoder(list[msgspec.Raw])
_NIL: Final = 0xC0
_LENGTHS: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
"""How many bytes of length follow the first byte of bytes or of a text (MessagePack)."""
_SHORT_TEXT: Final = range(0xA0, 0xC0)

_CREDENTIALS: Final = Hello.__struct_fields__.index("credentials")
_RESUME: Final = Hello.__struct_fields__.index("session"), Resume.__struct_fields__.index("token")
_SESSION: Final = Welcome.__struct_fields__.index("session"), Session.__struct_fields__.index("token")
_SECRETS: Final = {int(Kind.HELLO): ((_CREDENTIALS,), _RESUME), int(Kind.WELCOME): (_SESSION,)}


class _Unknown(Exception):
    """What should be a secret is neither bytes nor a text."""


def blanked(kind: int, payload: bytes) -> bytes:
    """A greeting with zeros in place of credentials and tokens; all of it is zeros where it cannot be read.

    Args:
        kind: Of the frame: a hello or a welcome.
        payload: Its whole payload.
    """
    try:
        for way in _SECRETS[kind]:
            payload = _blank(payload, way)
    except (*UNREADABLE, _Unknown):
        return bytes(len(payload))
    return payload


def _blank(array: bytes, way: tuple[int, ...]) -> bytes:
    """`array` with zeros in the field that `way` leads to, from array to array."""
    fields = [bytes(field) for field in _fields.decode(array)]
    place, *further = way
    if place >= len(fields) or fields[place][0] == _NIL:
        return array
    beginning = array[: len(array) - sum(map(len, fields))]
    fields[place] = _blank(fields[place], tuple(further)) if further else _zeros(fields[place])
    return beginning + b"".join(fields)


def _zeros(value: bytes) -> bytes:
    first = value[0]
    if first not in _LENGTHS and first not in _SHORT_TEXT:
        raise _Unknown
    start = 1 + _LENGTHS.get(first, 0)
    return value[:start] + bytes(len(value) - start)
