"""What travels with a message beside it: a small map before its payload, in frames that have the flag *metadata*."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from tomada.errors import UNREADABLE, InvalidMessage, ProtocolError
from tomada.protocol.frames import U32

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_DEADLINE: Final = U32
"""In milliseconds, 49 days; a caller that waits for longer sends none."""
LONGEST_KEY: Final = 200
"""In characters."""
LONGEST_PARENT: Final = 128
"""In bytes; that of version 00 has 55, later ones may have more."""
LONGEST_STATE: Final = 512
"""In bytes, as much as W3C Trace Context wants to be passed on at least."""
_LENGTH_BYTES: Final = 2
_MOST_HEADER: Final = 3
_NOTHING: Final = msgspec.Raw()


class Trace(msgspec.Struct, frozen=True, gc=False):
    """Whose work a message is part of, in the words of W3C Trace Context, which nobody reads here.

    Attributes:
        parent: The ``traceparent``; empty where the peer sent what is none.
        state: The ``tracestate``.
    """

    parent: str
    state: str = ""


class Metadata(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What is known of the map; other keys are passed over."""

    deadline: Annotated[int, msgspec.Meta(ge=0)] | None = msgspec.field(name="d", default=None)
    """Of a request: how many milliseconds its caller still waits, counted from here on."""
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_KEY)] | None = msgspec.field(
        name="k", default=None
    )
    """By which its handler recognises it; none: it follows from the session and the sequence."""
    parent: msgspec.Raw = msgspec.field(name="t", default=_NOTHING)
    """Of `trace`. Whatever it is: what is wrong with a trace must not cost the message."""
    state: msgspec.Raw = msgspec.field(name="s", default=_NOTHING)

    @classmethod
    def of(cls, deadline: int | None, key: str | None, trace: Trace | None) -> Metadata:
        """With the trace as it travels; what is too long to be passed on is left out."""
        if trace is None or not 0 < len(trace.parent) <= LONGEST_PARENT:
            return cls(deadline, key)
        has_state = 0 < len(trace.state) <= LONGEST_STATE
        return cls(deadline, key, _raw(trace.parent), _raw(trace.state) if has_state else _NOTHING)

    @property
    def trace(self) -> Trace | None:
        """Whose work it is part of, where the peer says so."""
        if self.parent is _NOTHING:
            return None
        return Trace(_text(self.parent, LONGEST_PARENT), _text(self.state, LONGEST_STATE))

    @property
    def must_go(self) -> bool:
        """Whether a message that has no room for this is not to be sent without it."""
        return self.key is not None and self.parent is _NOTHING

    def ever_less(self) -> Iterator[Metadata]:
        """The map, and then what of it may be left out last, where a message has no room for all."""
        if self.parent is not _NOTHING:
            yield self
        if self.deadline is not None or self.key is not None:
            yield Metadata(self.deadline, self.key)


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
_decode_text: Final = msgspec.msgpack.Decoder(str).decode


def _raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(_encode(text))


def _text(raw: msgspec.Raw, longest: int) -> str:
    """A text of the map; empty where it is none, or too long."""
    if not 0 < memoryview(raw).nbytes <= longest + _MOST_HEADER:
        return ""
    try:
        return _decode_text(raw)
    except UNREADABLE:
        return ""


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
