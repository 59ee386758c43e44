"""A session that is stored, and made again by another process."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol.lasting import SMALL, End, accepting, all_of, close, lose, resume, talk
from tests.protocol.pairs import frame
from tomada.protocol import (
    Answered,
    Engine,
    Failure,
    FailureCode,
    Hello,
    Item,
    Kind,
    Role,
    State,
    TypeEntry,
    TypeKind,
)
from tomada.protocol.durability import Changes, StoredChunk, token_of
from tomada.protocol.frames import ERROR
from tomada.protocol.handshake import SESSION

DIGEST = b"of the types"
NOTE = TypeEntry("Note", TypeKind.MESSAGE)


class Disk:
    """What has been committed."""

    def __init__(self) -> None:
        self.head = b""
        self.chunks: dict[int, StoredChunk] = {}
        self.wholes = 0

    def commit(self, changes: Changes) -> None:
        self.head = changes.head
        self.wholes += changes.is_whole
        for number in changes.dropped:
            del self.chunks[number]
        for chunk in changes.added:
            self.chunks[chunk.number] = chunk

    def restored(self, digest: bytes = DIGEST) -> tuple[Engine, str]:
        engine = accepting()
        reason = engine.restore(self.head, [*self.chunks.values()][::-1], digest)
        return engine, reason


def stored_pair(*, answers: bool = True) -> tuple[End, End, Disk]:
    """Two ends, of which the accepting one is stored."""
    client = Engine(Role.CONNECTING, Hello(limits=SMALL, features=(SESSION,), catalogue=(NOTE,)), 0.0)
    server = accepting()
    server.own_digest = DIGEST
    ends = End(client, answers=answers), End(server, answers=answers)
    talk(*ends)
    disk = Disk()
    disk.commit(server.changes())
    return *ends, disk


def exchange(client: End, server: End, disk: Disk) -> None:
    """Nothing of the accepting end goes out before it is stored."""
    while client.engine.unsent or server.engine.unsent:
        server.receive(all_of(client.engine))
        server.engine.report(at_once=True)
        disk.commit(server.engine.changes())
        client.receive(all_of(server.engine))
        client.engine.report(at_once=True)


def killed(client: End, server: End, disk: Disk) -> End:
    """Its process is, and another one goes on."""
    engine, reason = disk.restored()
    assert reason == ""
    assert engine.state is State.LOST
    assert engine.begins
    lose(client.engine)
    resume(client.engine, engine)
    return End(engine, answers=server.answers)


def test_what_was_held_comes_again_with_the_same_key() -> None:
    client, server, disk = stored_pair(answers=False)
    for text in (b"one", b"two", bytes(2_500), b"four"):
        client.engine.send(1, text)
    client.engine.send(1, b"urgent", True)
    exchange(client, server, disk)
    server.handle(2)  # behind the urgent one
    server.engine.report(at_once=True)
    disk.commit(server.engine.changes())
    again = killed(client, server, disk)
    exchange(client, again, disk)

    assert again.received == {False: [b"one", bytes(2_500), b"four"], True: [b"urgent"]}
    assert all(server.keys[payload] == key for payload, key in again.keys.items())
    again.handle_all()
    again.engine.report(at_once=True)
    exchange(client, again, disk)
    assert client.engine.kept == 0
    close(client, again)


def test_an_answer_that_was_stored_is_sent_and_no_more() -> None:
    client, server, disk = stored_pair()
    client.engine.ask(1, b"x", "tag")
    server.receive(all_of(client.engine))
    disk.commit(server.engine.changes())
    again = killed(client, server, disk)
    exchange(client, again, disk)

    assert again.received[False] == []
    assert [answer.payload for answer in client.answered["tag"]] == [b"x"]


def test_a_stream_that_had_begun_is_ended_with_a_failure() -> None:
    client, server, disk = stored_pair(answers=False)
    id_ = client.engine.ask(1, b"x", "stream")
    server.receive(all_of(client.engine))
    server.engine.item(id_, 1, b"first")
    disk.commit(server.engine.changes())
    again = killed(client, server, disk)
    exchange(client, again, disk)

    assert again.waiting == []
    assert client.items == {id_: [b"first"]}
    (answer,) = client.answered["stream"]
    assert answer.kind == ERROR
    assert msgspec.msgpack.decode(answer.payload, type=Failure).code is FailureCode.LOST


@pytest.mark.parametrize("follows", ["end", "cancel"])
def test_what_followed_a_request_and_was_acknowledged_does_not_leave_it_waiting_for_ever(follows: str) -> None:
    client, server, disk = stored_pair(answers=False)
    id_ = client.engine.ask(1, b"x", "upload without a part")
    getattr(client.engine, follows)(id_)
    server.receive(all_of(client.engine))
    assert server.ended + server.cancelled == [id_]
    server.engine.report(at_once=True)
    disk.commit(server.engine.changes())
    client.receive(all_of(server.engine))
    again = killed(client, server, disk)
    exchange(client, again, disk)

    assert again.waiting == []
    assert client.engine.own_requests == 0


def test_types_are_stored_at_both_ends() -> None:
    client, server, disk = stored_pair()
    client.engine.declare((NOTE,))
    server.engine.declare((TypeEntry("Mine", TypeKind.MESSAGE),))
    exchange(client, server, disk)
    again = killed(client, server, disk)

    assert [entry.name for entry in again.engine.peer_entries] == ["Note", "Note"]
    assert [entry.name for entry in again.engine.declared] == ["Mine"]
    assert again.engine.positions().types == 2
    assert disk.wholes == 1


def test_answers_to_the_process_before_are_passed_over() -> None:
    client, server, disk = stored_pair()
    id_ = server.engine.ask(1, b"x", "gone")
    exchange(client, server, disk)
    server.engine.drop("killed")
    again = killed(client, server, disk)
    client.engine.receive(b"", 0.0)
    exchange(client, again, disk)
    again.receive(frame(Kind.ERROR, id_=id_, sequence=2))

    assert again.engine.state is State.OPEN
    assert again.answered == {}


def test_what_is_acknowledged_is_not_stored_any_more() -> None:
    client, server, disk = stored_pair()
    for _ in range(20):
        client.engine.ask(1, bytes(500), "tag")
        exchange(client, server, disk)
    server.engine.report(at_once=True)
    exchange(client, server, disk)
    disk.commit(server.engine.changes())

    assert [chunk.lane for chunk in disk.chunks.values()] == [0]


class TestWhatCannotBe:
    @pytest.mark.parametrize("head", [b"", b"\xc0", b"\x93\x01"])
    def test_a_head_that_cannot_be_read(self, head: bytes) -> None:
        assert "cannot be read" in accepting().restore(head, [], DIGEST)
        assert token_of(head) == b""

    def test_another_format(self) -> None:
        _, _, disk = stored_pair()
        fields: list[Any] = msgspec.msgpack.decode(disk.head)
        fields[0] = 2
        disk.head = msgspec.msgpack.encode(fields)

        assert disk.restored()[1] == "the session was stored in format 2, this program reads 1"
        assert token_of(msgspec.msgpack.encode(fields[:2])) == fields[1][1]

    def test_other_types(self) -> None:
        _, _, disk = stored_pair()

        assert disk.restored(b"others")[1] == "the types of this server have changed since the session was stored"


@given(st.lists(st.tuples(st.sampled_from("sakhcdr"), st.integers(0, 9)), max_size=40))
@settings(deadline=None, max_examples=200)
def test_whatever_happens_nothing_is_lost_and_what_was_handled_is_not_handled_again(  # noqa: C901 - a step for each letter
    steps: list[tuple[str, int]],
) -> None:
    """s: send, a: ask, h: handle, c: commit, d: deliver, k: kill, r: report."""
    client, server, disk = stored_pair(answers=False)
    committed: set[bytes] = set()
    sent: list[bytes] = []
    handled: list[bytes] = []
    for what, number in steps:
        payload = len(sent).to_bytes(2, "big") + bytes(200 * number)
        if what in "sa" and not client.engine.full and client.engine.room > 0:
            sent.append(payload)
            if what == "s":
                client.engine.send(1, payload)
            else:
                client.engine.ask(1, payload, len(sent))
        elif what == "h" and server.waiting and not server.engine.stuffed:
            place = number % len(server.waiting)
            handled.append(server.waiting[place].payload)
            server.handle(place)
        elif what == "c":
            disk.commit(server.engine.changes())
            committed = set(handled)
            client.receive(all_of(server.engine))
        elif what == "d":
            server.receive(all_of(client.engine))
        elif what == "r":
            server.engine.report(at_once=True)
            client.engine.report(at_once=True)
        elif what == "k":
            handled = [payload for payload in handled if payload in committed]
            server = killed(client, server, disk)
            disk.commit(server.engine.changes())
            client.receive(all_of(server.engine))
    for _ in range(10):
        exchange(client, server, disk)
        while server.waiting and not server.engine.stuffed:
            handled.append(server.waiting[0].payload)
            server.handle(0)
        server.engine.report(at_once=True)
    exchange(client, server, disk)

    assert sorted(handled) == sorted(sent)
    assert client.engine.idle
    for answers in client.answered.values():
        assert len(answers) == 1
        assert isinstance(answers[0], Answered)
    assert client.engine.kept == 0
    assert not any(isinstance(event, Item) for event in client.others)
