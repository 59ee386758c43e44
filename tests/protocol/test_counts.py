"""How many messages have come and gone, from sequences that begin anew after 2**32."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.pairs import begin_at, engine, exchange, pair
from tomada.protocol import Kind, Role
from tomada.protocol.frames import HEADER


def test_messages_are_counted_and_control_frames_are_not() -> None:
    left, right = pair()
    assert left.sent_messages == left.received_messages == right.received_messages == 0
    left.ask(1, b"\x90", "tag")
    left.send(1, b"\x90")
    left.ping(b"")
    left.beat()
    exchange(left, right)
    right.reply(1, 1, b"\x90")
    exchange(left, right)

    assert (left.sent_messages, left.received_messages) == (2, 1)
    assert (right.sent_messages, right.received_messages) == (1, 2)
    assert (left.own_requests, right.peer_requests) == (0, 0)


def test_open_requests_are_counted() -> None:
    left, right = pair()
    left.ask(1, b"\x90", "tag")
    exchange(left, right)

    assert (left.own_requests, left.peer_requests) == (1, 0)
    assert (right.own_requests, right.peer_requests) == (0, 1)


@pytest.mark.parametrize(("size", "frames"), [(2_048, 1), (2_049, 2), (4_096, 2)])
def test_a_message_in_fragments_is_one(size: int, frames: int) -> None:
    left, right = pair()
    for _ in range(3):
        left.send(1, bytes(size))
    exchange(left, right)

    assert left.normal.sequence - 1 == 3 * frames
    assert left.sent_messages == right.received_messages == 3


def test_a_message_that_is_not_whole_does_not_count_yet() -> None:
    left, right = pair()
    left.send(1, bytes(4_096))
    out = bytes(left.take())
    right.receive(out[: len(out) // 2], 0.0)
    assert right.received_messages == 0
    right.receive(out[len(out) // 2 :], 0.0)
    assert right.received_messages == 1


def test_urgent_ones_count_as_well() -> None:
    left, right = pair()
    left.send(1, b"\x90")
    right.receive(bytes(left.take()), 0.0)
    right.receive(HEADER.pack(1, Kind.SEND, 1, 1, 0, 1) + b"\x90", 0.0)

    assert right.received_messages == 2


@given(st.lists(st.integers(1, 5), max_size=20), st.integers(2, 40))
def test_counting_goes_on_where_the_sequence_begins_anew(bursts: list[int], before: int) -> None:
    left, right = pair()
    begin_at(left, right, 2**32 - before)
    begun = left.sent_messages
    assert begun == right.received_messages == 2**32 - before - 1
    sent = 0
    for burst in bursts:
        for number in range(burst):
            left.send(1, bytes(4_096 if number == 2 else 10))
        exchange(left, right)
        sent += burst
        assert left.sent_messages == right.received_messages == begun + sent


def test_nobody_is_asked_for_a_sign_before_the_handshake_is_complete() -> None:
    end = engine(Role.CONNECTING)
    end.take()
    end.beat()

    assert not end.unsent


@pytest.mark.parametrize("torn", [1, 50_000])
def test_who_counts_in_the_middle_of_a_stream_does_no_harm(torn: int) -> None:
    left, right = pair()
    for end in (left, right):
        before = end.sent_messages, end.received_messages
        end.normal.sequence += torn
        end.normal_in.expected += torn
        assert (end.sent_messages, end.received_messages) == (before[0] + torn, before[1] + torn)
        end.normal.sequence -= torn  # as it is a moment later, when the frames count as parts
        end.normal_in.expected -= torn
        assert (end.sent_messages, end.received_messages) == before
