"""Whole sessions, said by two real engines; `vectors.py` writes them down for other implementations."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tomada.protocol import (
    Engine,
    FailureCode,
    Field,
    GoodbyeCode,
    Hello,
    PeerLimits,
    Resuming,
    Role,
    Session,
    TypeEntry,
    TypeKind,
    Welcome,
    encode,
)
from tomada.protocol.handshake import SESSION, Position, Positions, Resume

LIMITS: Final = PeerLimits(frame_bytes=1_024, message_bytes=4_096, requests=2)
TRANSFER: Final = TypeEntry(
    "Transfer",
    TypeKind.REQUEST,
    (Field("source", "str"), Field("target", "str"), Field("cents", "int")),
    reply="Receipt",
    digest=bytes.fromhex("0102030405060708"),
    handled=True,
    doc="Move money.",
)
RECEIPT: Final = TypeEntry("Receipt", TypeKind.MESSAGE, (Field("number", "int"), Field("balance", "int", "0")))
POOR: Final = TypeEntry("InsufficientFunds", TypeKind.ERROR, (Field("balance", "int"),))
NOTE: Final = TypeEntry("Note", TypeKind.MESSAGE, (Field("text", "str"),))
HELLO: Final = Hello(software="example client", limits=LIMITS, catalogue=(TRANSFER, RECEIPT))
WANTING: Final = Hello(software="example client", limits=LIMITS, catalogue=(TRANSFER, RECEIPT), features=(SESSION,))
SESSION_ID: Final = bytes(range(16))
TOKEN: Final = bytes(range(32))
_BEGUN: Final = Session(SESSION_ID, TOKEN, 0, 120.0)
RESUMING: Final = Hello(
    software="example client",
    limits=LIMITS,
    features=(SESSION,),
    session=Resume(SESSION_ID, TOKEN, 0, 1, Positions(3, Position(1, (), 2), Position(0, (), 1))),
)
WELCOME: Final = Welcome(software="example server", limits=LIMITS, catalogue=(TRANSFER, RECEIPT, POOR))

Command = list[Any]
"""The name of a method of the engine, and what it takes; bytes as hex."""


def perform(end: Engine, command: Command) -> None:
    """Let an end say something."""
    name, *arguments = command
    match name:
        case "ask":
            end.ask(arguments[0], bytes.fromhex(arguments[1]), "tag", *arguments[2:])
        case "send" | "reply" | "fail":
            getattr(end, name)(*arguments[:-1], bytes.fromhex(arguments[-1]))
        case "refuse":
            end.refuse(arguments[0], FailureCode(arguments[1]), *arguments[2:])
        case "cancel":
            end.cancel(*arguments)
        case "declare":
            end.declare(msgspec.msgpack.decode(bytes.fromhex(arguments[0]), type=tuple[TypeEntry, ...]))
        case "ping":
            end.ping(bytes.fromhex(arguments[0]))
        case "leave":
            end.leave(GoodbyeCode(arguments[0]), *arguments[1:])
        case _:
            _perform_more(end, name, arguments)


def _perform_more(end: Engine, name: str, arguments: list[Any]) -> None:
    """What is about streams and sessions."""
    match name:
        case "urgent":
            end.send(arguments[0], bytes.fromhex(arguments[1]), True)
        case "item":
            end.item(arguments[0], arguments[1], bytes.fromhex(arguments[2]))
        case "end":
            end.end(*arguments)
        case "consumed":
            end.consume(*arguments)
        case "handled":
            end.report(at_once=True)
        case "lose":
            if end.can_resume:
                end.lose("the connection was lost")
        case "resume":
            if arguments:
                assert end.session is not None
                end.session = Session(end.session.id, bytes.fromhex(arguments[0]), 0, 1.0)
            end.hello(0.0)


def new_end(role: Role, greeting: str) -> Engine:
    """An end with the payload of its greeting as hex."""
    payload = bytes.fromhex(greeting)
    kind: type[Hello | Welcome] = Hello if role is Role.CONNECTING else Welcome
    end = Engine(role, msgspec.msgpack.decode(payload, type=kind), 0.0, encoded_greeting=payload)
    end.admission = _Room() if role is Role.ACCEPTING else None
    return end


class _Room:
    def admit(self) -> tuple[GoodbyeCode, str] | None:
        return None

    def session(self) -> Session | None:
        return _BEGUN


def _packed(*values: Any) -> str:
    return msgspec.msgpack.encode(values).hex()


_C, _A = Role.CONNECTING.value, Role.ACCEPTING.value
_ASK: Final = [_C, ["ask", 1, _packed("ana", "rui", 500)]]
_BYE: Final = ["leave", "closed", ""]

SESSIONS: Final[dict[str, list[list[Any]]]] = {
    "a request and its answer": [
        [_C],
        [_A],
        _ASK,
        [_A, ["reply", 1, 2, _packed(7, 9_500)]],
        [_C, ["leave", "closed", "done"]],
        [_A, _BYE],
    ],
    "an error with fields": [[_C], [_A], _ASK, [_A, ["fail", 1, 3, _packed(12)]], [_A, _BYE], [_C, _BYE]],
    "a failure in the protocol's words": [
        [_C],
        [_A],
        _ASK,
        [_A, ["refuse", 1, "raised", "ValueError", "no such account"]],
    ],
    "a plain reply, of type 0": [[_C], [_A], _ASK, [_A, ["reply", 1, 0, "c3"]]],
    "the accepting end asks": [
        [_C],
        [_A],
        [_A, ["ask", 1, _packed("rui", "ana", 1)]],
        [_C, ["reply", 2, 2, _packed(8)]],
    ],
    "requests answered in another order": [
        [_C],
        [_A],
        [_C, ["ask", 1, _packed("a", "b", 1)], ["ask", 1, _packed("b", "a", 2)]],
        [_A, ["reply", 3, 2, _packed(2)], ["reply", 1, 2, _packed(1)]],
        [_C, ["ask", 1, _packed("a", "b", 3)]],
    ],
    "a one-way message that is refused": [
        [_C],
        [_A],
        [_C, ["declare", encode((NOTE,)).hex()], ["send", 3, _packed("rent")]],
        [_A, ["refuse", 0, "unknown type", "", "nobody handles Note here"]],
    ],
    "a message in fragments": [[_C], [_A], [_C, ["send", 2, _packed("x" * 2_500)], ["ping", "01"]], [_A]],
    "a ping": [[_C], [_A], [_C, ["ping", "0000000000000001"]], [_A]],
    "a cancelled request": [[_C], [_A], _ASK, [_C, ["cancel", 1]], [_A, ["refuse", 1, "cancelled", "", "cancelled"]]],
    "a request with a deadline": [
        [_C],
        [_A],
        [_C, ["ask", 1, _packed("ana", "rui", 500), 2_000]],
        [_A, ["refuse", 1, "deadline", "", "no reply within 2 s"]],
    ],
    "a request with a deadline, in fragments": [
        [_C],
        [_A],
        [_C, ["ask", 1, _packed("x" * 2_500, "rui", 500), 2_000]],
        [_A, ["reply", 1, 2, _packed(7, 9_500)]],
    ],
    "a cancel that crosses the answer": [
        [_C],
        [_A],
        _ASK,
        [_A, ["reply", 1, 2, _packed(7)], "crossing"],
        [_C, ["cancel", 1]],
    ],
    "goodbyes that cross": [[_C], [_A], [_C, _BYE, "crossing"], [_A, ["leave", "going away", "restart"]]],
    "a request that crosses a goodbye": [
        [_C],
        [_A],
        [_A, _BYE, "crossing"],
        _ASK,
        [_A, ["reply", 1, 2, _packed(7)]],
        [_C, _BYE],
    ],
    "what is under way is finished": [[_C], [_A], _ASK, [_C, _BYE], [_A, ["reply", 1, 2, _packed(7)], _BYE]],
    "no version in common": [[_C], [_A]],
    "what is urgent overtakes": [
        [_C],
        [_A],
        [_C, ["send", 2, _packed(1)], ["urgent", 2, _packed(2)], ["ping", "01"]],
        [_A],
    ],
    "a stream of items, and its credit": [
        [_C],
        [_A],
        _ASK,
        [_A, ["item", 1, 2, _packed(1)], ["item", 1, 2, _packed("x" * 1_000)]],
        [_C, ["consumed", 1, 2], ["consumed", 1, 1_004]],
        [_A, ["item", 1, 2, _packed(3)], ["end", 1]],
    ],
    "a stream of parts": [
        [_C],
        [_A],
        [_C, ["ask", 1, _packed("ana", "rui", 500)], ["item", 1, 0, "01"], ["item", 1, 0, "0203"], ["end", 1]],
        [_A, ["reply", 1, 2, _packed(7)]],
    ],
    "a session that goes on": [
        [_C],
        [_A],
        [_C, ["send", 2, _packed(1)]],
        [_A, ["handled"], ["send", 2, _packed(2)]],
        [_C, ["declare", encode((NOTE,)).hex()], ["send", 3, _packed("lost")], ["urgent", 3, _packed("too")], "lost"],
        [_A, ["send", 2, _packed(3)], "lost"],
        [_C, ["lose"]],
        [_A, ["lose"]],
        [_C, ["resume"]],
        [_A],
        [_C],
        [_A, ["handled"]],
    ],
    "a session whose token is wrong": [
        [_C],
        [_A],
        [_C, ["lose"]],
        [_A, ["lose"]],
        [_C, ["resume", "ff" * 32]],
        [_A],
        [_C],
    ],
}
"""Steps: who speaks, what it is told to say, and whether that is still on its way when the next step is said."""

GREETINGS: Final = {
    "no version in common": encode(Hello(version=3, oldest_version=2, software="from tomorrow")).hex(),
    "a session that goes on": encode(WANTING).hex(),
    "a session whose token is wrong": encode(WANTING).hex(),
}
"""Of the connecting end, where it is not `HELLO`."""


MARKS: Final = ("crossing", "lost")
"""What becomes of the words of a step: they arrive after those of the next one; or never."""


def _go_on(ends: dict[str, Engine], event: Resuming) -> None:
    """What the accepting program does with a hello that goes on with a session."""
    caller, asked = ends[_A], event.hello.session
    assert asked is not None
    if asked.token == TOKEN:
        ends[_A] = ends["kept"]
        ends[_A].resume(asked, 0.0)
    else:
        caller.refuse_session("there is no such session here: it has ended, or never was")


def play(greetings: dict[str, str], steps: list[list[Any]]) -> tuple[list[str], dict[str, str], dict[str, list[str]]]:
    """What is said in each step as hex, the last state of each end, and the names of what each was told."""
    ends = {role.value: new_end(role, greetings[role.value]) for role in Role}
    said = []
    told: dict[str, list[str]] = {_C: [], _A: []}
    under_way: list[tuple[str, bytes]] = []
    for speaker, *commands in steps:
        for command in commands:
            if command not in MARKS:
                perform(ends[speaker], command)
        if speaker == _A and ["lose"] in commands:
            ends["kept"], ends[_A] = ends[_A], new_end(Role.ACCEPTING, greetings[_A])
        data = bytes(ends[speaker].take())
        said.append(data.hex())
        if "lost" in commands:
            continue
        under_way.append((_A if speaker == _C else _C, data))
        if "crossing" not in commands:
            for listener, words in under_way:
                events = ends[listener].receive(words, 0.0)
                told[listener] += [type(event).__name__ for event in events]
                for event in events:
                    if isinstance(event, Resuming):
                        _go_on(ends, event)
            under_way.clear()
    return said, {role.value: ends[role.value].state.value for role in Role}, told
