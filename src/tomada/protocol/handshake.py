"""What the two ends tell each other outside the messages: hello, welcome, goodbye, declarations of types, failures.

Each is a MessagePack array of its fields, in this order; later versions append fields with defaults.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import msgspec

from tomada.errors import UNREADABLE, DeclarationError, ProtocolError
from tomada.protocol.frames import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

MAGIC: Final = "tomada"
VERSION: Final = 1
MAXIMUM_TYPES: Final = 65_535
MAXIMUM_DECLARED_BYTES: Final = 262_144
"""All declarations of one end together."""
MAXIMUM_CONTROL_BYTES: Final = 4_096
URGENT_PART: Final = 4
"""The urgent lane has such a part of the normal lane's room, beside it."""
SESSION: Final = "session"
"""The feature: what the peer has not handled is kept, and sent again over another connection."""
MAXIMUM_BYTES: Final[dict[int, int]] = {Kind.HELLO: 65_536, Kind.WELCOME: 1_048_576, Kind.ACKNOWLEDGE: 16_384}
"""The longest payload of a control frame, where it is not `MAXIMUM_CONTROL_BYTES`."""

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Expression = Annotated[str, msgspec.Meta(max_length=2_000)]
_Text = Annotated[str, msgspec.Meta(max_length=1_000)]


class _Payload(msgspec.Struct, array_like=True, frozen=True):
    """Base of the payloads below."""


class TypeKind(Enum):
    """What an entry of a catalogue describes."""

    MESSAGE = "message"
    REQUEST = "request"
    ERROR = "error"
    STRUCTURE = "structure"
    """A structure that stands in fields; it is written as an array or, with `TypeEntry.keyed`, as a map."""
    ENUM = "enum"
    """Its fields are the names of its members; the default of each is the member's value, in JSON."""


class Field(_Payload, frozen=True):
    """One field of a type: its name, its type as an expression, and its default in JSON (none: it is required)."""

    name: _Name
    type: _Expression
    default: _Text | None = None


class TypeEntry(_Payload, frozen=True):
    """One entry of a catalogue."""

    name: _Name
    kind: TypeKind
    fields: tuple[Field, ...] = ()
    reply: _Expression | None = None
    """Of a request that has one reply: its type, as an expression."""
    digest: Annotated[bytes, msgspec.Meta(max_length=32)] = b""
    """Two entries with the same digest are the same; others are compared field by field."""
    handled: bool = False
    """Whether the end whose catalogue this is has a handler for it."""
    tag: int | str | None = None
    """A tagged structure carries this before its first field."""
    keyed: bool = False
    """Written as a map of names, not as an array."""
    doc: _Text = ""
    """The first line of its documentation."""
    items: _Expression | None = None
    """Of a request that a stream of items answers, in place of a reply: their type."""
    parts: _Expression | None = None
    """Of a request that a stream of parts follows: their type."""


_Catalogue = Annotated[tuple[TypeEntry, ...], msgspec.Meta(max_length=MAXIMUM_TYPES)]


class CatalogueSize:
    """How much one end has described of its types."""

    __slots__ = ("declared_bytes", "types")

    def __init__(self, types: int) -> None:
        self.types = types
        self.declared_bytes = 0

    def add(self, types: int, declared_bytes: int) -> bool:
        """Count a declaration, if there is room for it."""
        if self.types + types > MAXIMUM_TYPES or self.declared_bytes + declared_bytes > MAXIMUM_DECLARED_BYTES:
            return False
        self.types += types
        self.declared_bytes += declared_bytes
        return True


class PeerLimits(_Payload, frozen=True):
    """What the sender of this is ready to receive."""

    frame_bytes: Annotated[int, msgspec.Meta(ge=1_024, le=0xFFFF_FFFF)] = 65_536
    """The longest payload of one frame."""
    message_bytes: Annotated[int, msgspec.Meta(ge=1_024)] = 16_777_216
    """The longest message, all its fragments together."""
    requests: Annotated[int, msgspec.Meta(ge=1)] = 4_096
    """How many requests of the other end may be open at once."""
    buffer_bytes: Annotated[int, msgspec.Meta(ge=1_024)] = 1_048_576
    """How many bytes of messages may wait here to be handled; the first credit of the normal lane."""
    stream_bytes: Annotated[int, msgspec.Meta(ge=1_024)] = 262_144
    """How many bytes of the items of one stream; its first credit."""

    @property
    def urgent_bytes(self) -> int:
        """How many bytes of urgent messages may wait here; the first credit of the urgent lane."""
        return self.buffer_bytes // URGENT_PART


def longest_frame(limits: PeerLimits) -> int:
    """The longest payload of one frame: no frame is longer than a message may be."""
    return min(limits.frame_bytes, limits.message_bytes)


_Sequence = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF_FFFF)]


class Position(_Payload, frozen=True):
    """Where one end stands in one lane when a session goes on."""

    received: _Sequence
    """All frames up to this one have come and need not come again,"""
    missing: Annotated[tuple[_Sequence, ...], msgspec.Meta(max_length=65_536)]
    """but for these."""
    oldest: _Sequence
    """The oldest frame of its own that it can send again; the next one where there is none."""


class Positions(_Payload, frozen=True):
    """Where one end stands when a session goes on."""

    types: Annotated[int, msgspec.Meta(ge=0, le=MAXIMUM_TYPES)]
    """How many types of the other end it knows."""
    normal: Position
    urgent: Position


class Resume(_Payload, frozen=True):
    """Which session the connecting end goes on with."""

    id: Annotated[bytes, msgspec.Meta(max_length=64)]
    token: Annotated[bytes, msgspec.Meta(max_length=64)]
    """What only the two ends know."""
    epoch: Annotated[int, msgspec.Meta(ge=0)]
    """Of the last welcome."""
    generation: Annotated[int, msgspec.Meta(ge=1)]
    """The number of this attempt; none comes twice."""
    positions: Positions


class Session(_Payload, frozen=True):
    """The session that begins, or goes on, with a welcome."""

    id: Annotated[bytes, msgspec.Meta(min_length=1, max_length=64)]
    token: Annotated[bytes, msgspec.Meta(min_length=1, max_length=64)]
    epoch: Annotated[int, msgspec.Meta(ge=0)]
    """How often it has gone on, as the accepting end knows."""
    seconds: Annotated[float, msgspec.Meta(ge=0)]
    """For how long the accepting end keeps it without a connection."""
    positions: Positions | None = None
    """Where it goes on; none where it begins."""


class Hello(_Payload, frozen=True):
    """The first frame of the connecting end."""

    magic: Annotated[str, msgspec.Meta(max_length=16)] = MAGIC
    version: int = VERSION
    """The newest version that the sender speaks."""
    oldest_version: int = VERSION
    software: _Text = ""
    limits: PeerLimits = PeerLimits()
    catalogue: _Catalogue = ()
    features: tuple[_Name, ...] = ()
    credentials: bytes | None = None
    session: Resume | None = None


class Welcome(_Payload, frozen=True):
    """The accepting end's answer to `Hello`."""

    magic: Annotated[str, msgspec.Meta(max_length=16)] = MAGIC
    version: int = VERSION
    """The version spoken from here on."""
    software: _Text = ""
    limits: PeerLimits = PeerLimits()
    catalogue: _Catalogue = ()
    features: tuple[_Name, ...] = ()
    session: Session | None = None


class GoodbyeCode(Enum):
    """Why a connection ends."""

    CLOSED = "closed"
    """The application closed it."""
    GOING_AWAY = "going away"
    """The program stops; another may answer at the same address."""
    VERSION = "version"
    """No version in common."""
    REFUSED = "refused"
    """Not allowed, or over a limit."""
    VIOLATION = "violation"
    """The other end broke the protocol."""
    DEADLINE = "deadline"
    """The other end let a deadline pass."""
    SESSION_LOST = "session lost"
    """The session to go on with is not known here, or cannot go on."""
    FAILED = "failed"
    """What served the connection at this end is gone: its process crashed, was killed, or used more than it may."""


class Goodbye(_Payload, frozen=True):
    """The last frame of an end."""

    code: GoodbyeCode
    reason: _Text = ""


class FailureCode(Enum):
    """What kind of failure an error frame without a type reports."""

    UNKNOWN_TYPE = "unknown type"
    INVALID = "invalid"
    MISMATCH = "mismatch"
    RAISED = "raised"
    INTERNAL = "internal"
    CANCELLED = "cancelled"
    DEADLINE = "deadline"
    """The time has passed that the request's caller gave it."""
    LOST = "lost"
    """What answered it is gone in the middle; whether, and how far, it was carried out is not known."""


class Failure(_Payload, frozen=True):
    """The payload of an error frame whose type is 0."""

    code: FailureCode
    name: _Text = ""
    """Of an exception: its class."""
    message: Annotated[str, msgspec.Meta(max_length=100_000)] = ""


_encode = msgspec.msgpack.Encoder().encode
_hello = msgspec.msgpack.Decoder(Hello)
_welcome = msgspec.msgpack.Decoder(Welcome)
_goodbye = msgspec.msgpack.Decoder(Goodbye)
_declaration = msgspec.msgpack.Decoder(_Catalogue)
_P = TypeVar("_P")


def encode(payload: Hello | Welcome | tuple[TypeEntry, ...]) -> bytes:
    """A greeting, or a declaration of types, as MessagePack.

    Raises:
        DeclarationError: The peer would refuse it: a catalogue that is too large, or an entry that is too long.
    """
    limit = MAXIMUM_DECLARED_BYTES
    decode: Callable[[bytes], object] = decode_declaration
    if isinstance(payload, Hello):
        limit, decode = MAXIMUM_BYTES[Kind.HELLO], decode_hello
    elif isinstance(payload, Welcome):
        limit, decode = MAXIMUM_BYTES[Kind.WELCOME], decode_welcome
    try:
        encoded = _encode(payload)
        decode(encoded)
    except (ProtocolError, UnicodeError) as error:
        raise DeclarationError(f"the catalogue of types cannot travel: {error.__cause__ or error}") from error
    if len(encoded) > limit:
        raise DeclarationError(f"the catalogue of types is too large: {len(encoded)} bytes, at most {limit} can travel")
    return encoded


def with_session(welcome: bytes, session: Session) -> bytes:
    """An encoded welcome that has no session, with one: it is the last field."""
    return welcome[:-1] + _encode(session)


def encode_goodbye(code: GoodbyeCode, reason: str) -> bytes:
    """A goodbye as MessagePack; a long reason is cut."""
    return _encode(Goodbye(code, _sendable(reason, 1_000)))


def encode_failure(code: FailureCode, name: str, message: str, limit: int) -> bytes:
    """A failure as MessagePack; a long text is cut, further where the whole is longer than `limit`, 1024 or more."""
    encoded = _encode(Failure(code, _sendable(name, 1_000), _sendable(message, 10_000)))
    if len(encoded) > limit:
        encoded = _encode(Failure(code, _sendable(name, 50), _sendable(message, 150)))
    return encoded


def _sendable(text: str, length: int) -> str:
    """At most `length` characters of a text, without lone surrogates: a file name may bring those, UTF-8 has none."""
    return text[:length].encode(errors="replace").decode()


def _decode(decoder: msgspec.msgpack.Decoder[_P], payload: bytes, what: str) -> _P:
    try:
        return decoder.decode(payload)
    except UNREADABLE as error:
        raise ProtocolError(f"the peer's {what} cannot be read: {error}") from error


def decode_hello(payload: bytes) -> Hello:
    """The peer's hello. Raises `ProtocolError`."""
    return _decode(_hello, payload, "hello")


def decode_welcome(payload: bytes) -> Welcome:
    """The peer's welcome. Raises `ProtocolError`."""
    return _decode(_welcome, payload, "welcome")


def decode_goodbye(payload: bytes) -> Goodbye:
    """The peer's goodbye. Raises `ProtocolError`."""
    return _decode(_goodbye, payload, "goodbye")


def goodbye_text(goodbye: Goodbye) -> str:
    """A goodbye in one line, for the log, which no peer shall write lines into."""
    reason = "".join(letter if letter.isprintable() else "?" for letter in goodbye.reason)
    return f"the peer said goodbye ({goodbye.code.value})" + (f": {reason}" if reason else "")


def decode_declaration(payload: bytes) -> tuple[TypeEntry, ...]:
    """The types that the peer appends to its catalogue. Raises `ProtocolError`."""
    return _decode(_declaration, payload, "declaration of types")


def disagreement(peer: Hello | Welcome) -> str:
    """Why the two ends have no protocol in common; empty if they have."""
    if peer.magic != MAGIC:
        return f"the peer's first word is {peer.magic!r}, not {MAGIC!r}: it does not speak tomada"
    oldest = peer.oldest_version if isinstance(peer, Hello) else peer.version
    if not oldest <= VERSION <= peer.version:
        return f"the peer speaks versions {oldest} to {peer.version} of the protocol, this end version {VERSION}"
    return ""


RECOGNISABLE: Final = 5
"""So many bytes of a connection tell a peer of another protocol."""

TLS_HELLO: Final = b"\x16\x03"
TLS_ALERT: Final = b"\x15\x03"
"""RFC 8446, section 5.1: the type of a record, and the first byte of its version."""

_FOREIGN: Final = (
    (TLS_HELLO, "a TLS hello: connect with tcp:// to an address without TLS"),
    (TLS_ALERT, "a TLS alert: it speaks TLS, use a tls:// address"),
    (b"GET ", "an HTTP request"),
    (b"POST ", "an HTTP request"),
    (b"PUT ", "an HTTP request"),
    (b"HEAD ", "an HTTP request"),
    (b"OPTIO", "an HTTP request"),
    (b"HTTP/", "an HTTP answer"),
    (b"SSH-", "an SSH banner"),
    (b"220", "the greeting of a mail or FTP server"),
    (b"EHLO ", "a mail client's greeting"),
    (b"PROXY", "a proxy's header: serve with proxied_by=('its network',)"),
    (b"\r\n\r\n\0", "a proxy's header: serve with proxied_by=('its network',)"),
)


def recognise(beginning: bytes) -> str:
    """What a peer that does not speak tomada seems to speak, for the log."""
    # No more than the first bytes, so that it does not matter in what pieces they came.
    beginning = beginning[:RECOGNISABLE]
    for prefix, name in _FOREIGN:
        if beginning.startswith(prefix):
            return name
    return f"what begins with {beginning!r}"
