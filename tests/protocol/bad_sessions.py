"""What must end a connection that has a session, or streams: as `bad_inputs.py`, of which it is a part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from tests.protocol.pairs import frame
from tomada.protocol import GoodbyeCode, Kind, Role
from tomada.protocol.frames import MORE, NORMAL

if TYPE_CHECKING:
    from tests.protocol.bad_inputs import Bad

encode: Final = msgspec.msgpack.encode
URGENT: Final = 1
_FULL: Final = bytes(2_048)


def _send(sequence: int, payload: bytes = _FULL, flags: int = NORMAL) -> bytes:
    return frame(Kind.SEND, payload, flags=flags, type_=1, sequence=sequence)


def _credit(*offsets: int, id_: int = 0) -> bytes:
    return frame(Kind.CREDIT, b"".join(offset.to_bytes(8, "big") for offset in offsets), id_=id_)


def _handled(normal: Any, urgent: Any = (0, ())) -> bytes:
    return frame(Kind.ACKNOWLEDGE, encode([normal, urgent]))


def _item(id_: int, sequence: int, payload: bytes = b"\x90") -> bytes:
    return frame(Kind.ITEM, payload, type_=1, id_=id_, sequence=sequence)


def _resume(*changes: Any) -> bytes:
    session = [bytes(16), bytes(32), 0, 1, [0, [0, [], 1], [0, [], 1]]]
    session[: len(changes)] = changes
    return frame(Kind.HELLO, encode(["tomada", 1, 1, "", [], [], ["session"], None, session]))


_CREDITS: Final[list[tuple[str, str, bytes, str]]] = [
    ("a message beyond the credit", "open", b"".join(_send(n) for n in (1, 2, 3)), "begun at 4128 bytes, the credit"),
    (
        "an urgent message beyond the credit",
        "open",
        b"".join(_send(n, bytes(600), URGENT) for n in (1, 2, 3)),
        "begun at 1232 bytes, the credit is 1024",
    ),
    (
        "a fragmented message beyond the credit",
        "open",
        _send(1) + _send(2) + _send(3, flags=NORMAL | MORE),
        "begun at 4128 bytes, the credit is 4096",
    ),
    ("credit that shrinks", "open", _credit(5_000, 2_000) + _credit(4_999, 2_000), "shrinks from 5000 to 4999"),
    ("urgent credit that shrinks", "open", _credit(4_096, 1_023), "shrinks from 1024 to 1023"),
    ("credit without offsets", "open", frame(Kind.CREDIT), "a credit has 0 bytes, it must have 16"),
    ("credit for one lane", "open", _credit(5_000), "a credit has 8 bytes, it must have 16"),
    ("credit for a stream of two lanes", "open", _credit(1, 2, id_=1), "a credit has 16 bytes, it must have 8"),
    (
        "credit for a stream that shrinks",
        "streaming",
        _credit(2_000, id_=1) + _credit(1_999, id_=1),
        "the credit of request 1 shrinks from 2000 to 1999",
    ),
    ("credit in the normal lane", "open", frame(Kind.CREDIT, bytes(16), flags=NORMAL), "lane and flags 0x02"),
    ("credit too long, its header alone", "open", frame(Kind.CREDIT, length=4_097), "at most 4096"),
]

_ACKNOWLEDGEMENTS: Final[list[tuple[str, str, bytes, str]]] = [
    ("an acknowledgement without a session", "open", _handled((0, ())), "in a connection without a session"),
    ("an acknowledgement of what was never sent", "session", _handled((2, ())), "sequence 2 was acknowledged, 1 is"),
    (
        "an acknowledgement of what was never sent in the urgent lane",
        "session",
        _handled((1, ()), (1, ())),
        "sequence 1 was acknowledged, 0 is",
    ),
    (
        "an acknowledgement that goes back",
        "session",
        _handled((1, ())) + _handled((0, ())),
        "sequence 0 was acknowledged after 1",
    ),
    ("an exception beyond the acknowledgement", "session", _handled((0, (1,))), "later than what it acknowledges"),
    ("an acknowledgement that is no array", "session", frame(Kind.ACKNOWLEDGE, b"\xc0"), "cannot be read"),
    ("an acknowledgement of one lane", "session", frame(Kind.ACKNOWLEDGE, encode([[0, []]])), "cannot be read"),
    ("an acknowledgement of a negative sequence", "session", _handled((-1, ())), "cannot be read"),
    ("an acknowledgement beyond 32 bits", "session", _handled((2**32, ())), "cannot be read"),
    ("too many exceptions", "session", _handled((1, (1,) * 1_001)), "cannot be read"),
    (
        "an acknowledgement too long, its header alone",
        "session",
        frame(Kind.ACKNOWLEDGE, length=16_385),
        "at most 16384",
    ),
]

_STREAMS: Final[list[tuple[str, str, bytes, str]]] = [
    (
        "an item beyond the credit of its stream",
        "asked",
        _item(2, 1, bytes(1_100)) + _item(2, 2),
        "an item of request 2 came beyond its credit of 1024 bytes",
    ),
    ("an item that nobody asked for", "open", _item(2, 1), "request 2, which nobody asked"),
    ("an item without a request", "open", _item(0, 1), "a frame of kind item carries no request id"),
    ("an item after the answer", "asked", frame(Kind.END, id_=2) + _item(2, 2), "request 2, which nobody asked"),
    ("an end that nobody asked for", "open", frame(Kind.END, id_=2), "request 2, which nobody asked"),
    ("an end without a request", "open", frame(Kind.END), "request 0, which nobody asked"),
    ("an end with a payload", "asked", frame(Kind.END, b"\x90", id_=2), "kind end is 1 bytes long, at most 0"),
    ("a cancel of this end's own request", "asked", frame(Kind.CANCEL, id_=2), "gives up request 2, which is not"),
    ("a cancel without a request", "open", frame(Kind.CANCEL), "a frame of kind cancel carries no request id"),
    ("a cancel with a payload", "open", frame(Kind.CANCEL, b"\x90", id_=1), "kind cancel is 1 bytes long"),
    ("a cancel in the control lane", "open", frame(Kind.CANCEL, flags=0, sequence=0, id_=1), "lane and flags 0x00"),
]

_HELLOS: Final[list[tuple[str, bytes]]] = [
    ("a session that is text", _resume("x")),
    ("a session with an id of 65 bytes", _resume(bytes(65))),
    ("a session with a token of 65 bytes", _resume(bytes(16), bytes(65))),
    ("a session of a negative epoch", _resume(bytes(16), bytes(32), -1)),
    ("a session of attempt 0", _resume(bytes(16), bytes(32), 0, 0)),
    ("a session without positions", _resume(bytes(16), bytes(32), 0, 1, None)),
    ("a session at a sequence beyond 32 bits", _resume(bytes(16), bytes(32), 0, 1, [0, [2**32, [], 1], [0, [], 1]])),
]

_WELCOMES: Final[list[tuple[str, Any, GoodbyeCode, str]]] = [
    ("a welcome without the session", None, GoodbyeCode.SESSION_LOST, "the peer does not go on with the session"),
    (
        "a welcome to another session",
        [b"another", bytes(32), 1, 1, [0, [0, [], 1], [0, [], 1]]],
        GoodbyeCode.SESSION_LOST,
        "the peer does not go on with the session",
    ),
    (
        "a welcome without positions",
        [b"the session here", bytes(range(32)), 1, 1],
        GoodbyeCode.SESSION_LOST,
        "the peer does not go on with the session",
    ),
    (
        "a welcome from beyond what was sent",
        [b"the session here", bytes(range(32)), 1, 1, [0, [2, [], 1], [0, [], 1]]],
        GoodbyeCode.SESSION_LOST,
        "received up to 2, which this end cannot go on from",
    ),
    (
        "a welcome that can send nothing of what is lacked",
        [b"the session here", bytes(range(32)), 1, 1, [0, [1, [], 9], [0, [], 1]]],
        GoodbyeCode.SESSION_LOST,
        "the peer can send again from 9, this end lacks 1",
    ),
    (
        "a welcome that knows types that were never told",
        [b"the session here", bytes(range(32)), 1, 1, [5, [1, [], 1], [0, [], 1]]],
        GoodbyeCode.SESSION_LOST,
        "knows 5 types of this end",
    ),
    (
        "a welcome that lacks more than can be said",
        [b"the session here", bytes(range(32)), 1, 1, [0, [1, [1] * 65_537, 1], [0, [], 1]]],
        GoodbyeCode.VIOLATION,
        "cannot be read",
    ),
    ("a welcome whose session is text", "x", GoodbyeCode.VIOLATION, "cannot be read"),
]


def bad_sessions(kind: type[Bad]) -> list[Bad]:
    """All of them."""
    accepting, connecting, violation = Role.ACCEPTING, Role.CONNECTING, GoodbyeCode.VIOLATION
    return [
        *(kind(name, accepting, state, data, violation, reason) for name, state, data, reason in _CREDITS),
        *(kind(name, accepting, state, data, violation, reason) for name, state, data, reason in _ACKNOWLEDGEMENTS),
        *(kind(name, accepting, state, data, violation, reason) for name, state, data, reason in _STREAMS),
        *(kind(name, accepting, "starting", data, violation, "cannot be read") for name, data in _HELLOS),
        kind(
            "a frame behind a hello that goes on with a session",
            accepting,
            "starting",
            _resume() + frame(Kind.CREDIT, bytes(16)),
            violation,
            "does not speak tomada",
        ),
        *(
            kind(
                name,
                connecting,
                "resuming",
                frame(Kind.WELCOME, encode(["tomada", 1, "", [], [], [], session])),
                code,
                reason,
            )
            for name, session, code, reason in _WELCOMES
        ),
    ]
