"""Vectors of messages in datagrams: those that are messages, and those that are none."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tomada.protocol import FailureCode
from tomada.protocol.datagram import DatagramKind, Parcel, encode_parcel
from tomada.protocol.handshake import encode_failure

_CLIENT: Final = bytes.fromhex("0011223344556677")
_DIGEST: Final = bytes.fromhex("0102030405060708")
_TOKEN: Final = bytes(range(20))
_pack: Final = msgspec.msgpack.encode

_ASK: Final = Parcel(DatagramKind.ASK, _CLIENT, 1, "Transfer", _DIGEST, _pack(["ana", "rui", 500]))
DATAGRAMS: Final = [
    ("send", Parcel(DatagramKind.SEND, _CLIENT, 2, "Note", payload=_pack(["rent"]))),
    ("ask", _ASK),
    ("ask again, with a token", _ASK._replace(token=_TOKEN)),
    ("reply", Parcel(DatagramKind.REPLY, _CLIENT, 1, "Receipt", _DIGEST, _pack([7, 9_500]))),
    ("reply with a plain value", Parcel(DatagramKind.REPLY, _CLIENT, 1, payload=_pack(True))),
    ("error with a type", Parcel(DatagramKind.ERROR, _CLIENT, 1, "InsufficientFunds", _DIGEST, _pack([12]))),
    (
        "error without a type",
        Parcel(DatagramKind.ERROR, _CLIENT, 1, payload=encode_failure(FailureCode.RAISED, "ValueError", "no", 1_024)),
    ),
    ("prove", Parcel(DatagramKind.PROVE, _CLIENT, 1, payload=_TOKEN)),
]

_WHOLE: Final = encode_parcel(_ASK)
NO_DATAGRAMS: Final = [
    ("empty", b"", "of 0 bytes is no message"),
    ("a header that is cut", _WHOLE[:25], "of 25 bytes is no message"),
    ("another magic", b"xx" + _WHOLE[2:], "no message of version 1"),
    ("another version", _WHOLE[:2] + b"\x02" + _WHOLE[3:], "no message of version 1"),
    ("the kind 0", _WHOLE[:3] + b"\x00" + _WHOLE[4:], "of the kind 0"),
    ("the kind 6", _WHOLE[:3] + b"\x06" + _WHOLE[4:], "of the kind 6"),
    ("a token longer than the rest", _WHOLE[:24] + b"\x40" + _WHOLE[25:], "do not fit"),
    ("a token longer than 64", _WHOLE[:24] + b"\x41" + _WHOLE[25:] + bytes(100), "do not fit"),
    ("a name longer than the rest", _WHOLE[:25] + b"\xc8" + _WHOLE[26:], "do not fit"),
    ("a name longer than 200", _WHOLE[:25] + b"\xc9" + _WHOLE[26:] + bytes(300), "do not fit"),
    ("a name that is no text", _WHOLE[:26] + b"\xff" + _WHOLE[27:], "no UTF-8"),
]


def datagram_vectors() -> dict[str, Any]:
    """Both parts, as they stand in the file."""
    return {
        "datagrams": [_datagram(name, parcel) for name, parcel in DATAGRAMS],
        "no_datagrams": [{"name": name, "hex": data.hex(), "reason": reason} for name, data, reason in NO_DATAGRAMS],
    }


def _datagram(name: str, parcel: Parcel) -> dict[str, Any]:
    return {
        "name": name,
        "hex": encode_parcel(parcel).hex(),
        "kind": parcel.kind.name.lower(),
        "number": parcel.number,
        "type": parcel.name,
        "bytes": {
            "client": parcel.client.hex(),
            "digest": parcel.digest.hex(),
            "payload": parcel.payload.hex(),
            "token": parcel.token.hex(),
        },
    }
