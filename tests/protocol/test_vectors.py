"""The test vectors that the specification publishes, read through the engine."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tests.protocol.pairs import cut_at, feed, heads, payloads, prepared
from tests.protocol.sessions import MARKS, play
from tests.protocol.vectors import NAMED, VECTORS
from tomada import expression
from tomada.protocol import Kind, PeerLimits, Role, State
from tomada.protocol.frames import MORE
from tomada.protocol.handshake import decode_goodbye

ALL: dict[str, Any] = json.loads(VECTORS.read_text())


def named(part: str) -> pytest.MarkDecorator:
    names = [vector.get("name") or f"{vector['type']}: {vector['value']}" for vector in ALL[part]]
    return pytest.mark.parametrize("vector", ALL[part], ids=names)


def test_there_is_a_frame_of_every_kind_that_travels() -> None:
    assert {vector["kind"] for vector in ALL["frames"]} == {kind.name.lower() for kind in Kind}


@named("frames")
def test_a_frame(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    (head,) = heads(data)
    flags = ["control", "urgent", "normal"].index(vector["lane"]) | MORE * vector["more"] | 8 * vector["metadata"]

    assert head == (
        vector["length"],
        Kind[vector["kind"].upper()],
        flags,
        vector["type"],
        vector["id"],
        vector["sequence"],
    )
    assert payloads(data) == [bytes.fromhex(vector["payload"])]


@named("values")
def test_a_value(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    value = msgspec.msgpack.decode(data, type=expression.build(vector["type"], NAMED))

    assert msgspec.msgpack.encode(value) == data
    if vector["type"] != "Ext":
        assert repr(value) == vector["value"]


@named("also_read")
def test_what_is_read_too(vector: dict[str, Any]) -> None:
    value = msgspec.msgpack.decode(bytes.fromhex(vector["hex"]), type=expression.build(vector["type"], NAMED))

    assert msgspec.msgpack.encode(value).hex() == vector["read_as"]


@named("not_read")
def test_what_is_not_read(vector: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(bytes.fromhex(vector["hex"]), type=expression.build(vector["type"], NAMED))


@named("sessions")
def test_a_session(vector: dict[str, Any]) -> None:
    steps = [[step["from"], *step["commands"], *(mark for mark in MARKS if step[mark])] for step in vector["steps"]]
    said, ends, told = play(vector["greetings"], steps)

    assert said == [step["hex"] for step in vector["steps"]]
    assert ends == vector["ends"]
    assert told == vector["events"]


def test_the_limits_of_the_violations() -> None:
    end = prepared(Role.ACCEPTING, "open")

    enforced = PeerLimits(
        end._frame_bytes, end.normal_in._limit, end._requests, end.normal_in.window, end._stream_window
    )
    assert enforced == PeerLimits(**ALL["limits_of_violations"])


@named("violations")
def test_a_violation(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    for parts in ([data], cut_at(data, list(range(len(data))))):
        outcome = feed(prepared(Role(vector["to"]), vector["state"]), parts)

        assert outcome.state is State.FAILED
        assert vector["reason"] in outcome.reason
        codes = [decode_goodbye(payload).code.value for payload in payloads(outcome.out)]
        assert codes == ([vector["goodbye"]] if vector["goodbye"] else [])
