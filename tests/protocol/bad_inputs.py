"""What must end a connection, one case after the other; `vectors.py` writes them down for other implementations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from tests.protocol.bad_sessions import bad_sessions
from tests.protocol.pairs import frame
from tomada.protocol import GoodbyeCode, Kind, Role
from tomada.protocol.frames import METADATA, MORE, NORMAL

encode: Final = msgspec.msgpack.encode
ACCEPTING: Final = Role.ACCEPTING
CONNECTING: Final = Role.CONNECTING
VIOLATION: Final = GoodbyeCode.VIOLATION
URGENT: Final = 1
_LIMITS: Final = [65_536, 16_777_216, 4_096]
_KILO: Final = bytes(1_024)


@dataclass
class Bad:
    """Bytes that break the protocol.

    Args:
        name: In a few words, what is wrong.
        role: Of the end that receives them.
        state: Of that end before they come, as `pairs.prepared` names it.
        data: The bytes.
        goodbye: What the peer is told; None: nothing.
        reason: Words of the reason.
    """

    name: str
    role: Role
    state: str
    data: bytes
    goodbye: GoodbyeCode | None
    reason: str


def hello(magic: Any = "tomada", newest: Any = 1, oldest: Any = 1, *more: Any) -> bytes:
    """A hello frame with these fields."""
    return frame(Kind.HELLO, encode([magic, newest, oldest, *more]))


def _beginnings() -> list[Bad]:
    """What is no hello: the peer has not shown that it speaks tomada, and is told nothing."""
    deep = b"\x9a" + encode(["tomada", 1, 1, "", _LIMITS, [], [], None, None])[1:] + b"\x91" * 60_000
    cases: list[tuple[str, bytes, str]] = [
        ("an HTTP request", b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", "an HTTP request"),
        ("another HTTP request", b"OPTIONS * HTTP/1.1\r\n\r\n", "an HTTP request"),
        ("the beginning of an HTTP request", b"POST /", "an HTTP request"),
        ("a TLS hello", bytes.fromhex("1603010200010001fc0303") + bytes(21), "a TLS hello"),
        ("a TLS hello of 257 bytes", bytes.fromhex("16030101010100") + bytes(21), "a TLS hello"),
        ("an SSH banner", b"SSH-2.0-OpenSSH_9.6\r\n", "an SSH banner"),
        ("noise", bytes.fromhex("9f3be05c77a1d2034e8891fa60c7b51d22"), "what begins with"),
        ("zeros", bytes(64), "what begins with"),
        ("a welcome to the accepting end", frame(Kind.WELCOME, b"\x90"), "does not speak tomada"),
        ("a goodbye before the hello", frame(Kind.GOODBYE, encode(["closed", ""])), "does not speak tomada"),
        ("a request before the hello", frame(Kind.ASK, b"\x90", type_=1, id_=1), "does not speak tomada"),
        ("a hello longer than 65536 bytes, its header alone", frame(Kind.HELLO, length=65_537), "at most 65536"),
        ("a hello of 4294967295 bytes, its header alone", frame(Kind.HELLO, length=0xFFFF_FFFF), "at most 65536"),
        ("a hello in the normal lane", frame(Kind.HELLO, b"\x90", flags=NORMAL), "lane and flags 0x02"),
        ("a hello with a sequence", frame(Kind.HELLO, b"\x90", sequence=1), "sequence 1"),
    ]
    told: list[tuple[str, bytes, str]] = [
        ("a hello without payload", frame(Kind.HELLO), "cannot be read"),
        ("a hello that is no array", frame(Kind.HELLO, encode({"magic": "tomada"})), "cannot be read"),
        ("a hello that is no MessagePack", frame(Kind.HELLO, b"\xc1"), "cannot be read"),
        ("a hello that is cut", frame(Kind.HELLO, b"\x99\xa6toma"), "cannot be read"),
        ("a hello with bytes after its end", frame(Kind.HELLO, b"\x90\x90"), "cannot be read"),
        ("a hello whose text is no UTF-8", frame(Kind.HELLO, b"\x91\xa2\xff\xfe"), "cannot be read"),
        ("a hello nested 60000 deep", frame(Kind.HELLO, deep), "cannot be read"),
        ("a hello of 4294967295 elements", frame(Kind.HELLO, b"\xdd\xff\xff\xff\xff"), "cannot be read"),
        ("a version that is text", hello("tomada", "1"), "cannot be read"),
        ("a frame limit under 1024", hello("tomada", 1, 1, "", [1_023]), "cannot be read"),
        ("a limit of no requests", hello("tomada", 1, 1, "", [1_024, 1_024, 0]), "cannot be read"),
        ("a type without a name", hello("tomada", 1, 1, "", _LIMITS, [["", "message"]]), "cannot be read"),
        ("a type of unknown kind", hello("tomada", 1, 1, "", _LIMITS, [["Note", "thing"]]), "cannot be read"),
        ("a catalogue that is a map", hello("tomada", 1, 1, "", _LIMITS, {}), "cannot be read"),
    ]
    none_in_common: list[tuple[str, bytes, str]] = [
        ("another magic", hello("socket"), "does not speak tomada"),
        ("only newer versions", hello("tomada", 9, 2), "versions 2 to 9"),
        ("only older versions", hello("tomada", 0, 0), "versions 0 to 0"),
        ("versions upside down", hello("tomada", 0, 2), "versions 2 to 0"),
    ]
    return [
        *(Bad(name, ACCEPTING, "starting", data, None, reason) for name, data, reason in cases),
        *(Bad(name, ACCEPTING, "starting", data, VIOLATION, reason) for name, data, reason in told),
        *(Bad(name, ACCEPTING, "starting", data, GoodbyeCode.VERSION, reason) for name, data, reason in none_in_common),
    ]


def _answers_to_hello() -> list[Bad]:
    """What is no welcome: the connecting end has said hello, and says goodbye."""
    version, violation = GoodbyeCode.VERSION, VIOLATION
    cases: list[tuple[str, bytes, GoodbyeCode, str]] = [
        ("an HTTP answer", b"HTTP/1.1 400 Bad Request\r\n\r\n", violation, "an HTTP answer"),
        ("a TLS alert", bytes.fromhex("1503010002020a"), violation, "use a tls:// address"),
        ("the greeting of a mail server", b"220 mail.example.org ESMTP\r\n", violation, "mail or FTP"),
        ("a hello to the connecting end", hello(), violation, "does not speak tomada"),
        ("a message before the welcome", frame(Kind.SEND, b"\x90", type_=1), violation, "does not speak tomada"),
        ("a welcome too long, its header alone", frame(Kind.WELCOME, length=1_048_577), violation, "at most 1048576"),
        ("a welcome that is cut", frame(Kind.WELCOME, b"\x97"), violation, "cannot be read"),
        ("a welcome of another magic", frame(Kind.WELCOME, encode(["socket", 1])), version, "does not speak tomada"),
        ("a welcome of another version", frame(Kind.WELCOME, encode(["tomada", 2])), version, "versions 2 to 2"),
        ("a refusal that cannot be read", frame(Kind.GOODBYE, b"\x90"), violation, "goodbye cannot be read"),
        ("a refusal too long", frame(Kind.GOODBYE, length=4_097), violation, "at most 4096"),
    ]
    return [Bad(name, CONNECTING, "greeted", data, code, reason) for name, data, code, reason in cases]


def _frames() -> list[Bad]:
    """Single frames that an open connection does not take."""
    cases: list[tuple[str, bytes, str]] = [
        ("a second hello", hello(), "kind hello is not allowed while open"),
        ("a welcome while open", frame(Kind.WELCOME, b"\x90"), "kind welcome is not allowed while open"),
        *((f"the unknown kind {kind}", frame(kind), f"kind {kind} is not allowed") for kind in (0, 16, 255)),
        ("an unknown flag", frame(Kind.SEND, b"\x90", flags=NORMAL | 0x10, type_=1), "lane and flags 0x12"),
        ("a message in lane 3", frame(Kind.SEND, b"\x90", flags=3, type_=1), "lane and flags 0x03"),
        ("a message in the control lane", frame(Kind.SEND, b"\x90", flags=0, sequence=0), "lane and flags 0x00"),
        ("a ping in the normal lane", frame(Kind.PING, flags=NORMAL, sequence=1), "lane and flags 0x02"),
        ("a ping in lane 3", frame(Kind.PING, flags=3, sequence=1), "lane and flags 0x03"),
        ("a goodbye in the urgent lane", frame(Kind.GOODBYE, b"\x90", flags=1, sequence=1), "lane and flags 0x01"),
        ("a ping in fragments", frame(Kind.PING, _KILO, flags=MORE), "lane and flags 0x04"),
        ("a ping with a sequence", frame(Kind.PING, sequence=1), "sequence 1, it must be 0"),
        ("a ping too long, its header alone", frame(Kind.PING, length=4_097), "at most 4096"),
        ("a message frame too long, its header alone", frame(Kind.SEND, length=2_049), "at most 2048"),
        ("a message frame too long, all of it", frame(Kind.SEND, bytes(2_049)), "at most 2048"),
        ("a message frame of 4294967295 bytes", frame(Kind.SEND, length=0xFFFF_FFFF), "at most 2048"),
        ("a gap in the sequence", frame(Kind.SEND, b"\x90", sequence=2), "sequence 2 came in the normal lane where 1"),
        (
            "a gap of half of all sequences",
            frame(Kind.SEND, b"\x90", sequence=0x8000_0001),
            "sequence 2147483649 came in the normal lane where 1",
        ),
        (
            "a gap in the urgent lane",
            frame(Kind.SEND, b"\x90", flags=URGENT) + frame(Kind.SEND, b"\x90", flags=URGENT, sequence=3),
            "sequence 3 came in the urgent lane where 2",
        ),
        ("a one-way message with an id", frame(Kind.SEND, b"\x90", id_=1), "request id 1, it must be 0"),
        ("a declaration that cannot be read", frame(Kind.DECLARE, b"\x91\xc0"), "declaration of types cannot be read"),
        ("a declaration too long", frame(Kind.DECLARE, length=262_145), "at most 262144"),
        ("a goodbye that cannot be read", frame(Kind.GOODBYE, b"\xc0"), "goodbye cannot be read"),
        ("a goodbye of an unknown code", frame(Kind.GOODBYE, encode(["bored", ""])), "goodbye cannot be read"),
    ]
    return [Bad(name, ACCEPTING, "open", data, VIOLATION, reason) for name, data, reason in cases]


def _cancel(id_: int, sequence: int = 1) -> bytes:
    return frame(Kind.CANCEL, id_=id_, sequence=sequence)


def _requests() -> list[Bad]:
    def ask(id_: int, sequence: int = 1) -> bytes:
        return frame(Kind.ASK, b"\x90", type_=1, id_=id_, sequence=sequence)

    def reply(id_: int, sequence: int = 1, kind: Kind = Kind.REPLY) -> bytes:
        return frame(kind, b"\x90", type_=1, id_=id_, sequence=sequence)

    cases: list[tuple[str, Role, str, bytes, str]] = [
        ("an even id of the connecting end", ACCEPTING, "open", ask(2), "the peer's ids are odd"),
        ("a request with the id 0", ACCEPTING, "open", ask(0), "the peer's ids are odd"),
        ("an odd id of the accepting end", CONNECTING, "open", ask(1), "the peer's ids are even and not 0"),
        ("a request with the id 0 from the accepting end", CONNECTING, "open", ask(0), "even and not 0"),
        ("an id used again before its answer", ACCEPTING, "open", ask(1) + ask(1, 2), "used again before its answer"),
        ("too many requests", ACCEPTING, "open", ask(1) + ask(3, 2) + ask(5, 3), "more than 2 requests are open"),
        (
            "cancelled requests hold their places",
            ACCEPTING,
            "open",
            ask(1) + _cancel(1, 2) + ask(3, 3) + _cancel(3, 4) + ask(5, 5),
            "more than 2 requests are open",
        ),
        ("a reply with the id 0 to the accepting end", ACCEPTING, "open", reply(0), "request 0, which nobody asked"),
        ("a reply that nobody asked for", CONNECTING, "open", reply(1), "request 1, which nobody asked"),
        ("an error that nobody asked for", CONNECTING, "open", reply(1, kind=Kind.ERROR), "request 1, which nobody"),
        ("a reply with the id 0", CONNECTING, "asked", reply(0), "request 0, which nobody asked"),
        ("a reply to the peer's own id", CONNECTING, "asked", reply(2), "request 2, which nobody asked"),
        ("a second reply", CONNECTING, "asked", reply(1) + reply(1, 2), "request 1, which nobody asked"),
        (
            "a reply after an error",
            CONNECTING,
            "asked",
            reply(1, 1, Kind.ERROR) + reply(1, 2),
            "request 1, which nobody",
        ),
    ]
    return [Bad(name, role, state, data, VIOLATION, reason) for name, role, state, data, reason in cases]


def _metadata() -> list[tuple[str, bytes, str]]:
    """Metadata that cannot be read, before an empty request."""
    cases: list[tuple[str, bytes]] = [
        ("of no bytes", b""),
        ("that are an array", encode([])),
        ("that are cut", b"\x81\xa1"),
        ("with bytes after their end", b"\x80\x80"),
        ("with a number as key", encode({1: 2})),
        ("of 4294967295 entries", b"\xdf\xff\xff\xff\xff"),
        ("with a negative deadline", encode({"d": -1})),
        ("with a deadline that is text", encode({"d": "1"})),
        ("with a deadline that is a float", encode({"d": 1.5})),
        ("with a deadline that is true", encode({"d": True})),
    ]
    return [
        (
            f"metadata {name}",
            _asking_with(len(metadata).to_bytes(2, "big") + metadata + b"\x90"),
            "the metadata cannot be read",
        )
        for name, metadata in cases
    ]


def _asking_with(payload: bytes) -> bytes:
    return frame(Kind.ASK, payload, flags=NORMAL | METADATA, type_=1, id_=1)


def _fragments() -> list[Bad]:
    def part(payload: bytes, sequence: int, flags: int = NORMAL | MORE, **header: Any) -> bytes:
        return frame(Kind.SEND, payload, flags=flags, sequence=sequence, **header)

    between = "in the middle of another"
    asked = frame(Kind.ASK, b"\x90", id_=1, sequence=2)
    cases: list[tuple[str, bytes, str]] = [
        ("crumbs", part(bytes(1_023), 1), "1023 bytes long, at least 1024"),
        ("an empty fragment", part(b"", 1), "0 bytes long, at least 1024"),
        ("a fragment of another type", part(_KILO, 1, type_=1) + part(b"", 2, NORMAL, type_=2), between),
        ("a message of another kind between fragments", part(_KILO, 1) + asked, between),
        ("metadata on the second fragment only", part(_KILO, 1) + part(b"", 2, NORMAL | METADATA), between),
        ("endless fragments", b"".join(part(_KILO, n) for n in range(1, 6)), "longer than 4096 bytes"),
        (
            "a last fragment that is too much",
            b"".join(part(_KILO, n) for n in range(1, 5)) + part(b"x", 5, NORMAL),
            "longer than 4096 bytes",
        ),
        (
            "a gap between fragments",
            part(_KILO, 1) + part(b"", 3, NORMAL),
            "sequence 3 came in the normal lane where 2",
        ),
        ("metadata longer than the message", part(b"\x00\x02\x80", 1, NORMAL | METADATA), "metadata are longer"),
        *_metadata(),
        ("metadata without a length", part(b"\x00", 1, NORMAL | METADATA), "metadata are longer"),
        (
            "metadata on a reply",
            frame(Kind.REPLY, b"\x00\x00", flags=NORMAL | METADATA, id_=2),
            "kind reply does not carry the lane and flags 0x0a",
        ),
    ]
    return [Bad(name, ACCEPTING, "open", data, VIOLATION, reason) for name, data, reason in cases]


def _partings() -> list[Bad]:
    """After a goodbye. An end that has said its own says no second one, whatever comes."""
    goodbye = frame(Kind.GOODBYE, encode(["closed", ""]))
    cases: list[tuple[str, Role, str, bytes, GoodbyeCode | None, str]] = [
        ("a second goodbye", ACCEPTING, "left", goodbye, VIOLATION, "kind goodbye is not allowed while left"),
        ("a request after the goodbye", ACCEPTING, "left", frame(Kind.ASK, id_=1), VIOLATION, "not allowed while left"),
        ("a message after the goodbye", CONNECTING, "left", frame(Kind.SEND), VIOLATION, "not allowed while left"),
        ("a second hello while leaving", ACCEPTING, "leaving", hello(), None, "not allowed while leaving"),
        ("an unknown kind while leaving", CONNECTING, "leaving", frame(99), None, "99 is not allowed while leaving"),
    ]
    return [Bad(*case) for case in cases]


BAD_INPUTS: Final = [
    *_beginnings(),
    *_answers_to_hello(),
    *_frames(),
    *_requests(),
    *_fragments(),
    *_partings(),
    *bad_sessions(Bad),
]
