"""Items of requests, from either end, with a credit each."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol.lasting import SMALL, End, all_of, ends, lose, resume, talk
from tests.protocol.pairs import frame, heads
from tomada.protocol import Answered, Cancelled, Credited, Ended, Item, Kind, State
from tomada.protocol.frames import END, ERROR, HEADER_BYTES, NORMAL, REPLY, URGENT

WINDOW = SMALL.stream_bytes


def both(*, answers: bool = False) -> tuple[End, End]:
    client, server = ends()
    return End(client, answers=answers), End(server, answers=answers)


def opened(*, urgent: bool = False) -> tuple[End, End, int]:
    """Two ends, and a request that is to be answered with a stream."""
    client, server = both()
    id_ = client.engine.ask(1, b"", "stream", None, None, urgent)
    talk(client, server)
    return client, server, id_


@pytest.mark.parametrize("urgent", [False, True])
def test_items_and_their_end(*, urgent: bool) -> None:
    client, server, id_ = opened(urgent=urgent)
    for number in range(3):
        server.engine.item(id_, number, bytes([number]))
    server.engine.end(id_)
    said = all_of(server.engine)
    told = client.engine.receive(said, 0.0)

    assert told == [
        *[Item(id_, "stream", number, bytes([number])) for number in range(3)],
        Answered("stream", END, 0, b""),
    ]
    assert {head[2] for head in heads(said)} == {URGENT if urgent else NORMAL}
    assert client.engine.idle
    assert server.engine.idle
    assert (client.engine._inflows, server.engine._outflows) == ({}, {})
    assert client.engine.received_messages == server.engine.sent_messages == 1


@pytest.mark.parametrize("urgent", [False, True])
def test_parts_and_their_end(*, urgent: bool) -> None:
    client, server, id_ = opened(urgent=urgent)
    client.engine.item(id_, 1, b"part")
    client.engine.item(id_, 1, bytes(1_500))
    client.engine.end(id_)
    said = all_of(client.engine)
    told = server.engine.receive(said, 0.0)

    assert told == [Item(id_, None, 1, b"part"), Item(id_, None, 1, bytes(1_500)), Ended(id_)]
    assert {head[2] & 3 for head in heads(said)} == {URGENT if urgent else NORMAL}
    assert server.engine.stream_bytes_waiting(id_) == 1_504 + 2 * HEADER_BYTES
    server.engine.reply(id_, 1, b"stored")
    assert client.engine.receive(all_of(server.engine), 0.0) == [Answered("stream", REPLY, 1, b"stored")]
    for end in (client.engine, server.engine):
        assert (end._inflows, end._outflows, end.idle) == ({}, {}, True)
        assert end.stream_bytes_waiting(id_) == 0
    assert client.engine.sent_messages == server.engine.received_messages == 1


def test_both_ways_at_once() -> None:
    client, server, id_ = opened()
    for number in range(5):
        client.engine.item(id_, 0, bytes([number]))
        server.engine.item(id_, 0, bytes([10 + number]))
        talk(client, server)
    client.engine.end(id_)
    talk(client, server)
    server.engine.item(id_, 0, b"last")
    server.engine.end(id_)
    talk(client, server)

    assert server.items == {id_: [bytes([number]) for number in range(5)]}
    assert client.items == {id_: [*[bytes([10 + number]) for number in range(5)], b"last"]}
    assert (server.ended, len(client.answered["stream"])) == ([id_], 1)


def test_a_stream_may_end_in_an_error() -> None:
    client, server, id_ = opened()
    server.engine.item(id_, 0, b"x")
    server.engine.fail(id_, 1, b"")
    server.engine.item(id_, 0, b"too late")
    server.engine.end(id_)
    talk(client, server)

    assert client.items == {id_: [b"x"]}
    assert [answer.kind for answer in client.answered["stream"]] == [ERROR]


def test_nothing_goes_after_the_end_of_the_parts() -> None:
    client, server, id_ = opened()
    client.engine.end(id_)
    client.engine.end(id_)
    client.engine.item(id_, 0, b"more")
    talk(client, server)

    assert (server.ended, server.items) == ([id_], {})


def test_nothing_goes_for_what_is_not_open() -> None:
    client, server, id_ = opened()
    client.engine.cancel(id_)
    for end in (client.engine, server.engine):
        end.item(77, 0, b"")
        end.end(77)
    client.engine.item(id_, 0, b"")
    client.engine.end(id_)

    assert [head[1] for head in heads(all_of(client.engine))] == [Kind.CANCEL]
    assert server.engine.unsent == 0


class TestCredit:
    def test_who_sends_waits_for_who_takes(self) -> None:
        client, server = (End(engine) for engine in ends())
        server.answers = False
        id_ = client.engine.ask(1, b"", "stream")
        talk(client, server)
        count = 0
        while server.engine.has_stream_room(id_):
            server.engine.item(id_, 0, bytes(100))
            count += 1
        assert count == -(-WINDOW // 116)
        taken = [event for event in client.engine.receive(all_of(server.engine), 0.0) if isinstance(event, Item)]
        assert client.engine.stream_bytes_waiting(id_) == count * 116
        client.engine.consume(id_, 100)
        client.engine.consume(id_, 100)
        assert client.engine.unsent == 0
        client.engine.consume(id_, 100)
        (told,) = server.engine.receive(all_of(client.engine), 0.0)

        assert told == Credited(id_)
        assert server.engine.has_stream_room(id_)
        assert server.engine._outflows[id_].credit == client.engine._inflows[id_].credit == WINDOW + 3 * 116
        assert len(taken) == count

    def test_one_item_may_go_beyond(self) -> None:
        client, server, id_ = opened()
        server.engine.item(id_, 0, bytes(4_096))
        assert not server.engine.has_stream_room(id_)
        client.engine.receive(all_of(server.engine), 0.0)
        assert client.engine.state is State.OPEN
        server.engine.item(id_, 0, b"")
        client.engine.receive(all_of(server.engine), 0.0)

        assert client.engine.reason == f"an item of request {id_} came beyond its credit of {WINDOW} bytes"

    def test_streams_do_not_use_up_that_of_the_lane(self) -> None:
        client, server, id_ = opened()
        for _ in range(40):
            server.engine.item(id_, 0, bytes(900))
            talk(client, server)
        assert len(client.items[id_]) == 40
        assert server.engine.credit_left > 0
        assert not server.engine.full

    @given(st.lists(st.tuples(st.integers(0, 1_200), st.integers(0, 3), st.booleans()), max_size=40))
    @settings(deadline=None)
    def test_both_ends_count_alike_however_often_it_is_cut(self, steps: list[tuple[int, int, bool]]) -> None:
        client, server, id_ = opened()
        waiting: list[int] = []

        def arrive(data: bytes) -> None:
            told = client.engine.receive(data, 0.0)
            waiting.extend(len(event.payload) for event in told if isinstance(event, Item))

        for size, consumed, is_cut in steps:
            if server.engine.has_stream_room(id_):
                server.engine.item(id_, 0, bytes(size))
            if is_cut:
                arrive(all_of(server.engine)[:700])
                lose(client.engine, server.engine)
                resume(client.engine, server.engine)
            while client.engine.unsent or server.engine.unsent:
                arrive(all_of(server.engine))
                client.engine.report()
                server.engine.receive(all_of(client.engine), 0.0)
                server.engine.report()
            for _ in range(min(consumed, len(waiting))):
                client.engine.consume(id_, waiting.pop(0))
            server.engine.receive(all_of(client.engine), 0.0)
            if id_ in server.engine._outflows and id_ in client.engine._inflows:
                out, in_ = server.engine._outflows[id_], client.engine._inflows[id_]
                assert (out.credit, out.offset) == (in_.credit, in_.offset)
                assert in_.offset - in_.used <= WINDOW + 1_216
        assert client.engine.state is server.engine.state is State.OPEN


class TestCancel:
    def test_it_stays_behind_its_request(self) -> None:
        client, server = both()
        id_ = client.engine.ask(1, b"", "stream")
        client.engine.cancel(id_)
        talk(client, server)

        assert server.cancelled == [id_]
        assert len(server.received[False]) == 1

    def test_it_is_said_again(self) -> None:
        client, server, id_ = opened()
        client.engine.cancel(id_)
        all_of(client.engine)
        lose(client.engine, server.engine)
        resume(client.engine, server.engine)
        talk(client, server)

        assert server.cancelled == [id_]

    def test_items_that_cross_it_are_told_without_a_tag(self) -> None:
        client, server, id_ = opened()
        server.engine.item(id_, 0, b"x")
        client.engine.cancel(id_)
        assert client.engine.receive(all_of(server.engine), 0.0) == [Item(id_, None, 0, b"x")]
        assert server.engine.receive(all_of(client.engine), 0.0) == [Cancelled(id_)]
        server.engine.end(id_)
        assert client.engine.receive(all_of(server.engine), 0.0) == [Answered(None, END, 0, b"")]

    def test_parts_that_cross_the_answer_mean_nothing(self) -> None:
        client, server, id_ = opened()
        client.engine.item(id_, 0, b"x")
        client.engine.end(id_)
        server.engine.reply(id_, 0, b"")
        client.engine.receive(all_of(server.engine), 0.0)

        assert server.engine.receive(all_of(client.engine), 0.0) == []
        assert server.engine.state is State.OPEN
        assert server.engine._inflows == {}


def test_credit_for_a_stream_that_has_ended_means_nothing() -> None:
    client, _, _ = opened()
    client.engine.receive(frame(Kind.CREDIT, bytes(8), id_=99), 0.0)

    assert client.engine.state is State.OPEN


def test_an_answer_of_a_process_before_this_one_is_passed_over() -> None:
    """A store may bring back a session without the calls that its process had under way."""
    _, server = ends()
    server._orphans = 10
    answers = frame(Kind.REPLY, id_=2) + frame(Kind.ITEM, id_=4, sequence=2) + frame(Kind.END, id_=4, sequence=3)

    assert server.receive(answers, 0.0) == []
    assert server.state is State.OPEN
    server.receive(frame(Kind.ERROR, id_=12, sequence=4), 0.0)
    assert server.reason == "an answer came to request 12, which nobody asked"


@pytest.mark.parametrize("urgent", [False, True])
def test_items_that_nobody_acknowledges_wait_for_that(*, urgent: bool) -> None:
    """Whatever credit the peer grants: what it has not acknowledged is held here."""
    _, server, id_ = opened(urgent=urgent)
    server.engine.receive(frame(Kind.CREDIT, (1 << 20).to_bytes(8, "big"), id_=id_), 0.0)
    while not server.engine.is_stuffed(urgent=urgent):
        server.engine.item(id_, 0, bytes(1_000))
        all_of(server.engine)
        assert server.engine.kept < 20_000
