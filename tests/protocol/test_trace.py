"""Whose work a message is part of travels beside it, and whatever it is, it never costs the message."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.lasting import ends
from tests.protocol.pairs import LIMITS, exchange, frame, heads, pair
from tomada.protocol import Asked, Engine, Kind, Received, Role, State, Trace
from tomada.protocol.frames import METADATA, NORMAL, URGENT
from tomada.protocol.metadata import LONGEST_PARENT, LONGEST_STATE, Metadata, split_metadata

encode = msgspec.msgpack.encode
TRACE = Trace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "vendor=x")
COST = 2 + len(encode({"t": TRACE.parent, "s": TRACE.state}))


def received(client: Engine, server: Engine) -> list[Any]:
    return [event for event in exchange(client, server)[1] if isinstance(event, Asked | Received)]


def with_map(kind: Kind, entries: bytes, id_: int) -> bytes:
    return frame(kind, len(entries).to_bytes(2, "big") + entries + b"\x90", flags=NORMAL | METADATA, type_=1, id_=id_)


def test_without_one_nothing_travels() -> None:
    client, _ = pair()
    client.ask(3, b"\x90", "tag")
    client.send(3, b"\x90")

    assert heads(bytes(client.take())) == [(1, Kind.ASK, NORMAL, 3, 1, 1), (1, Kind.SEND, NORMAL, 3, 0, 2)]


def test_it_comes_with_a_request_and_with_a_one_way_message() -> None:
    client, server = pair()
    client.ask(3, b"\x90", "tag", 2_000, "mine", False, TRACE)
    client.ask(3, b"\x91", "tag", None, None, True, TRACE)
    client.send(4, b"\x92", False, TRACE)
    client.send(4, b"\x93", True, Trace(TRACE.parent))
    told = received(client, server)

    assert sorted((event.payload, event.trace) for event in told) == [
        (b"\x90", TRACE),
        (b"\x91", TRACE),
        (b"\x92", TRACE),
        (b"\x93", Trace(TRACE.parent)),
    ]
    (first,) = (event for event in told if event.payload == b"\x90")
    assert (first.deadline, first.key) == (2_000, "mine")


def test_it_is_in_the_lane_of_its_message() -> None:
    client, _ = pair()
    client.send(4, b"\x92", True, TRACE)

    assert heads(bytes(client.take())) == [(1 + COST, Kind.SEND, URGENT | METADATA, 4, 0, 1)]


def test_a_peer_that_knows_of_none_passes_it_over() -> None:
    class Older(msgspec.Struct):
        d: int | None = None
        k: str | None = None

    client, _ = pair()
    client.ask(3, b"\x90", "tag", 7, None, False, TRACE)
    payload = bytes(client.take())[16:]
    length = int.from_bytes(payload[:2], "big")

    assert msgspec.msgpack.decode(payload[2 : 2 + length], type=Older) == Older(7)


@pytest.mark.parametrize(
    ("spare", "deadline", "travels"),
    [(COST, None, (None, TRACE)), (COST, 1, (1, None)), (COST - 1, None, (None, None)), (0, 1, (None, None))],
)
def test_where_there_is_no_room_it_is_left_out_first(
    spare: int, deadline: int | None, travels: tuple[int | None, Trace | None]
) -> None:
    client, server = pair()
    payload = bytes(LIMITS.message_bytes - spare)
    client.ask(1, payload, "tag", deadline, None, False, TRACE)
    (event,) = received(client, server)

    assert isinstance(event, Asked)
    assert (event.payload, event.deadline, event.trace) == (payload, *travels)


def test_a_one_way_message_that_just_fits_goes_without() -> None:
    client, server = pair()
    client.send(1, bytes(LIMITS.message_bytes), False, TRACE)

    assert received(client, server) == [Received(1, bytes(LIMITS.message_bytes), 2)]


def test_a_key_goes_where_a_trace_does_not() -> None:
    client, server = pair()
    client.ask(1, bytes(LIMITS.message_bytes - 12), "tag", None, "mine", False, TRACE)
    (event,) = received(client, server)

    assert (event.key, event.trace) == ("mine", None)


@pytest.mark.parametrize(
    ("given", "travels"),
    [
        (Trace(""), None),
        (Trace("x" * (LONGEST_PARENT + 1), "a=b"), None),
        (Trace("x" * LONGEST_PARENT), Trace("x" * LONGEST_PARENT)),
        (Trace("x", "y" * (LONGEST_STATE + 1)), Trace("x")),
        (Trace("x", "y" * LONGEST_STATE), Trace("x", "y" * LONGEST_STATE)),
    ],
)
def test_what_is_too_long_is_left_out(given: Trace, travels: Trace | None) -> None:
    client, server = pair()
    client.ask(1, b"\x90", "tag", None, None, False, given)
    client.send(1, b"\x90", False, given)

    assert [event.trace for event in received(client, server)] == [travels, travels]


@pytest.mark.parametrize(
    "value",
    [None, 7, 1.5, b"x", [], {"x": 1}, "", "x" * (LONGEST_PARENT + 4), "é" * LONGEST_PARENT, [["x"] * 9] * 9],
)
def test_what_is_none_does_not_cost_the_message(value: object) -> None:
    _, server = pair()
    entries = encode({"t": value, "s": value, "d": 9})
    (asked,) = server.receive(with_map(Kind.ASK, entries, 1), 0.0)

    assert isinstance(asked, Asked)
    assert (asked.deadline, asked.trace) == (9, Trace("", asked.trace.state if asked.trace else ""))
    assert server.state is State.OPEN


def test_what_is_no_text_at_all_does_not_either() -> None:
    _, server = pair()
    (asked,) = server.receive(with_map(Kind.ASK, b"\x81\xa1t\xa2\xff\xfe", 1), 0.0)

    assert isinstance(asked, Asked)
    assert asked.trace == Trace("")


def test_a_state_alone_is_nothing() -> None:
    _, server = pair()
    (event,) = server.receive(with_map(Kind.SEND, encode({"s": "a=b"}), 0), 0.0)

    assert event == Received(1, b"\x90", 1)


def test_a_one_way_message_with_an_id_is_a_violation_still() -> None:
    _, server = pair()
    server.receive(with_map(Kind.SEND, encode({"t": "x"}), 3), 0.0)

    assert server.state is State.FAILED
    assert "carries the request id 3" in server.reason


@given(st.text(max_size=LONGEST_PARENT), st.text(max_size=LONGEST_STATE))
def test_nothing_is_longer_than_it_may_be(parent: str, state: str) -> None:
    metadata = Metadata.of(None, None, Trace(parent, state))
    for each in metadata.ever_less():
        encoded = encode(each)
        told, _ = split_metadata(len(encoded).to_bytes(2, "big") + encoded)
        assert told.trace is not None
        assert told.trace.parent in (parent, "")
        assert told.trace.state in (state, "")


def test_which_end_does_not_matter() -> None:
    client, server = pair()
    server.ask(3, b"\x90", "tag", None, None, False, TRACE)
    (event,) = (event for event in exchange(client, server)[0] if isinstance(event, Asked))

    assert server.role is Role.ACCEPTING
    assert event.trace == TRACE


def test_what_was_not_delivered_is_told_without_it() -> None:
    client, _ = ends()
    client.send(4, b"\x92", False, TRACE)
    client.drop("the end")

    assert [one.payload for one in client.undelivered] == [b"\x92"]
