"""What travels with a message beside it: a small map before its payload, in frames that have the flag *metadata*."""

from __future__ import annotations

from math import ceil
from typing import Annotated, Final

import msgspec

from tomada.errors import UNREADABLE, InvalidMessage, ProtocolError
from tomada.protocol.frames import U32

LONGEST_DEADLINE: Final = U32
"""In milliseconds, 49 days; a caller that waits for longer sends none."""
LONGEST_KEY: Final = 200
"""In characters."""
_LENGTH_BYTES: Final = 2


class Metadata(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What is known of the map; other keys are passed over."""

    deadline: Annotated[int, msgspec.Meta(ge=0)] | None = msgspec.field(name="d", default=None)
    """Of a request: how many milliseconds its caller still waits, counted from here on."""
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_KEY)] | None = msgspec.field(
        name="k", default=None
    )
    """By which its handler recognises it; none: it follows from the session and the sequence."""


def milliseconds(seconds: float) -> int | None:
    """The deadline of a request whose caller waits for so many seconds, 0 or more; None where that is too long."""
    return ceil(seconds * 1_000) if seconds * 1_000 <= LONGEST_DEADLINE else None


def check_key(key: str | None) -> None:
    """Raise `InvalidMessage` where a caller's key is none that the peer takes."""
    if key is not None and not _is_key(key):
        raise InvalidMessage(f"the key of a request is {key!r}, it must be a text of 1 to {LONGEST_KEY} characters")


def _is_key(key: object) -> bool:
    if not isinstance(key, str) or not 0 < len(key) <= LONGEST_KEY:
        return False
    try:
        key.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Metadata).decode


def with_metadata(metadata: Metadata, payload: bytes) -> bytes:
    """`payload` behind its metadata."""
    encoded = _encode(metadata)
    return len(encoded).to_bytes(_LENGTH_BYTES, "big") + encoded + payload


def split_metadata(payload: bytes) -> tuple[Metadata, bytes]:
    """The metadata of a whole message, and its payload. Raises `ProtocolError` where they cannot be read."""
    start = _LENGTH_BYTES + int.from_bytes(payload[:_LENGTH_BYTES], "big")
    if len(payload) < start:
        raise ProtocolError("the metadata are longer than their message")
    try:
        return _decode(payload[_LENGTH_BYTES:start]), payload[start:]
    except UNREADABLE as error:
        raise ProtocolError(f"the metadata cannot be read: {error}") from error
