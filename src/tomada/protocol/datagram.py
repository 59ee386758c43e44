"""A message in a datagram: its layout, and how a source proves that it is where it says. Bytes in, bytes out.

There is no handshake and no order. What one datagram means is told by it alone; who asks repeats until an answer comes.
"""

from __future__ import annotations

import hmac
import struct
from enum import IntEnum
from typing import Final, NamedTuple

from tomada.errors import ProtocolError

MAGIC: Final = b"tm"
DATAGRAM_VERSION: Final = 1
_HEADER: Final = struct.Struct("!2sBB8sI8sBB")
DATAGRAM_HEADER_BYTES: Final = _HEADER.size
"""Without token and name."""
KEY_BYTES: Final = 12
TOKEN_BYTES: Final = 20
CLIENT_BYTES: Final = 8
DIGEST_BYTES: Final = 8
LONGEST_NAME: Final = 200
LONGEST_TOKEN: Final = 64
UNTOLD: Final = bytes(DIGEST_BYTES)
"""The digest that says nothing."""
_TIME: Final = struct.Struct("!I")
_TAG_BYTES: Final = TOKEN_BYTES - _TIME.size


class DatagramKind(IntEnum):
    """What a datagram is."""

    SEND = 1
    ASK = 2
    REPLY = 3
    ERROR = 4
    PROVE = 5


_KINDS: Final = {int(kind): kind for kind in DatagramKind}


class Parcel(NamedTuple):
    """What one datagram says.

    Attributes:
        kind: What it is.
        client: Of the key: random, chosen by who asks when it begins.
        number: Of the key: counted by who asks, anew for each request and not for its repetitions.
        name: Of the payload's type; empty where it has none of its own.
        digest: Of that type; `UNTOLD` says nothing.
        payload: In MessagePack; of `PROVE` the token.
        token: What the receiver has given to the sender to prove where it is; empty where it has none.
    """

    kind: DatagramKind
    client: bytes
    number: int
    name: str = ""
    digest: bytes = UNTOLD
    payload: bytes = b""
    token: bytes = b""

    @property
    def key(self) -> bytes:
        """By which repetitions are known."""
        return self.client + _TIME.pack(self.number)


def encode_parcel(parcel: Parcel) -> bytes:
    """The datagram."""
    name = parcel.name.encode()
    if len(name) > LONGEST_NAME:
        raise ValueError(f"the name {parcel.name!r} has {len(name)} bytes, and {LONGEST_NAME} are the most")
    head = _HEADER.pack(
        MAGIC,
        DATAGRAM_VERSION,
        parcel.kind,
        parcel.client,
        parcel.number,
        parcel.digest or UNTOLD,
        len(parcel.token),
        len(name),
    )
    return b"".join((head, parcel.token, name, parcel.payload))


def decode_parcel(data: bytes) -> Parcel:
    """What the datagram says. Raises `ProtocolError` for one that is no message of this version."""
    if len(data) < DATAGRAM_HEADER_BYTES:
        raise ProtocolError(f"a datagram of {len(data)} bytes is no message: its header has {DATAGRAM_HEADER_BYTES}")
    magic, version, kind, client, number, digest, token, name = _HEADER.unpack_from(data)
    if magic != MAGIC or version != DATAGRAM_VERSION:
        raise ProtocolError(f"a datagram that begins {data[:3].hex()} is no message of version {DATAGRAM_VERSION}")
    if kind not in _KINDS:
        raise ProtocolError(f"a datagram of the kind {kind}, which does not exist")
    named = DATAGRAM_HEADER_BYTES + token
    begin = named + name
    if token > LONGEST_TOKEN or name > LONGEST_NAME or begin > len(data):
        raise ProtocolError(f"a datagram of {len(data)} bytes whose token of {token} and name of {name} do not fit")
    try:
        text = data[named:begin].decode()
    except UnicodeDecodeError as error:
        raise ProtocolError("a datagram whose type is named by what is no UTF-8") from error
    return Parcel(_KINDS[kind], client, number, text, digest, data[begin:], data[DATAGRAM_HEADER_BYTES:named])


class Tokens:
    """Makes and checks the tokens of one server, without keeping any: as QUIC's address validation, RFC 9000, 8.1.

    Args:
        secret: Random bytes, at least 16; whoever has them can forge tokens.
        lifetime: How long a token is good, in seconds.
    """

    __slots__ = ("_lifetime", "_secret")

    def __init__(self, secret: bytes, lifetime: float = 60.0) -> None:
        self._secret = secret
        self._lifetime = lifetime

    def make(self, source: bytes, now: float) -> bytes:
        """A token for what is sent from `source`, made at `now` in seconds."""
        made = _TIME.pack(int(now) & 0xFFFF_FFFF)
        return made + self._tag(made, source)

    def is_good(self, token: bytes, source: bytes, now: float) -> bool:
        """Whether this server has given the token to `source`, not too long ago."""
        if len(token) != TOKEN_BYTES:
            return False
        made = token[: _TIME.size]
        age = (int(now) - _TIME.unpack(made)[0]) & 0xFFFF_FFFF
        return age <= self._lifetime and hmac.compare_digest(token[_TIME.size :], self._tag(made, source))

    def _tag(self, made: bytes, source: bytes) -> bytes:
        return hmac.digest(self._secret, made + source, "sha256")[:_TAG_BYTES]
