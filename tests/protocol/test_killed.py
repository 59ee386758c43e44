"""A server that is killed at any moment, made again from its store, and gone on with."""

from __future__ import annotations

import random

import pytest

from tests.protocol.lasting import SMALL, End, all_of, call, ends
from tomada.protocol import Engine, Role, Welcome
from tomada.protocol.durability import Changes, StoredChunk

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


def test_a_store_that_is_older_than_what_was_seen_is_told_by_the_epoch() -> None:
    client, server, shelf = begun()
    older = Shelf()
    older.head, older.chunks = shelf.head, dict(shelf.chunks)
    come_back(client, server, shelf)
    assert client.epoch == server.epoch == 1

    again = older.restored()
    client.lose("killed")
    assert call(client).epoch > again.epoch


class Story:
    """A client and the servers that follow one another, as a seed has it."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.client, self.server, self.shelf = begun()
        self.peer, self.caller = End(self.server, answers=False), End(self.client)
        self.handled: dict[str, int] = {}
        self.sent = self.pushed = 0

    def begin(self) -> None:
        client = self.client
        if not client.begins or client.full:
            return
        payload = b"%06d" % self.sent + bytes(self.dice.choice([0, 10, 1_500, 3_500]))
        if self.dice.random() < 0.5 or client.room <= 0:
            client.send(1, payload)
        else:
            client.ask(1, payload, self.sent)
        self.sent += 1

    def push(self) -> None:
        if self.server.begins and not self.server.full:
            self.server.send(1, b"push %06d" % self.pushed)
            self.shelf.commit(self.server.changes())  # it is known to the application only when it is stored
            self.pushed += 1

    def kill(self) -> None:
        if self.dice.random() < 0.85:
            return
        if self.dice.random() < 0.5:
            said = all_of(self.client)
            self.peer.receive(said[: self.dice.randrange(len(said) + 1)])
        self.server = self.shelf.restored()
        come_back(self.client, self.server, self.shelf, self.caller)
        self.peer = End(self.server, answers=False)

    def handle(self) -> None:
        if self.peer.waiting:
            place = self.dice.randrange(len(self.peer.waiting))
            key = self.server.key(self.peer.waiting[place].origin)
            self.handled[key] = self.handled.get(key, 0) + 1
            self.peer.handle(place)

    def listen(self) -> None:
        self.peer.receive(all_of(self.client))

    def answer(self) -> None:
        self.caller.receive(say(self.server, self.shelf))
        self.client.report(at_once=True)

    def tell(self) -> None:
        for _ in range(300):
            self.dice.choice([self.begin, self.begin, self.push, self.kill, self.handle, self.listen, self.answer])()
        for _ in range(60):
            self.listen()
            while self.peer.waiting:
                self.handle()
            self.answer()


@pytest.mark.parametrize("seed", range(150))
def test_killed_at_any_moment_nothing_is_lost_doubled_or_reordered(seed: int) -> None:
    story = Story(seed)
    story.tell()
    client, server = story.client, story.server

    assert len(story.handled) == story.sent, "each was handled, by one key each"
    assert story.caller.received[False] == [b"push %06d" % number for number in range(story.pushed)]
    assert client.own_requests == 0
    assert all(len(answers) == 1 for answers in story.caller.answered.values())
    assert client.kept == server.kept == 0
    assert {number for number, chunk in story.shelf.chunks.items() if chunk.lane} <= set(server.normal.gone)
