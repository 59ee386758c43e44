"""What travels beside a request: its deadline, and what becomes of it at the other end."""

from __future__ import annotations

from math import inf

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol.pairs import LIMITS, Outcome, cut_at, exchange, feed, frame, heads, pair, prepared, single_bytes
from tomada.errors import ProtocolError
from tomada.protocol import Asked, Cancelled, Engine, FailureCode, Kind, PeerLimits, Received, Role, State
from tomada.protocol.frames import METADATA, MORE, NORMAL
from tomada.protocol.metadata import LONGEST_DEADLINE, Metadata, milliseconds, split_metadata, with_metadata

encode = msgspec.msgpack.encode
keys = st.text(max_size=5)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=6,
)


def metadata(entries: bytes, payload: bytes = b"\x90") -> bytes:
    """A request with metadata, as a frame."""
    return frame(Kind.ASK, len(entries).to_bytes(2, "big") + entries + payload, flags=NORMAL | METADATA, type_=1, id_=1)


def asked(server: Engine, data: bytes, now: float = 0.0) -> Asked:
    (event,) = server.receive(data, now)
    assert isinstance(event, Asked)
    return event


class TestTheWayThere:
    def test_a_request_without_a_deadline_has_no_metadata(self) -> None:
        client, server = pair()
        client.ask(3, b"\x90", "tag")
        sent = bytes(client.take())

        assert heads(sent) == [(1, Kind.ASK, NORMAL, 3, 1, 1)]
        assert asked(server, sent) == Asked(1, 3, b"\x90", 1, None)
        assert server.answer_by == inf

    def test_one_with_a_deadline_costs_a_few_bytes(self) -> None:
        client, server = pair()
        client.ask(3, b"\x90", "tag", 2_000)
        sent = bytes(client.take())

        assert heads(sent) == [(9, Kind.ASK, NORMAL | METADATA, 3, 1, 1)]
        assert asked(server, sent) == Asked(1, 3, b"\x90", 1, 2_000)

    def test_it_goes_without_where_the_message_would_be_too_long_with_it(self) -> None:
        client, server = pair()
        client.ask(1, bytes(LIMITS.message_bytes - 8), "fits", 2_000)
        client.ask(1, bytes(LIMITS.message_bytes - 7), "does not", 2_000)
        events = exchange(client, server)[1]

        assert [(len(event.payload), event.deadline) for event in events if isinstance(event, Asked)] == [
            (4_088, 2_000),
            (4_089, None),
        ]

    def test_the_flag_is_on_every_fragment(self) -> None:
        client, server = pair()
        client.ask(1, bytes(4_000), "tag", 5)
        sent = bytes(client.take())

        assert [head[2] for head in heads(sent)] == [NORMAL | METADATA | MORE, NORMAL | METADATA]
        assert asked(server, sent) == Asked(1, 1, bytes(4_000), 2, 5)

    @pytest.mark.parametrize(
        ("seconds", "told"),
        [
            (0, 0),
            (0.000_1, 1),
            (2, 2_000),
            (2.000_1, 2_001),
            (4_294_967.295, 2**32 - 1),
            (4_294_968, None),
            (inf, None),
        ],
    )
    def test_seconds_are_rounded_up(self, seconds: float, told: int | None) -> None:
        assert milliseconds(seconds) == told

    @given(
        st.integers(0, LONGEST_DEADLINE) | st.none(), st.binary(max_size=40), st.lists(st.integers(0, 90), max_size=5)
    )
    def test_what_is_said_is_heard(self, deadline: int | None, payload: bytes, cuts: list[int]) -> None:
        client, server = pair()
        client.ask(3, payload, "tag", deadline)

        assert feed(server, cut_at(bytes(client.take()), cuts)).events == [Asked(1, 3, payload, 1, deadline)]


class TestWhatIsRead:
    @given(
        st.dictionaries(keys.filter(lambda key: key not in ("d", "k")), values, max_size=5),
        st.none() | st.integers(0, 2**64 - 1),
    )
    def test_unknown_keys_are_passed_over(self, others: dict[str, object], deadline: int | None) -> None:
        event = asked(prepared(Role.ACCEPTING, "open"), metadata(encode({**others, "d": deadline})))

        assert (event.payload, event.deadline) == (b"\x90", deadline)

    def test_on_a_message_it_means_nothing(self) -> None:
        end = prepared(Role.ACCEPTING, "open")
        data = frame(Kind.SEND, b"\x00\x04\x81\xa1d\x05body", flags=NORMAL | METADATA)

        assert end.receive(data, 0.0) == [Received(0, b"body", 1)]
        assert end.answer_by == inf

    @given(st.binary(max_size=60) | values.map(encode), st.lists(st.integers(0, 90), max_size=5))
    @settings(max_examples=500)
    def test_anything_else_ends_the_connection_and_nothing_more(self, entries: bytes, cuts: list[int]) -> None:
        data = metadata(entries)

        def told(parts: list[bytes]) -> Outcome:
            return feed(prepared(Role.ACCEPTING, "open"), parts)

        whole = told([data])
        assert told(cut_at(data, cuts)) == told(single_bytes(data)) == whole
        assert whole.state is State.OPEN or "the metadata cannot be read" in whole.reason

    def test_nesting_does_not_break_the_reader(self) -> None:
        deep = b"\x81\xa1x" + b"\x91" * 60_000 + b"\xc0"
        with pytest.raises(ProtocolError, match="cannot be read"):
            split_metadata(len(deep).to_bytes(2, "big") + deep)

    @given(st.integers(0, LONGEST_DEADLINE) | st.none(), st.binary(max_size=40))
    def test_there_and_back(self, deadline: int | None, payload: bytes) -> None:
        assert split_metadata(with_metadata(Metadata(deadline), payload)) == (Metadata(deadline), payload)


class TestWhatIsLate:
    def ends(self, *deadlines: int | None, now: float = 100.0) -> tuple[Engine, Engine]:
        client, server = pair(PeerLimits(2_048, 4_096, 10))
        for deadline in deadlines:
            client.ask(1, b"", "tag", deadline)
        exchange(client, server, now)
        return client, server

    def test_it_is_told_once_when_it_is(self) -> None:
        _, server = self.ends(2_000, None, 500, 3_000)

        assert server.answer_by == 100.5
        assert server.late(100.4) == []
        assert server.late(100.5) == [(5, 0.5)]
        assert server.answer_by == 102.0
        assert server.late(200.0) == [(1, 2.0), (7, 3.0)]
        assert server.late(300.0) == []
        assert server.answer_by == inf

    def test_it_is_still_to_be_answered_and_still_counts(self) -> None:
        client, server = self.ends(1)
        assert server.late(101.0) == [(1, 0.001)]
        assert (server.idle, client.idle) == (False, False)
        server.refuse(1, FailureCode.DEADLINE, "", "late")
        exchange(client, server)
        assert (server.idle, client.idle) == (True, True)

    def test_what_is_answered_is_not_late(self) -> None:
        _, server = self.ends(1_000, 2_000)
        server.reply(1, 0, b"")
        server.refuse(3, FailureCode.RAISED, "", "")

        assert not server.is_late(1, 200.0)
        assert server.late(200.0) == []
        assert server.answer_by == inf

    def test_an_id_that_is_used_again_has_its_own(self) -> None:
        client, server = self.ends(1_000)
        server.reply(1, 0, b"")
        exchange(client, server)
        client._next_id = 1
        client.ask(1, b"", "again")
        exchange(client, server)

        assert server.late(200.0) == []

    def test_one_that_is_cancelled_is_still_told(self) -> None:
        """Who cancels its handler knows that it has done so."""
        client, server = self.ends(1_000)
        client.cancel(1)
        assert exchange(client, server)[1] == [Cancelled(1)]
        assert server.late(200.0) == [(1, 1.0)]

    def test_the_end_forgets_all(self) -> None:
        _, server = self.ends(1_000)
        server.drop("")

        assert server.answer_by == inf
        assert server.late(200.0) == []

    def test_what_is_kept_is_bounded_by_what_is_open(self) -> None:
        client, server = pair()
        for _ in range(1_000):
            client.ask(1, b"", "tag", 10**9)
            (event, *_) = exchange(client, server)[1]
            assert isinstance(event, Asked)
            server.reply(event.id, 0, b"")
            exchange(client, server)

        assert server._open == {}

    def test_an_absurd_one_is_as_good_as_none(self) -> None:
        end = prepared(Role.ACCEPTING, "open")
        assert asked(end, metadata(encode({"d": 2**64 - 1})), 5.0).deadline == 2**64 - 1
        assert end.late(1e9) == []
