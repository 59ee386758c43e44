"""A session that is stored: killed at any moment, made again, gone on with; nothing lost, nothing sent for the first
time twice, and handled again only what was under way."""

from __future__ import annotations

import random

import msgspec
import pytest

from tests.protocol.lasting import SMALL, End, all_of, call, ends
from tests.protocol.sessions import NOTE, RECEIPT
from tomada.protocol import Answered, Asked, Engine, Hello, Received, Role, State, Welcome
from tomada.protocol.durability import Changes, StoredChunk
from tomada.protocol.frames import ERROR
from tomada.protocol.handshake import SESSION, Failure, FailureCode

DIGEST = b"the server's catalogue"


class Shelf:
    """What a store has of one session."""

    def __init__(self) -> None:
        self.head = b""
        self.chunks: dict[int, StoredChunk] = {}

    def commit(self, changes: Changes) -> None:
        if changes.is_whole:
            self.chunks.clear()
        self.head = changes.head
        self.chunks |= {chunk.number: chunk for chunk in changes.added}
        for number in changes.dropped:
            self.chunks.pop(number, None)

    def restored(self, digest: bytes = DIGEST) -> Engine:
        engine = Engine(Role.ACCEPTING, Welcome(software="test", limits=SMALL), 0.0)
        assert engine.restore(self.head, sorted(self.chunks.values()), digest) == ""
        return engine


def begun() -> tuple[Engine, Engine, Shelf]:
    client, server = ends()
    server.own_digest = DIGEST
    shelf = Shelf()
    shelf.commit(server.changes())
    return client, server, shelf


def say(server: Engine, shelf: Shelf) -> bytes:
    """As the driver does: report, commit, then send."""
    server.report(at_once=True)
    shelf.commit(server.changes())
    return all_of(server)


def come_back(client: Engine, server: Engine, shelf: Shelf, caller: End | None = None) -> None:
    """After a kill: the client finds the next process."""
    client.lose("killed")
    asked = call(client)
    assert server.disagreement(asked.positions) == ""
    server.resume(asked, 0.0)
    shelf.commit(server.changes())
    (caller or End(client)).receive(all_of(server))


def test_what_was_not_handled_comes_again_and_what_was_does_not() -> None:
    client, server, shelf = begun()
    peer = End(server, answers=False)
    for number in range(5):
        client.send(1, b"note %d" % number)
    asked = client.ask(1, b"request", "tag")
    peer.receive(all_of(client))
    for place in (0, 0, 1):  # notes 0, 1 and 3
        peer.handle(place)
    client.receive(say(server, shelf), 0.0)
    keys = dict(peer.keys)

    again = shelf.restored()
    assert again.state is State.LOST
    come_back(client, again, shelf)
    peer = End(again)
    peer.receive(all_of(client))

    assert peer.received[False] == [b"note 2", b"note 4", b"request"]
    assert all(keys[payload] == key for payload, key in peer.keys.items())
    (answer,) = client.receive(say(again, shelf), 0.0)
    assert isinstance(answer, Answered)
    assert (answer.tag, answer.payload) == ("tag", b"request")
    assert asked == 1
    assert client.kept == 0


def test_a_reply_that_was_committed_and_never_sent_is_sent_by_the_next_process() -> None:
    client, server, shelf = begun()
    client.ask(1, b"request", "tag")
    peer = End(server)
    peer.receive(all_of(client))
    say(server, shelf)  # and killed before a byte of it has gone

    again = shelf.restored()
    come_back(client, again, shelf)
    peer = End(again)
    peer.receive(all_of(client))
    events = client.receive(say(again, shelf), 0.0)

    assert peer.received[False] == []
    assert [event.payload for event in events if isinstance(event, Answered)] in ([], [b"request"])
    assert client.own_requests == 0


def test_a_stream_that_had_begun_ends_with_an_error() -> None:
    client, server, shelf = begun()
    client.ask(1, b"watch", "tag")
    peer = End(server, answers=False)
    peer.receive(all_of(client))
    server.item(1, 0, b"first")
    client.receive(say(server, shelf), 0.0)

    again = shelf.restored()
    come_back(client, again, shelf)
    peer = End(again)
    peer.receive(all_of(client))
    (answer,) = (event for event in client.receive(say(again, shelf), 0.0) if isinstance(event, Answered))

    assert peer.received[False] == []
    assert answer.kind == ERROR
    assert msgspec.msgpack.decode(answer.payload, type=Failure).code is FailureCode.LOST


def test_answers_to_a_process_that_is_gone_mean_nothing_and_ids_are_not_used_again() -> None:
    client, server, shelf = begun()
    id_ = server.ask(1, b"what?", "tag of the old process")
    said = say(server, shelf)
    (asked,) = (event for event in client.receive(said, 0.0) if isinstance(event, Asked))
    client.reply(asked.id, 1, b"this")

    again = shelf.restored()
    come_back(client, again, shelf)
    assert End(again).engine.receive(all_of(client), 0.0) == []
    assert again.state is State.OPEN
    assert again.ask(1, b"and now?", "new tag") > id_


def test_types_that_were_told_are_known_to_the_next_process() -> None:
    client, server, shelf = begun()
    client.declare((NOTE,))
    server.declare((RECEIPT,))
    server.receive(all_of(client), 0.0)
    client.receive(say(server, shelf), 0.0)

    again = shelf.restored()
    assert again.peer_entries == [NOTE]
    assert again.declared == (RECEIPT,)
    come_back(client, again, shelf)
    client.declare((RECEIPT,))
    again.receive(all_of(client), 0.0)
    assert again.peer_entries == [NOTE, RECEIPT]


def test_a_message_that_had_come_in_part_comes_again_as_a_whole() -> None:
    client, server, shelf = begun()
    client.send(1, b"before")
    client.send(1, bytes(3_000))
    said = all_of(client)
    peer = End(server)
    peer.receive(said[: len(said) - 500])
    client.receive(say(server, shelf), 0.0)
    assert peer.received[False] == [b"before"]

    again = shelf.restored()
    come_back(client, again, shelf)
    peer = End(again)
    peer.receive(all_of(client))
    assert peer.received[False] == [bytes(3_000)]


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"\xc1", "cannot be read"),
        (b"", "cannot be read"),
        (msgspec.msgpack.encode([2]), "cannot be read"),
    ],
)
def test_what_makes_no_sense_is_refused(head: bytes, reason: str) -> None:
    engine = Engine(Role.ACCEPTING, Welcome(limits=SMALL), 0.0)
    assert reason in engine.restore(head, [], DIGEST)


def test_another_format_and_other_types_are_refused() -> None:
    _, _, shelf = begun()
    fields = msgspec.msgpack.decode(shelf.head)
    newer = msgspec.msgpack.encode([99, *fields[1:]])
    engine = Engine(Role.ACCEPTING, Welcome(limits=SMALL), 0.0)
    assert "format 99" in engine.restore(newer, [], DIGEST)
    assert "types of this server have changed" in engine.restore(shelf.head, [], b"another catalogue")


def test_a_store_that_is_older_than_what_was_seen_is_told_by_the_epoch() -> None:
    client, server, shelf = begun()
    older = Shelf()
    older.head, older.chunks = shelf.head, dict(shelf.chunks)
    come_back(client, server, shelf)
    assert client.epoch == server.epoch == 1

    again = older.restored()
    client.lose("killed")
    assert call(client).epoch > again.epoch


@pytest.mark.parametrize("seed", range(150))
def test_killed_at_any_moment_nothing_is_lost_doubled_or_reordered(seed: int) -> None:
    dice = random.Random(seed)
    client, server, shelf = begun()
    peer, caller = End(server, answers=False), End(client)
    handled: dict[str, int] = {}
    sent = pushed = 0
    for step in range(400):
        draining = step > 300
        match dice.randrange(8):
            case 0 | 1 if not draining and client.begins and not client.full:
                payload = b"%06d" % sent + bytes(dice.choice([0, 10, 1_500, 3_500]))
                if dice.random() < 0.5 or client.room <= 0:
                    client.send(1, payload)
                else:
                    client.ask(1, payload, sent)
                sent += 1
            case 2:
                said = all_of(client)
                peer.receive(said)
            case 3 if peer.waiting:
                place = dice.randrange(len(peer.waiting))
                event = peer.waiting[place]
                handled[server.key(event.origin)] = handled.get(server.key(event.origin), 0) + 1
                peer.handle(place)
            case 4 if not draining and server.begins and not server.full:
                server.send(1, b"push %06d" % pushed)
                # It is known to the application only when it is stored.
                shelf.commit(server.changes())
                pushed += 1
            case 5:
                caller.receive(say(server, shelf))
                client.report(at_once=True)
            case 6 if dice.random() < 0.15 and not draining:
                if dice.random() < 0.5:
                    said = all_of(client)
                    peer.receive(said[: dice.randrange(len(said) + 1)])
                server = shelf.restored()
                come_back(client, server, shelf, caller)
                peer = End(server, answers=False)
            case _:
                pass
    for _ in range(60):
        peer.receive(all_of(client))
        while peer.waiting:
            key = server.key(peer.waiting[0].origin)
            handled[key] = handled.get(key, 0) + 1
            peer.handle(0)
        caller.receive(say(server, shelf))
        client.report(at_once=True)

    assert len(handled) == sent, "each was handled, by one key each"
    assert caller.received[False] == [b"push %06d" % number for number in range(pushed)]
    assert client.own_requests == 0
    assert all(len(answers) == 1 for answers in caller.answered.values())
    assert client.kept == 0
    assert server.kept == 0
    assert {number for number, chunk in shelf.chunks.items() if chunk.lane} <= {
        chunk.number for lane in (server.normal, server.urgent) for chunk in lane.retained
    } | set(server.normal.gone)


def test_received_is_an_event() -> None:
    client, server, shelf = begun()
    client.send(1, b"x")
    (event,) = server.receive(all_of(client), 0.0)
    assert isinstance(event, Received)
    assert shelf.restored().session is not None
    assert Hello(features=(SESSION,)).session is None
