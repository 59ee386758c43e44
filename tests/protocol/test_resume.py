"""A session goes on over another connection, wherever the one before was cut: each message once, and in order."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol.lasting import End, accepting, all_of, call, carry, close, ends, lose, resume, talk
from tests.protocol.pairs import cut_at, engine, frame, single_bytes
from tomada.protocol import (
    Engine,
    GoodbyeCode,
    Kind,
    Left,
    Resumed,
    Role,
    State,
    TypeEntry,
    TypeKind,
)
from tomada.protocol.frames import END, REPLY

if TYPE_CHECKING:
    from collections.abc import Callable

LONG = 1_500
"""In two fragments."""
ITEMS = 4


def begin() -> tuple[End, End]:
    """Two ends that have said everything there is to say, in both lanes; none of it has been carried."""
    client, server = (End(engine) for engine in ends())
    client.engine.declare((TypeEntry("Note", TypeKind.MESSAGE),))
    for end, other in ((client, b"c"), (server, b"s")):
        engine = end.engine
        engine.send(1, other + b"1")
        engine.send(1, other + b"2" + bytes(LONG))
        engine.send(1, other + b"u", True)
        engine.ask(1, other + b"3", other + b"asked")
        engine.ask(1, other + b"v", other + b"urgently", None, None, True)
        engine.cancel(engine.ask(1, other + b"4", other + b"given up"))
        upload = engine.ask(1, other + b"5", other + b"upload", None, "a key of its own")
        for number in range(ITEMS):
            engine.item(upload, 0, bytes([number]))
        engine.end(upload)
        engine.send(1, other + b"6")
    return client, server


def check(client: End, server: End) -> None:
    """Everything has arrived once, in order, and is acknowledged."""
    for end, said in ((client, b"s"), (server, b"c")):
        normal = [payload[:2] for payload in end.received[False]]
        assert normal == [said + bytes([number]) for number in b"123456"]
        assert end.received[True] == [said + b"u", said + b"v"]
        assert len(end.keys) == 8
    for end, said in ((client, b"c"), (server, b"s")):
        assert sorted(map(str, end.answered)) == sorted(
            map(str, [said + b"asked", said + b"urgently", None, said + b"upload"])
        )
        assert {len(answers) for answers in end.answered.values()} == {1}
        assert {answer.kind for answers in end.answered.values() for answer in answers} == {REPLY}
    close(client, server)
    for end in (client, server):
        assert end.engine.kept == end.engine.held == end.engine.held_bytes == 0
        assert end.engine.duplicates == 0


@cache
def lengths() -> dict[Role, int]:
    """How much each end says when nothing is cut."""
    client, server = begin()
    said = dict.fromkeys(Role, 0)

    def count(role: Role, data: bytes) -> bytes:
        said[role] += len(data)
        return data

    talk(client, server, cut=count)
    return said


def cutting(whose: Role, after: int) -> Callable[[Role, bytes], bytes]:
    """Lets so many bytes of one end through, and then no more."""
    left = [after]

    def cut(role: Role, data: bytes) -> bytes:
        if role is whose:
            data = data[: left[0]]
            left[0] -= len(data)
        return data

    return cut


def go_on(client: End, server: End) -> None:
    lose(client.engine, server.engine)
    resume(client.engine, server.engine)


def keys_agree(client: End, server: End) -> None:
    """What each end would say of its messages if the session ended now is what the other one's handlers were told."""
    for end, other in ((client, server), (server, client)):
        end.engine.drop("the end")
        for lost in end.engine.undelivered:
            if lost.payload in other.keys and lost.key != "a key of its own":
                assert other.keys[lost.payload] == lost.key


@pytest.mark.parametrize("whose", Role)
def test_a_cut_at_every_byte(whose: Role) -> None:
    for after in range(lengths()[whose]):
        client, server = begin()
        assert not talk(client, server, cut=cutting(whose, after))
        go_on(client, server)
        assert talk(client, server), after
        check(client, server)


@pytest.mark.parametrize("whose", Role)
def test_the_same_keys_at_both_ends_wherever_it_is_cut(whose: Role) -> None:
    for after in range(0, lengths()[whose], 13):
        client, server = begin()
        talk(client, server, cut=cutting(whose, after), reports=False)
        keys_agree(client, server)


@given(st.lists(st.tuples(st.sampled_from(Role), st.integers(0, 3_000)), max_size=8))
@settings(deadline=None, max_examples=150)
def test_many_cuts(cuts: list[tuple[Role, int]]) -> None:
    client, server = begin()
    for whose, after in cuts:
        if not talk(client, server, cut=cutting(whose, after)):
            go_on(client, server)
    assert talk(client, server)
    check(client, server)


@pytest.mark.parametrize("whose", Role)
@pytest.mark.parametrize("after", [0, 900, 2_000])
@pytest.mark.parametrize("pieces", ["single", "random"])
def test_in_pieces(whose: Role, after: int, pieces: str) -> None:
    client, server = begin()
    talk(client, server, cut=cutting(whose, after))
    go_on(client, server)
    while client.engine.unsent or server.engine.unsent:
        for speaker, listener in ((client, server), (server, client)):
            said = all_of(speaker.engine)
            for part in single_bytes(said) if pieces == "single" else cut_at(said, [3, 17, 18, 500, 1_041, 1_042]):
                listener.receive(part)
            listener.engine.report()
    check(client, server)


def test_a_resumption_that_is_cut_itself_at_every_byte() -> None:
    """Its hello, the welcome, and what is said again."""
    for after in range(0, 3_000, 3):
        client, server = begin()
        talk(client, server, cut=cutting(Role.CONNECTING, 1_300))
        go_on(client, server)
        whole = talk(client, server, cut=cutting(Role.ACCEPTING, after))
        if client.engine.state is State.RESUMING:
            assert client.engine.can_resume
        go_on(client, server)
        assert talk(client, server), (after, whole)
        check(client, server)


def test_the_hello_alone_is_lost() -> None:
    client, server = begin()
    lose(client.engine)
    client.engine.hello(0.0)
    all_of(client.engine)
    lose(client.engine)
    assert client.engine.state is State.LOST
    go_on(client, server)
    talk(client, server)

    assert (client.engine.generation, server.engine.generation, server.engine.epoch) == (2, 2, 1)
    check(client, server)


def test_the_welcome_alone_is_lost() -> None:
    client, server = begin()
    go_on(client, server)
    all_of(server.engine)
    go_on(client, server)
    talk(client, server)

    assert (client.engine.generation, client.engine.epoch, server.engine.epoch) == (2, 2, 2)
    check(client, server)


def test_nothing_was_said_yet() -> None:
    client, server = ends()
    lose(client, server)
    asked = resume(client, server)
    told = carry(client, server)

    assert [type(event) for event in told[0]] == [Resumed]
    assert told[1] == []
    assert asked.positions.normal.received == asked.positions.urgent.received == 0
    assert asked.positions.normal.oldest == asked.positions.urgent.oldest == 1
    assert client.state is server.state is State.OPEN


def test_the_old_connection_is_fenced() -> None:
    """The accepting end believes in the older one still; its late bytes are not read."""
    client, server = ends()
    client.send(1, b"x")
    late = all_of(client)
    lose(client)
    resume(client, server)

    assert server.state is State.OPEN
    told = carry(client, server)[1]
    assert [getattr(event, "payload", None) for event in told] == [b"x"]
    assert server.receive(late, 0.0) == []
    assert server.duplicates == 1


def test_what_comes_while_there_is_no_connection_is_not_read() -> None:
    client, server = ends()
    client.send(1, b"x")
    said = all_of(client)
    lose(client, server)

    assert server.receive(said, 0.0) == []
    server.receive_end()
    assert not server.expired(1e9, 1.0, 1.0)
    assert server.state is State.LOST
    resume(client, server)
    assert len(carry(client, server)[1]) == 1


def test_half_a_frame_is_forgotten_and_half_a_message_is_not() -> None:
    client, server = ends()
    client.send(1, bytes(2_500))
    said = all_of(client)
    server.receive(said[:1_500], 0.0)
    assert server.unfinished == 460 + 1_024
    assert server.unread == said[1_040:1_500]
    lose(client, server)
    assert server.unfinished == 1_024
    assert not server.expired(1e9, 1.0, 1.0)
    resume(client, server)
    (event,) = carry(client, server)[1]

    assert getattr(event, "payload", None) == bytes(2_500)


def test_types_that_were_lost_on_the_way_are_declared_again() -> None:
    client, server = ends()
    for name in ("A", "B"):
        client.declare((TypeEntry(name, TypeKind.MESSAGE),))
    carry(client, server)
    client.declare((TypeEntry("C", TypeKind.MESSAGE),))
    all_of(client)
    lose(client, server)
    client.declare((TypeEntry("D", TypeKind.MESSAGE),))
    resume(client, server)
    declared = [event for event in carry(client, server)[1] if hasattr(event, "types")]

    assert [entry.name for event in declared for entry in event.types] == ["C", "D"]
    assert server.positions().types == 4


def test_types_declared_before_the_handshake_is_complete_are_told_after_it() -> None:
    client, server = engine(Role.CONNECTING), accepting()
    client.declare((TypeEntry("A", TypeKind.MESSAGE),))
    told = carry(client, server)[1]

    assert [type(event).__name__ for event in told] == ["Opened", "Declared"]


class TestGoodbye:
    def test_it_is_said_again(self) -> None:
        client, server = ends()
        client.leave(GoodbyeCode.CLOSED, "done")
        all_of(client)
        lose(client, server)
        resume(client, server)
        (left,) = carry(client, server)[1]

        assert isinstance(left, Left)
        assert (left.goodbye.code, left.goodbye.reason) == (GoodbyeCode.CLOSED, "done")
        assert (client.state, server.state) == (State.LEAVING, State.LEFT)

    def test_it_is_said_at_last_where_there_was_no_connection(self) -> None:
        client, server = ends()
        client.send(1, b"x")
        lose(client, server)
        client.leave(GoodbyeCode.CLOSED, "")
        assert not client.begins
        assert client.state.value == "lost"
        resume(client, server)
        told = carry(client, server)[1]

        assert [type(event).__name__ for event in told] == ["Received", "Left"]
        assert client.state is State.LEAVING

    def test_who_has_heard_it_hears_it_again(self) -> None:
        client, server = ends()
        client.ask(1, b"", "tag")
        client.leave(GoodbyeCode.CLOSED, "")
        carry(client, server)
        assert server.state.value == "left"
        lose(client, server)
        resume(client, server)
        carry(client, server)
        assert (client.state.value, server.state.value) == ("leaving", "left")
        server.reply(1, 0, b"")
        server.leave(GoodbyeCode.CLOSED, "")

        assert [type(event).__name__ for event in carry(client, server)[0]] == ["Answered", "Left"]
        assert (client.state, server.state) == (State.CLOSED, State.CLOSED)

    @pytest.mark.parametrize("code", [GoodbyeCode.GOING_AWAY, GoodbyeCode.REFUSED, GoodbyeCode.DEADLINE])
    def test_in_place_of_the_welcome_it_may_be_tried_elsewhere(self, code: GoodbyeCode) -> None:
        client, _ = ends()
        lose(client)
        client.hello(0.0)
        goodbye = frame(Kind.GOODBYE, b"\x92" + bytes([0xA0 + len(code.value)]) + code.value.encode() + b"\xa0")

        assert client.receive(goodbye + frame(99), 0.0) == []
        assert client.state is State.LOST
        assert code.value in client.reason

    def test_or_it_is_the_last_word(self) -> None:
        client, _ = ends()
        client.send(1, b"x")
        lose(client)
        client.hello(0.0)
        client.receive(frame(Kind.GOODBYE, b"\x92\xacsession lost\xa2no"), 0.0)

        assert client.state is State.FAILED
        assert client.reason == "the peer said goodbye (session lost): no"
        client.drop("")
        assert [lost.payload for lost in client.undelivered] == [b"x"]

    @pytest.mark.parametrize("code", ["version", "violation", "session lost", "failed"])
    def test_who_says_that_something_is_wrong_does_not_come_back(self, code: str) -> None:
        _, server = ends()
        server.receive(frame(Kind.GOODBYE, b"\x92" + bytes([0xA0 + len(code)]) + code.encode() + b"\xa0"), 0.0)

        assert server.state.value == "left"
        assert not server.can_resume
        server.receive_end()
        assert server.state is State.CLOSED


class TestWhereItCannotGoOn:
    def answered(self, change: Callable[[Engine, Engine], None]) -> tuple[Engine, str]:
        """What a client says to a welcome after something has changed at the accepting end."""
        client, server = ends()
        client.send(1, b"x")
        carry(client, server)
        lose(client, server)
        asked = call(client)
        change(client, server)
        server.resume(asked, 0.0)
        client.receive(all_of(server), 0.0)
        return client, bytes(client.take()).decode("latin-1")

    def test_the_accepting_end_is_older_than_what_this_end_has_let_go(self) -> None:
        def older(client: Engine, server: Engine) -> None:
            client.normal.acknowledged = 1
            server.normal_in.expected = 1

        client, said = self.answered(older)
        assert client.state is State.FAILED
        assert client.reason == "the peer has received up to 0, which this end cannot go on from"
        assert "session lost" in said

    def test_another_session(self) -> None:
        def other(client: Engine, _: Engine) -> None:
            session = client.session
            assert session is not None
            client.session = type(session)(b"another", session.token, 0, 1.0)

        client, said = self.answered(other)
        assert (client.state, client.reason) == (State.FAILED, "the peer does not go on with the session")
        assert "session lost" in said

    def test_positions_that_do_not_fit(self) -> None:
        client, server = ends()
        for number in range(3):
            client.send(1, bytes([number]))
        said = all_of(client)
        server.receive(said, 0.0)
        server.send(1, b"queued, and not sent")
        here = client.positions()
        change = type(here.normal)
        assert server.disagreement(here) == ""
        for wrong, text in (
            (change(1, (), 1), "received up to 1, which this end cannot go on from"),
            (change(0, (7,), 1), "received up to 0, which this end cannot go on from"),
            (change(0, (), 5), "can send again from 5, this end lacks 4"),
        ):
            assert text in server.disagreement(type(here)(0, wrong, here.urgent))
        assert "knows 1 types" in server.disagreement(type(here)(1, here.normal, here.urgent))

    def test_a_peer_that_knows_fewer_types_than_the_greeting_told(self) -> None:
        entry = TypeEntry("A", TypeKind.MESSAGE)
        client, server = engine(Role.CONNECTING, catalogue=(entry,)), engine(Role.ACCEPTING)
        carry(client, server)

        assert "knows 0 types of this end, which has told 1" in client.disagreement(client.positions())

    def test_a_session_that_is_to_end_does_not_go_on(self) -> None:
        client, server = ends()
        client.end_session()
        assert not client.can_resume
        client.receive_end()
        assert client.state is State.CLOSED
        plain, _ = ends(features=())
        assert plain.session is None
        assert not plain.can_resume
        assert server.can_resume

    def test_there_is_no_room_for_the_connection(self) -> None:
        client, _ = ends()
        lose(client)
        client.hello(0.0)
        server = accepting()
        server.receive(all_of(client), 0.0)
        server.refuse_session("full", GoodbyeCode.REFUSED)
        client.receive(all_of(server), 0.0)

        assert (client.state, server.state) == (State.LOST, State.FAILED)

    def test_it_is_refused(self) -> None:
        client, _ = ends()
        lose(client)
        client.hello(0.0)
        server = accepting()
        server.receive(all_of(client), 0.0)
        assert server.state is State.GREETED
        server.refuse_session("there is none")
        client.receive(all_of(server), 0.0)

        assert (client.state, server.state) == (State.FAILED, State.FAILED)
        assert client.reason == "the peer said goodbye (session lost): there is none"
        server.refuse_session("again")
        assert server.reason == "there is none"


class TestDeadlines:
    def test_a_handshake_that_takes_too_long_is_a_lost_connection(self) -> None:
        client, _ = ends()
        lose(client)
        client.hello(100.0)
        assert client.due(5.0, 30.0) == 105.0
        assert not client.expired(104.0, 5.0, 30.0)

        assert client.expired(105.0, 5.0, 30.0)
        assert (client.state, client.reason) == (State.LOST, "no handshake within 5 s")

    def test_so_is_a_frame_that_stops(self) -> None:
        client, server = ends()
        client.send(1, b"x")
        server.receive(all_of(client)[:10], 7.0)
        assert server.due(5.0, 30.0) == 37.0

        assert server.expired(37.0, 5.0, 30.0)
        assert (server.state, server.reason) == (State.LOST, "a frame was begun and not finished within 30 s")
        lose(client)
        resume(client, server)
        assert len(carry(client, server)[1]) == 1


def test_the_end_of_the_bytes_is_a_lost_connection() -> None:
    client, server = ends()
    client.send(1, b"x")
    server.receive(all_of(client)[:10], 0.0)
    server.receive_end()

    assert server.state is State.LOST
    assert "in the middle of a frame" in server.reason
    lose(client)
    resume(client, server)
    carry(client, server)
    assert server.reason == ""
    assert not server.cut


def test_consuming_says_nothing_before_the_hello() -> None:
    client, server = (End(engine) for engine in ends())
    server.answers = False
    id_ = client.engine.ask(1, b"", "stream")
    talk(client, server)
    server.engine.item(id_, 0, bytes(900))
    talk(client, server)
    (item,) = client.items[id_]
    lose(client.engine, server.engine)
    client.engine.consume(id_, len(item))

    assert client.engine.unsent == 0
    resume(client.engine, server.engine)
    talk(client, server)
    server.engine.end(id_)
    talk(client, server)
    assert [answer.kind for answer in client.answered["stream"]] == [END]


def test_what_may_have_come_the_other_time_is_not_called_unsent() -> None:
    """A peer whose process was killed lacks what it had begun: it waits here again, and has been seen."""
    client, server = ends()
    seen = client.ask(1, b"", "seen")
    all_of(client)
    lose(client, server)
    resume(client, server)
    client.receive(all_of(server), 0.0)
    unseen = client.ask(1, b"", "unseen")

    assert client.unsent > 0
    assert client.unsent_requests() == {unseen}
    assert seen != unseen
