"""Bytes that break the protocol end the connection, with a reason, and do nothing else."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol.bad_inputs import BAD_INPUTS, Bad
from tests.protocol.pairs import cut_at, feed, frame, heads, pair, payloads, prepared, single_bytes
from tomada.protocol import GoodbyeCode, Kind, PeerLimits, Role, State
from tomada.protocol.frames import HEADER_BYTES, MORE, NORMAL
from tomada.protocol.handshake import decode_goodbye

cases = pytest.mark.parametrize("bad", BAD_INPUTS, ids=[bad.name for bad in BAD_INPUTS])


def test_each_case_has_a_name_of_its_own() -> None:
    assert len({bad.name for bad in BAD_INPUTS}) == len(BAD_INPUTS)


@cases
def test_it_ends_the_connection(bad: Bad) -> None:
    outcome = feed(prepared(bad.role, bad.state), [bad.data])

    assert outcome.state is State.FAILED
    assert bad.reason in outcome.reason
    goodbyes = [decode_goodbye(payload) for payload in payloads(outcome.out)]
    assert [goodbye.code for goodbye in goodbyes] == ([bad.goodbye] if bad.goodbye else [])
    assert all(goodbye.reason == outcome.reason for goodbye in goodbyes)


@cases
def test_it_ends_the_same_way_byte_by_byte(bad: Bad) -> None:
    whole = feed(prepared(bad.role, bad.state), [bad.data])

    assert feed(prepared(bad.role, bad.state), single_bytes(bad.data)) == whole


@given(bad=st.sampled_from(BAD_INPUTS), places=st.lists(st.integers(0, 70_000), max_size=8))
@settings(deadline=None, max_examples=200)
def test_it_ends_the_same_way_in_any_pieces(bad: Bad, places: list[int]) -> None:
    whole = feed(prepared(bad.role, bad.state), [bad.data])

    assert feed(prepared(bad.role, bad.state), cut_at(bad.data, places)) == whole


@cases
def test_nothing_is_told_or_said_after_it(bad: Bad) -> None:
    end = prepared(bad.role, bad.state)
    end.receive(bad.data, 0.0)
    end.take()

    assert end.receive(frame(Kind.PING), 0.0) == []
    end.receive_end()
    assert end.expired(1e9, 1.0, 1.0) is False
    end.reply(1, 1, b"")
    end.leave(GoodbyeCode.CLOSED, "")
    assert (end.state, end.unsent) == (State.FAILED, 0)


def test_what_came_before_the_violation_is_told() -> None:
    end = prepared(Role.ACCEPTING, "open")

    events = end.receive(frame(Kind.SEND, b"\x90", type_=7) + frame(99) + frame(Kind.SEND, b"\x90", sequence=2), 0.0)

    assert [type(event).__name__ for event in events] == ["Received"]


@pytest.mark.parametrize("length", [65_537, 2**31, 2**32 - 1])
def test_a_long_frame_is_refused_by_its_header_without_memory_for_it(length: int) -> None:
    end = prepared(Role.ACCEPTING, "open")
    header = frame(Kind.SEND, length=length)

    tracemalloc.start()
    end.receive(header, 0.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert end.state is State.FAILED
    assert peak < 20_000


def test_memory_is_used_only_for_what_has_arrived() -> None:
    end, _ = pair(PeerLimits(frame_bytes=2**30, message_bytes=2**30))

    tracemalloc.start()
    end.receive(frame(Kind.SEND, length=2**30), 0.0)
    end.receive(bytes(1_000), 0.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert end.state is State.OPEN
    assert peak < 20_000


def test_an_array_of_four_billion_elements_takes_no_memory() -> None:
    end = prepared(Role.ACCEPTING, "open")

    tracemalloc.start()
    end.receive(frame(Kind.DECLARE, b"\xdd\xff\xff\xff\xff"), 0.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert end.state is State.FAILED
    assert peak < 30_000


def test_declarations_are_limited_together() -> None:
    end = prepared(Role.ACCEPTING, "open")
    entry = b"\xdc\x00\x64" + 100 * (b"\x92\xd9\xc8" + 200 * b"T" + b"\xa7message")
    count = 262_144 // len(entry)

    told = end.receive(count * frame(Kind.DECLARE, entry), 0.0)
    assert len(told) == count
    end.receive(frame(Kind.DECLARE, entry), 0.0)

    assert end.state is State.FAILED
    assert f"at most {262_144 - count * len(entry)} are allowed" in end.reason


def test_a_catalogue_holds_at_most_65535_types() -> None:
    client = prepared(Role.CONNECTING, "greeted")
    entry = b"\x92\xa1T\xa4enum"
    many = b"\xdd" + (65_535).to_bytes(4, "big") + 65_535 * entry
    welcome = b"\x95\xa6tomada\x01\xa0\x90" + many
    assert [type(event).__name__ for event in client.receive(frame(Kind.WELCOME, welcome), 0.0)] == ["Opened"]

    client.receive(frame(Kind.DECLARE, b"\x91" + entry), 0.0)

    assert client.state is State.FAILED
    assert "more than 65535 types" in client.reason

    client = prepared(Role.CONNECTING, "greeted")
    client.receive(frame(Kind.WELCOME, welcome.replace(b"\xdd\x00\x00\xff\xff", b"\xdd\x00\x01\x00\x00") + entry), 0.0)
    assert client.state is State.FAILED


def test_pings_are_answered_with_no_more_bytes_than_came() -> None:
    end = prepared(Role.ACCEPTING, "open")
    flood = 5_000 * frame(Kind.PING, b"12345678")

    outcome = feed(end, [flood])

    assert outcome.events == []
    assert len(outcome.out) == len(flood)
    assert {head[1] for head in heads(outcome.out)} == {Kind.PONG}


def test_a_goodbye_cannot_write_lines_into_the_log() -> None:
    end = prepared(Role.ACCEPTING, "open")

    end.receive(frame(Kind.GOODBYE, b"\x92\xa6closed\xaaok\nERROR x"), 0.0)

    assert end.reason == "the peer said goodbye (closed): ok?ERROR x"


class TestDeadlines:
    def test_the_handshake_has_one_from_the_beginning(self) -> None:
        for role, state in ((Role.ACCEPTING, "starting"), (Role.CONNECTING, "greeted")):
            end = prepared(role, state)
            assert not end.expired(4.9, 5.0, 30.0)
            assert end.expired(5.0, 5.0, 30.0)
            assert (end.state, end.reason) == (State.FAILED, "no handshake within 5 s")
            goodbyes = [decode_goodbye(payload).code for payload in payloads(bytes(end.take()))]
            assert goodbyes == ([] if role is Role.ACCEPTING else [GoodbyeCode.DEADLINE])

    def test_trickled_bytes_do_not_renew_that_of_the_handshake(self) -> None:
        end = prepared(Role.ACCEPTING, "starting")
        for second, byte in enumerate(single_bytes(frame(Kind.HELLO, b"\x90")[:4])):
            end.receive(byte, float(second))

        assert end.expired(5.0, 5.0, 30.0)

    def test_nor_do_no_bytes_at_all(self) -> None:
        for role, state in ((Role.ACCEPTING, "starting"), (Role.CONNECTING, "greeted")):
            end = prepared(role, state)
            end.receive(b"", 4.0)

            assert end.expired(5.0, 5.0, 30.0)

    def test_a_frame_that_has_begun_has_one(self) -> None:
        end = prepared(Role.ACCEPTING, "open")
        half = frame(Kind.SEND, bytes(100))[:50]
        end.receive(half[:20], 10.0)
        end.receive(half[20:], 39.0)

        assert not end.expired(39.9, 5.0, 30.0)
        assert end.expired(40.0, 5.0, 30.0)
        assert end.reason == "a frame was begun and not finished within 30 s"
        assert [decode_goodbye(payload).code for payload in payloads(bytes(end.take()))] == [GoodbyeCode.DEADLINE]

    def test_it_begins_anew_with_the_next_frame(self) -> None:
        end = prepared(Role.ACCEPTING, "open")
        data = frame(Kind.PING, bytes(8)) + frame(Kind.PING, bytes(8))
        end.receive(data[:5], 10.0)
        end.receive(data[5:30], 35.0)

        assert not end.expired(60.0, 5.0, 30.0)
        assert end.expired(65.0, 5.0, 30.0)

    def test_an_idle_connection_has_none(self) -> None:
        end = prepared(Role.ACCEPTING, "open")
        end.receive(frame(Kind.PING, bytes(8)), 1.0)

        assert not end.expired(1e9, 5.0, 30.0)

    @pytest.mark.parametrize("lane", [1, 2])
    def test_a_message_in_fragments_goes_on_within_one(self, lane: int) -> None:
        end = prepared(Role.ACCEPTING, "open")
        end.receive(frame(Kind.SEND, bytes(1_024), flags=lane | MORE), 10.0)
        assert not end.expired(39.0, 5.0, 30.0)
        end.receive(frame(Kind.SEND, bytes(1_024), flags=lane | MORE, sequence=2), 39.0)
        assert not end.expired(68.0, 5.0, 30.0)
        # A single byte of the next frame renews nothing.
        end.receive(frame(Kind.SEND, flags=lane, sequence=3)[:1], 68.0)

        assert end.expired(69.0, 5.0, 30.0)

    def test_a_finished_message_has_none(self) -> None:
        end = prepared(Role.ACCEPTING, "open")
        end.receive(frame(Kind.SEND, bytes(1_024), flags=NORMAL | MORE), 10.0)
        end.receive(frame(Kind.SEND, sequence=2), 39.0)

        assert not end.expired(1e9, 5.0, 30.0)


class TestEndOfInput:
    @pytest.mark.parametrize("state", ["starting", "open", "left"])
    def test_without_a_goodbye(self, state: str) -> None:
        end = prepared(Role.ACCEPTING, state)
        end.receive_end()

        assert (end.state, end.cut) == (State.CLOSED, False)
        wanted = "said goodbye" if state == "left" else "without a goodbye"
        assert wanted in end.reason

    def test_in_the_middle_of_a_frame(self) -> None:
        end = prepared(Role.ACCEPTING, "open")
        end.receive(frame(Kind.SEND, bytes(100))[:40], 0.0)
        end.receive_end()

        assert (end.state, end.cut) == (State.CLOSED, True)
        assert f"after 40 of at least {HEADER_BYTES + 100} bytes" in end.reason

    def test_between_fragments(self) -> None:
        end = prepared(Role.ACCEPTING, "open")
        end.receive(frame(Kind.SEND, bytes(1_024), flags=NORMAL | MORE), 0.0)
        end.receive_end()

        assert (end.state, end.cut) == (State.CLOSED, True)
        assert "between the fragments" in end.reason

    def test_after_the_end(self) -> None:
        end = prepared(Role.ACCEPTING, "open")
        end.drop("the cable was cut")
        end.receive_end()

        assert end.reason == "the cable was cut"


def test_what_is_unfinished_is_forgotten_at_the_end() -> None:
    end, _ = pair(PeerLimits(message_bytes=2**20))
    tracemalloc.start()
    for sequence in range(1, 11):
        end.receive(frame(Kind.SEND, bytes(60_000), flags=NORMAL | MORE, sequence=sequence), 0.0)
    held, _ = tracemalloc.get_traced_memory()
    end.receive(frame(99), 0.0)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert held > 600_000
    assert after < 20_000
