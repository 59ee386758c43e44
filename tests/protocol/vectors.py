"""Writes `docs/reference/protocol-vectors.json`, and what the specification shows of the engine.

Run it after a change of the protocol, from the folder of the project::

    python -m tests.protocol.vectors

`test_vectors.py` reads the file through the engine; `test_documents.py` checks that both are up to date.
"""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import json
import uuid
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.protocol.bad_inputs import BAD_INPUTS
from tests.protocol.datagram_vectors import datagram_vectors
from tests.protocol.pairs import STRICT, frame, heads, payloads
from tests.protocol.sessions import GREETINGS, HELLO, MARKS, NOTE, RESUMING, SESSIONS, WANTING, WELCOME, play
from tomada.protocol import FailureCode, GoodbyeCode, Kind, Role, encode
from tomada.protocol.frames import CONTROL, HEADER_BYTES, METADATA, MORE, NORMAL
from tomada.protocol.handshake import encode_failure, encode_goodbye
from tomada.protocol.metadata import Metadata, Trace, with_metadata
from tomada.protocol.state import drawing

REFERENCE: Final = Path(__file__).parents[2] / "docs" / "reference"
VECTORS: Final = REFERENCE / "protocol-vectors.json"
SPECIFICATION: Final = REFERENCE / "protocol.md"
LONGEST: Final = 6_000
"""Longer inputs are not written down."""
TRACED: Final = Metadata.of(None, None, Trace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "vendor=x"))

_pack: Final = msgspec.msgpack.encode


class Colour(enum.Enum):
    """An enum of text."""

    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    """An enum of numbers."""

    LOW = 1


class Point(msgspec.Struct, array_like=True):
    """A structure that is written as an array."""

    x: int
    y: int = 0


class Options(msgspec.Struct):
    """A structure that is written as a map."""

    deep: bool = False
    name: str = ""


class Circle(msgspec.Struct, array_like=True, tag="circle"):
    """A structure with a tag, as an array."""

    radius: int


class Square(msgspec.Struct, array_like=True, tag="square"):
    """Another one."""

    side: int


class Label(msgspec.Struct, tag=3):
    """A structure with a tag, as a map."""

    text: str


NAMED: Final = {kind.__name__: kind for kind in (Colour, Level, Point, Options, Circle, Square, Label)}
_UTC: Final = dt.UTC
_NAIVE: Final = dt.datetime(2026, 1, 2, 3, 4, 5, 6)  # noqa: DTZ001 - it is about those

VALUES: Final[list[tuple[str, Any]]] = [
    ("None", None),
    ("bool", True),
    ("int", 0),
    ("int", 127),
    ("int", 128),
    ("int", -1),
    ("int", -(2**63)),
    ("int", 2**64 - 1),
    ("float", 1.5),
    ("float", 1.0),
    ("str", "tomada \N{ELECTRIC PLUG}"),
    ("bytes", b"\x00\x01"),
    ("datetime", dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=_UTC)),
    ("datetime", dt.datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=_UTC)),
    ("datetime", dt.datetime(1900, 1, 2, tzinfo=_UTC)),
    ("datetime", _NAIVE),
    ("date", dt.date(2026, 1, 2)),
    ("time", dt.time(1, 2, 3, 4)),
    ("time", dt.time(1, 2, 3, tzinfo=_UTC)),
    ("timedelta", dt.timedelta(days=1, seconds=2, microseconds=3)),
    ("timedelta", -dt.timedelta(seconds=1.5)),
    ("UUID", uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")),
    ("Decimal", decimal.Decimal("1.50")),
    ("Ext", msgspec.msgpack.Ext(5, b"x")),
    ("list[int]", [1, 2]),
    ("set[int]", {1}),
    ("frozenset[str]", frozenset({"a"})),
    ("tuple[int, str]", (1, "a")),
    ("tuple[int, ...]", (1, 2, 3)),
    ("tuple[()]", ()),
    ("dict[str, int]", {"a": 1}),
    ("dict[int, list[str]]", {1: ["a"]}),
    ("dict[UUID, int]", {uuid.UUID(int=1): 1}),
    ("int | None", None),
    ("int | str", "a"),
    ("Literal[1, 'a']", "a"),
    ("Any", [1, "a", None]),
    ("Colour", Colour.BLUE),
    ("Level", Level.LOW),
    ("Point", Point(1)),
    ("list[Point]", [Point(1, 2), Point(3)]),
    ("Options", Options(deep=True)),
    ("Circle", Circle(2)),
    ("Circle | Square", Circle(3)),
    ("Square | None", Square(4)),
    ("Label", Label("a")),
]

ALSO_READ: Final[list[tuple[str, Any, Any]]] = [
    ("float", 1, 1.0),
    ("Decimal", 1.5, decimal.Decimal("1.5")),
    ("Point", [1], Point(1)),
    ("Point", [1, 2, "later"], Point(1, 2)),
    ("Options", {"later": 1, "deep": True}, Options(deep=True)),
    ("set[int]", [1, 1], {1}),
    ("UUID", uuid.UUID(int=5).bytes, uuid.UUID(int=5)),
]

NOT_READ: Final[list[tuple[str, Any]]] = [
    ("int", 1.0),
    ("int", True),
    ("int", "1"),
    ("str", b"a"),
    ("bytes", "a"),
    ("datetime", 5),
    ("timedelta", 1.5),
    ("tuple[int, str]", [1]),
    ("Point", {"x": 1}),
    ("Options", [True]),
    ("Circle | Square", [3]),
    ("Colour", "RED"),
    ("Literal[1, 'a']", "b"),
]

FRAMES: Final[list[tuple[str, bytes]]] = [
    ("hello", frame(Kind.HELLO, encode(HELLO))),
    ("welcome", frame(Kind.WELCOME, encode(WELCOME))),
    ("send", frame(Kind.SEND, _pack(["rent"]), type_=4, sequence=1)),
    ("ask", frame(Kind.ASK, _pack(["ana", "rui", 500]), type_=1, id_=1, sequence=2)),
    ("reply", frame(Kind.REPLY, _pack([7, 9_500]), type_=2, id_=1, sequence=1)),
    ("reply with a plain value", frame(Kind.REPLY, _pack(True), id_=1, sequence=1)),
    ("error with a type", frame(Kind.ERROR, _pack([12]), type_=3, id_=1, sequence=1)),
    (
        "error without a type",
        frame(Kind.ERROR, encode_failure(FailureCode.RAISED, "ValueError", "no", 4_096), id_=1, sequence=0xFFFF_FFFF),
    ),
    (
        "error about a one-way message",
        frame(Kind.ERROR, encode_failure(FailureCode.UNKNOWN_TYPE, "", "nobody", 4_096), sequence=0),
    ),
    ("cancel", frame(Kind.CANCEL, id_=1)),
    ("item", frame(Kind.ITEM, _pack([1, "tick"]), type_=2, id_=1, sequence=1)),
    ("item of bytes, which travel as they are", frame(Kind.ITEM, b"raw", id_=1, sequence=2)),
    ("end", frame(Kind.END, id_=1, sequence=3)),
    ("credit for the lanes", frame(Kind.CREDIT, (2**20).to_bytes(8, "big") + (2**18).to_bytes(8, "big"))),
    ("credit for a stream", frame(Kind.CREDIT, (2**18).to_bytes(8, "big"), id_=1)),
    ("acknowledge", frame(Kind.ACKNOWLEDGE, _pack([[7, []], [0, []]]))),
    ("acknowledge, with exceptions", frame(Kind.ACKNOWLEDGE, _pack([[7, [3, 5]], [2, [1]]]))),
    ("hello that begins a session", frame(Kind.HELLO, encode(WANTING))),
    ("hello that goes on with one", frame(Kind.HELLO, encode(RESUMING))),
    ("ping", frame(Kind.PING, bytes.fromhex("0000000000000001"))),
    ("pong", frame(Kind.PONG, bytes.fromhex("0000000000000001"))),
    ("goodbye", frame(Kind.GOODBYE, encode_goodbye(GoodbyeCode.GOING_AWAY, "restart"))),
    ("declare", frame(Kind.DECLARE, encode((NOTE,)))),
    ("send, the first of its fragments", frame(Kind.SEND, bytes(1_024), flags=NORMAL | MORE, type_=4, sequence=3)),
    ("send, the last of its fragments", frame(Kind.SEND, b"\x00", type_=4, sequence=4)),
    ("send in the urgent lane", frame(Kind.SEND, _pack(["now"]), flags=1, type_=4, sequence=1)),
    (
        "ask with a deadline of 2000 ms",
        frame(
            Kind.ASK, b"\x00\x06\x81\xa1d\xcd\x07\xd0" + _pack([]), flags=NORMAL | METADATA, type_=1, id_=3, sequence=4
        ),
    ),
    (
        "ask with metadata that are passed over",
        frame(Kind.ASK, b"\x00\x04\x81\xa1a\x01" + _pack([]), flags=NORMAL | METADATA, type_=1, id_=3, sequence=5),
    ),
    (
        "send with a trace context",
        frame(Kind.SEND, with_metadata(TRACED, _pack(["now"])), flags=NORMAL | METADATA, type_=4, sequence=6),
    ),
]


def vectors() -> dict[str, Any]:
    """All vectors, as they stand in the file."""
    return {
        "about": "Test vectors of the tomada protocol, version 1. Bytes are hexadecimal. See protocol.md.",
        "frames": [_frame(name, data) for name, data in FRAMES],
        "values": [{"type": kind, "value": _shown(value), "hex": _pack(value).hex()} for kind, value in VALUES],
        "also_read": [
            {"type": kind, "hex": _pack(sent).hex(), "value": _shown(read), "read_as": _pack(read).hex()}
            for kind, sent, read in ALSO_READ
        ],
        "not_read": [{"type": kind, "value": _shown(value), "hex": _pack(value).hex()} for kind, value in NOT_READ],
        "sessions": [_session(name, steps) for name, steps in SESSIONS.items()],
        "limits_of_violations": {
            "frame_bytes": STRICT.frame_bytes,
            "message_bytes": STRICT.message_bytes,
            "requests": STRICT.requests,
            "buffer_bytes": STRICT.buffer_bytes,
            "stream_bytes": STRICT.stream_bytes,
        },
        "violations": [
            {
                "name": bad.name,
                "to": bad.role.value,
                "state": bad.state,
                "hex": bad.data.hex(),
                "goodbye": bad.goodbye and bad.goodbye.value,
                "reason": bad.reason,
            }
            for bad in BAD_INPUTS
            if len(bad.data) <= LONGEST
        ],
        **datagram_vectors(),
    }


def _frame(name: str, data: bytes) -> dict[str, Any]:
    length, kind, flags, type_, id_, sequence = heads(data)[0]
    return {
        "name": name,
        "hex": data.hex(),
        "length": length,
        "kind": kind.name.lower(),
        "lane": ("control", "urgent", "normal")[flags & 3],
        "more": bool(flags & MORE),
        "metadata": bool(flags & METADATA),
        "type": type_,
        "id": id_,
        "sequence": sequence,
        "payload": data[HEADER_BYTES:].hex(),
    }


def _shown(value: Any) -> str:
    return repr(value) if not isinstance(value, msgspec.msgpack.Ext) else f"Ext(code={value.code}, data={value.data!r})"


def _session(name: str, steps: list[list[Any]]) -> dict[str, Any]:
    greetings = {"connecting": GREETINGS.get(name, encode(HELLO).hex()), "accepting": encode(WELCOME).hex()}
    said, ends, told = play(greetings, steps)
    return {
        "name": name,
        "greetings": greetings,
        "steps": [
            {
                "from": speaker,
                "commands": [command for command in commands if command not in MARKS],
                **{mark: mark in commands for mark in MARKS},
                "hex": words,
            }
            for (speaker, *commands), words in zip(steps, said, strict=True)
        ],
        "ends": ends,
        "events": told,
    }


def text() -> str:
    """The content of the file."""
    return json.dumps(vectors(), indent=1, ensure_ascii=True) + "\n"


def example() -> str:
    """The worked example: every frame of the first session."""
    session = vectors()["sessions"][0]
    blocks = []
    for step in session["steps"]:
        data = bytes.fromhex(step["hex"])
        for (length, kind, flags, type_, id_, sequence), payload in zip(heads(data), payloads(data), strict=True):
            lane = "control" if flags == CONTROL else "normal"
            parts = f"length {length}, {kind.name.lower()}, {lane}, type {type_}, id {id_}, sequence {sequence}"
            head = data[:HEADER_BYTES]
            fields = (head[:4], head[4:5], head[5:6], head[6:8], head[8:12], head[12:])
            blocks += [
                f"{step['from']} end: {parts}",
                "  " + " ".join(part.hex() for part in fields),
                *("  " + payload[start : start + 32].hex(" ") for start in range(0, len(payload), 32)),
                "  = " + json.dumps(msgspec.msgpack.decode(payload), default=lambda value: f"bytes {value.hex()}"),
                "",
            ]
    return "```text\n" + "\n".join(blocks[:-1]) + "\n```\n"


def shown() -> dict[str, str]:
    """What the specification shows of the engine, by the name of its place."""
    return {
        "states of the connecting end": f"```mermaid\n{drawing(Role.CONNECTING)}```\n",
        "states of the accepting end": f"```mermaid\n{drawing(Role.ACCEPTING)}```\n",
        "session": example(),
    }


def filled(document: str) -> str:
    """The specification with what it shows of the engine, between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``."""
    for name, part in shown().items():
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        before, _, rest = document.partition(begin)
        document = f"{before}{begin}\n{part}\n{end}{rest.partition(end)[2]}"
    return document


if __name__ == "__main__":
    VECTORS.write_text(text())
    SPECIFICATION.write_text(filled(SPECIFICATION.read_text()))
