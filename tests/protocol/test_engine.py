"""What one end says, the other end is told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.protocol.pairs import begin_at, engine, exchange, feed, frame, heads, pair, payloads, prepared
from tomada.errors import ConnectionLost, DeclarationError, InvalidMessage
from tomada.protocol import (
    Answered,
    Asked,
    Cancelled,
    Declared,
    Engine,
    Failure,
    FailureCode,
    Field,
    GoodbyeCode,
    Hello,
    Kind,
    Left,
    Opened,
    PeerLimits,
    Ponged,
    Received,
    Refused,
    Role,
    State,
    TypeEntry,
    TypeKind,
    Welcome,
    encode,
)
from tomada.protocol.frames import ERROR, METADATA, MORE, NORMAL, REPLY

NOTE = TypeEntry("Note", TypeKind.MESSAGE, (Field("text", "str"),))
CLOSED = GoodbyeCode.CLOSED


def failure(payload: bytes) -> Failure:
    return msgspec.msgpack.decode(payload, type=Failure)


class TestHandshake:
    def test_each_end_is_told_what_the_other_says_of_itself(self) -> None:
        client, server = engine(Role.CONNECTING, catalogue=(NOTE,)), engine(Role.ACCEPTING)
        told = exchange(client, server)

        limits = PeerLimits(frame_bytes=2_048, message_bytes=4_096, requests=2)
        assert told[0] == [Opened(Welcome(software="test", limits=limits))]
        assert told[1] == [Opened(Hello(software="test", limits=limits, catalogue=(NOTE,)))]

    def test_the_accepting_end_waits_for_the_hello(self) -> None:
        server = engine(Role.ACCEPTING)

        assert (server.state, server.unsent) == (State.STARTING, 0)

    def test_a_greeting_encoded_before_is_sent_as_it_is(self) -> None:
        encoded = encode(Welcome(software="encoded once"))
        server = Engine(Role.ACCEPTING, Welcome(software="test"), 0.0, encoded_greeting=encoded)
        server.receive(frame(Kind.HELLO, encode(Hello())), 0.0)

        assert payloads(bytes(server.take())) == [encoded]

    def test_a_refusal_in_place_of_the_welcome(self) -> None:
        client = prepared(Role.CONNECTING, "greeted")

        outcome = feed(client, [frame(Kind.GOODBYE, msgspec.msgpack.encode(["refused", "full"]))])

        assert (outcome.state, outcome.reason, outcome.out) == (
            State.FAILED,
            "the peer said goodbye (refused): full",
            b"",
        )
        assert client.parted

    def test_a_version_in_common_is_found(self) -> None:
        server = engine(Role.ACCEPTING)
        server.receive(frame(Kind.HELLO, msgspec.msgpack.encode(["tomada", 7, 1])), 0.0)

        assert server.state is State.OPEN

    def test_elements_of_a_later_version_are_passed_over(self) -> None:
        server = engine(Role.ACCEPTING)
        later = [
            "tomada",
            2,
            1,
            "",
            [65_536, 65_536, 1, 1_024, 1_024, "new"],
            [["Note", "message", [["text", "str", None, 5]]]],
        ]
        hello = msgspec.msgpack.encode([*later, [], None, None, {"new": 1}])
        (opened,) = server.receive(frame(Kind.HELLO, hello), 0.0)

        assert opened == Opened(
            Hello(version=2, limits=PeerLimits(65_536, 65_536, 1, 1_024, 1_024), catalogue=(NOTE,)),
        )

    @pytest.mark.parametrize("state", ["starting", "greeted"])
    def test_before_it_nothing_can_be_said(self, state: str) -> None:
        end = prepared(Role.ACCEPTING if state == "starting" else Role.CONNECTING, state)

        with pytest.raises(ConnectionLost, match=f"{state}, not open"):
            end.ask(1, b"", None)
        with pytest.raises(ConnectionLost):
            end.send(1, b"")
        with pytest.raises(ConnectionLost):
            end.ping(b"")
        end.leave(CLOSED, "")
        assert (end.state.value, end.unsent) == (state, 0)


class TestWhatCannotTravel:
    def test_a_greeting_longer_than_the_peer_takes(self) -> None:
        types = tuple(TypeEntry(f"T{number}", TypeKind.MESSAGE, doc="x" * 1_000) for number in range(70))

        with pytest.raises(DeclarationError, match=r"too large: 7.* at most 65536"):
            engine(Role.CONNECTING, catalogue=types)
        assert engine(Role.ACCEPTING, catalogue=types).state is State.STARTING

    def test_an_entry_that_the_peer_would_refuse(self) -> None:
        with pytest.raises(DeclarationError, match=r"length <= 2000.*\$\[5\]\[0\]\[2\]\[0\]\[1\]"):
            encode(Hello(catalogue=(TypeEntry("T", TypeKind.MESSAGE, (Field("f", "x" * 2_001),)),)))

    def test_text_that_is_no_unicode(self) -> None:
        with pytest.raises(DeclarationError, match="surrogates"):
            encode(Hello(software="\udc80"))

    def test_too_many_declarations(self) -> None:
        client, _ = pair()
        types = tuple(TypeEntry(f"T{number}", TypeKind.MESSAGE, doc="x" * 1_000) for number in range(200))
        client.declare(types)
        said = client.unsent

        with pytest.raises(DeclarationError, match="T0 is one type too many"):
            client.declare(types)
        assert client.unsent == said


class TestRequests:
    def test_a_request_and_its_reply(self) -> None:
        client, server = pair()
        assert client.ask(3, b"\x91\x01", "tag") == 1
        assert exchange(client, server)[1] == [Asked(1, 3, b"\x91\x01", 1)]
        assert (client.idle, server.idle) == (False, False)
        server.reply(1, 4, b"\x91\x02")

        assert exchange(client, server)[0] == [Answered("tag", kind=REPLY, type=4, payload=b"\x91\x02")]
        assert (client.idle, server.idle) == (True, True)

    def test_the_accepting_end_asks_too_with_even_ids(self) -> None:
        client, server = pair()
        assert [server.ask(1, b"", 0), server.ask(1, b"", 1)] == [2, 4]

        assert exchange(client, server)[0] == [Asked(2, 1, b"", 1), Asked(4, 1, b"", 2)]

    def test_a_typed_error(self) -> None:
        client, server = pair()
        client.ask(3, b"", "tag")
        exchange(client, server)
        server.fail(1, 9, b"\x91\x03")

        assert exchange(client, server)[0] == [Answered("tag", kind=ERROR, type=9, payload=b"\x91\x03")]

    def test_an_error_in_the_protocols_own_words(self) -> None:
        client, server = pair()
        client.ask(3, b"", "tag")
        exchange(client, server)
        server.refuse(1, FailureCode.RAISED, "ValueError", "no")
        ((answer,), _) = exchange(client, server)

        assert isinstance(answer, Answered)
        assert failure(answer.payload) == Failure(FailureCode.RAISED, "ValueError", "no")

    @pytest.mark.parametrize("letter", ["x", "語", "\U0001f50c", "\udcff"])
    @pytest.mark.parametrize("message_bytes", [1_024, 16_384, 2**20])
    def test_a_long_text_of_an_error_is_cut_to_what_the_peer_takes(self, letter: str, message_bytes: int) -> None:
        client, server = pair(PeerLimits(1_024, message_bytes, 1))
        client.ask(3, b"", "tag")
        exchange(client, server)
        server.refuse(1, FailureCode.RAISED, 2_000 * letter, 20_000 * letter)
        ((answer,), _) = exchange(client, server)

        assert isinstance(answer, Answered)
        assert len(answer.payload) <= message_bytes
        assert len(failure(answer.payload).message) >= 150

    def test_an_answer_is_given_once(self) -> None:
        client, server = pair()
        client.ask(3, b"", "tag")
        exchange(client, server)
        server.reply(1, 0, b"\x01")
        server.reply(1, 0, b"\x02")
        server.fail(1, 0, b"\x03")
        server.refuse(1, FailureCode.RAISED, "", "")
        server.reply(3, 0, b"\x04")

        assert exchange(client, server)[0] == [Answered("tag", kind=REPLY, type=0, payload=b"\x01")]

    def test_an_id_is_free_again_after_its_answer(self) -> None:
        client, server = pair()
        client._next_id = 2**32 - 1
        client._asked[1] = "old"
        assert client.ask(1, b"", "last") == 2**32 - 1
        assert client.ask(1, b"", "next") == 3
        assert exchange(client, server)[1] == [Asked(2**32 - 1, 1, b"", 1), Asked(3, 1, b"", 2)]
        assert client.state is State.OPEN

    def test_the_id_0_is_left_out(self) -> None:
        _, server = pair()
        server._next_id = 2**32 - 2

        assert [server.ask(1, b"", 0), server.ask(1, b"", 1)] == [2**32 - 2, 2]

    def test_room_counts_what_the_peer_allows(self) -> None:
        client, server = pair()
        assert client.room == 2
        client.ask(1, b"", "a")
        client.ask(1, b"", "b")
        assert client.room == 0
        exchange(client, server)
        server.reply(1, 0, b"")
        exchange(client, server)
        assert client.room == 1

    def test_a_cancelled_request_is_still_answered(self) -> None:
        client, server = pair()
        client.ask(1, b"", "a")
        client.cancel(1)
        assert exchange(client, server)[1] == [Asked(1, 1, b"", 1), Cancelled(1)]
        server.refuse(1, FailureCode.CANCELLED, "", "")
        ((answer,), _) = exchange(client, server)

        assert isinstance(answer, Answered)
        assert answer.tag is None
        assert client.idle

    def test_a_cancel_that_crosses_the_answer_asks_for_nothing(self) -> None:
        client, server = pair()
        client.ask(1, b"", "a")
        exchange(client, server)
        server.reply(1, 0, b"")
        client.cancel(1)
        told = exchange(client, server)

        assert told == ([Answered(None, kind=REPLY, type=0, payload=b"")], [])
        client.cancel(1)
        assert client.unsent == 0

    def test_all_are_given_up_at_once(self) -> None:
        client, server = pair()
        for tag in ("a", "b"):
            client.ask(1, b"", tag)
        client.cancel(1)
        assert client.cancel_all() == ["b"]
        assert exchange(client, server)[1][2:] == [Cancelled(1), Cancelled(3)]


class TestOneWay:
    def test_a_message(self) -> None:
        client, server = pair()
        client.send(5, b"\x90")
        server.send(6, b"\x91\x01")

        assert exchange(client, server) == ([Received(6, b"\x91\x01", 1)], [Received(5, b"\x90", 1)])

    def test_one_that_meets_nobody_is_refused(self) -> None:
        client, server = pair()
        client.send(5, b"\x90")
        exchange(client, server)
        server.refuse(0, FailureCode.UNKNOWN_TYPE, "", "nobody")
        ((refused,), _) = exchange(client, server)

        assert isinstance(refused, Refused)
        assert (refused.type, failure(refused.payload).message) == (0, "nobody")

    def test_the_urgent_lane_is_read(self) -> None:
        end = prepared(Role.ACCEPTING, "open")
        part = frame(Kind.SEND, bytes(1_024), flags=1 | MORE, type_=1)
        normal = frame(Kind.SEND, b"n", type_=2)
        last = frame(Kind.SEND, b"u", flags=1, type_=1, sequence=2)

        assert end.receive(part + normal + last, 0.0) == [Received(2, b"n", 1), Received(1, bytes(1_024) + b"u", ~2)]

    @pytest.mark.parametrize(("kind", "id_"), [(Kind.SEND, 0), (Kind.ASK, 1)])
    def test_metadata_are_passed_over(self, kind: Kind, id_: int) -> None:
        end = prepared(Role.ACCEPTING, "open")
        whole = frame(kind, b"\x00\x04\x81\xa1a\x01body", flags=NORMAL | METADATA, id_=id_)
        (event,) = end.receive(whole, 0.0)

        assert isinstance(event, Received | Asked)
        assert event.payload == b"body"

    def test_metadata_in_fragments(self) -> None:
        end = prepared(Role.ACCEPTING, "open")
        flags = NORMAL | METADATA
        whole = b"\x04\x01" + msgspec.msgpack.encode({"a": bytes(1_019)}) + b"body"
        first = frame(Kind.SEND, whole[:1_024], flags=flags | MORE)
        last = frame(Kind.SEND, whole[1_024:], flags=flags, sequence=2)

        assert end.receive(first + last, 0.0) == [Received(0, b"body", 2)]


class TestFragments:
    @pytest.mark.parametrize("size", [2_047, 2_048, 2_049, 4_095, 4_096])
    def test_a_long_message_travels_in_frames_that_the_peer_takes(self, size: int) -> None:
        client, server = pair()
        payload = bytes(range(256)) * 16
        client.ask(3, payload[:size], "tag")
        sent = bytes(client.take())

        assert [head[0] for head in heads(sent)] == ([size] if size <= 2_048 else [2_048, size - 2_048])
        assert [bool(head[2] & MORE) for head in heads(sent)] == ([False] if size <= 2_048 else [True, False])
        assert server.receive(sent, 0.0) == [Asked(1, 3, payload[:size], 1 if size <= 2_048 else 2)]
        assert server.state is State.OPEN

    def test_one_longer_than_the_peer_takes_is_not_sent(self) -> None:
        client, server = pair()
        with pytest.raises(InvalidMessage, match="4097 bytes long, the peer takes at most 4096"):
            client.ask(1, bytes(4_097), "tag")
        assert (client.unsent, client.idle) == (0, True)
        client.ask(1, b"", "tag")
        exchange(client, server)
        with pytest.raises(InvalidMessage):
            server.reply(1, 0, bytes(4_097))
        assert not server.idle
        server.reply(1, 0, b"")
        assert exchange(client, server)[0] == [Answered("tag", kind=REPLY, type=0, payload=b"")]

    def test_a_message_limit_under_the_frame_limit_counts_for_frames(self) -> None:
        client, server = pair(PeerLimits(65_536, 1_024, 1))
        with pytest.raises(InvalidMessage, match="at most 1024"):
            client.send(1, bytes(1_025))
        client.send(1, bytes(1_024))
        assert exchange(client, server)[1] == [Received(1, bytes(1_024), 1)]
        server.receive(frame(Kind.SEND, bytes(1_025), sequence=2), 0.0)
        assert "at most 1024" in server.reason

    def test_control_frames_come_between_fragments(self) -> None:
        end = prepared(Role.ACCEPTING, "open")
        first = frame(Kind.SEND, bytes(1_024), flags=NORMAL | MORE)
        last = frame(Kind.SEND, b"", sequence=2)

        outcome = feed(end, [first + frame(Kind.PING, b"p") + last + frame(Kind.SEND, b"next", sequence=3)])

        assert outcome.events == [Received(0, bytes(1_024), 2), Received(0, b"next", 3)]
        assert payloads(outcome.out) == [b"p"]


class TestSequences:
    def test_they_wrap(self) -> None:
        client, server = pair()
        begin_at(client, server, 2**32 - 1)
        for _ in range(3):
            client.send(1, b"")
        sent = bytes(client.take())

        assert [head[-1] for head in heads(sent)] == [2**32 - 1, 0, 1]
        assert len(server.receive(sent, 0.0)) == 3
        assert server.state is State.OPEN

    def test_they_wrap_within_a_fragmented_message(self) -> None:
        client, server = pair()
        begin_at(client, server, 2**32 - 1)
        client.send(1, bytes(4_096))
        client.send(1, b"")

        assert exchange(client, server)[1] == [Received(1, bytes(4_096), 0), Received(1, b"", 1)]

    def test_control_frames_have_none(self) -> None:
        client, server = pair()
        client.ping(b"")
        client.declare((NOTE,))
        client.send(1, b"")
        client.leave(CLOSED, "")

        assert [head[-1] for head in heads(bytes(client.take()))] == [0, 0, 1, 0]
        assert server.state is State.OPEN


class TestControl:
    def test_a_ping_comes_back(self) -> None:
        client, server = pair()
        client.ping(b"12345678")

        assert exchange(client, server) == ([Ponged(b"12345678")], [])

    def test_types_are_declared(self) -> None:
        client, server = pair()
        client.declare((NOTE, NOTE))

        assert exchange(client, server)[1] == [Declared((NOTE, NOTE))]


class TestParting:
    def test_both_say_goodbye(self) -> None:
        client, server = pair()
        client.leave(CLOSED, "done")
        client.leave(CLOSED, "again")
        (left,) = exchange(client, server)[1]
        assert isinstance(left, Left)
        assert (left.goodbye.code, left.goodbye.reason) == (CLOSED, "done")
        assert (client.state, server.state, server.parted) == (State.LEAVING, State.LEFT, True)
        server.leave(CLOSED, "")
        exchange(client, server)

        assert (client.state, server.state) == (State.CLOSED, State.CLOSED)
        assert (client.reason, server.reason) == ("done", "the peer said goodbye (closed): done")

    def test_goodbyes_that_cross_are_enough(self) -> None:
        client, server = pair()
        client.leave(CLOSED, "")
        server.leave(GoodbyeCode.GOING_AWAY, "restart")
        exchange(client, server)

        assert (client.state, server.state) == (State.CLOSED, State.CLOSED)

    def test_what_is_under_way_is_finished(self) -> None:
        client, server = pair()
        client.ask(1, b"", "a")
        server.ask(1, b"", "b")
        client.leave(CLOSED, "")
        assert len(exchange(client, server)[1]) == 2
        client.reply(2, 0, b"")
        server.reply(1, 0, b"")
        told = exchange(client, server)

        assert told == (
            [Answered("a", kind=REPLY, type=0, payload=b"")],
            [Answered("b", kind=REPLY, type=0, payload=b"")],
        )

    def test_what_crosses_the_goodbye_is_taken(self) -> None:
        client, server = pair()
        client.leave(CLOSED, "")
        server.ask(1, b"", "b")
        server.send(2, b"")
        server.ping(b"p")
        sent = bytes(server.take())
        assert client.receive(sent, 0.0) == [Asked(2, 1, b"", 1), Received(2, b"", 2)]
        client.reply(2, 0, b"")

        *others, left = exchange(client, server)[1]
        assert isinstance(left, Left)
        assert others == [Ponged(b"p"), Answered("b", kind=REPLY, type=0, payload=b"")]

    @pytest.mark.parametrize("state", ["leaving", "left"])
    def test_nothing_new_begins_after_a_goodbye(self, state: str) -> None:
        end = prepared(Role.CONNECTING, state)
        for begin in (lambda: end.ask(1, b"", None), lambda: end.send(1, b""), lambda: end.ping(b"")):
            with pytest.raises(ConnectionLost):
                begin()

    def test_who_has_been_left_may_cancel_and_declare(self) -> None:
        client, server = pair()
        client.ask(1, b"", "a")
        exchange(client, server)
        server.leave(CLOSED, "")
        exchange(client, server)
        client.cancel(1)
        client.declare((NOTE,))

        assert exchange(client, server)[1] == [Declared((NOTE,)), Cancelled(1)]
        assert server.state is State.LEAVING

    def test_bytes_after_both_goodbyes_are_not_read(self) -> None:
        client, _ = pair()
        client.leave(CLOSED, "")
        goodbye = frame(Kind.GOODBYE, msgspec.msgpack.encode(["closed"]))

        (left,) = client.receive(goodbye + frame(99) + b"\xff", 0.0)
        assert isinstance(left, Left)
        assert client.state is State.CLOSED

    def test_nothing_is_said_after_the_end(self) -> None:
        client, server = pair()
        client.ask(1, b"", "a")
        exchange(client, server)
        server.leave(CLOSED, "")
        client.leave(CLOSED, "")
        exchange(client, server)
        assert server.state is State.CLOSED
        server.reply(1, 0, b"")
        server.refuse(0, FailureCode.INTERNAL, "", "")
        server.declare((NOTE,))
        client.cancel(1)

        assert (client.unsent, server.unsent) == (0, 0)

    def test_a_long_reason_is_cut(self) -> None:
        client, server = pair()
        client.leave(CLOSED, 5_000 * "語")
        ((left,), _) = exchange(server, client)

        assert isinstance(left, Left)
        assert left.goodbye.reason == 1_000 * "語"


class TestDrop:
    def test_it_gives_back_the_tags_of_what_was_open(self) -> None:
        client, _ = pair()
        client.ask(1, b"", "a")
        client.ask(1, b"", "b")
        client.cancel(1)

        assert client.drop("the cable was cut") == [(3, "b")]
        assert (client.state, client.reason, client.idle) == (State.CLOSED, "the cable was cut", True)
        assert client.drop("again") == []
        assert client.reason == "the cable was cut"

    def test_the_reason_of_a_failure_stays(self) -> None:
        server = prepared(Role.ACCEPTING, "open")
        server.receive(frame(99), 0.0)
        server.drop("the connection was lost")

        assert "kind 99" in server.reason


def test_answers_may_come_in_any_order() -> None:
    client, server = pair()
    tags: list[Any] = ["a", "b"]
    ids = [client.ask(1, b"", tag) for tag in tags]
    exchange(client, server)
    for id_ in reversed(ids):
        server.reply(id_, 0, b"")

    told = exchange(client, server)[0]
    assert [event.tag for event in told if isinstance(event, Answered)] == ["b", "a"]
