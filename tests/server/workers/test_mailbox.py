"""The way from one worker to another, and who is asked to take a connection."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest

from tests.sessions.callers import NOWHERE
from tomada.address import Address
from tomada.protocol import Hello
from tomada.protocol.frames import HEADER_BYTES
from tomada.protocol.handshake import Resume, decode_hello
from tomada.server.workers.mailbox import Full, Gone, Handed, mailbox, probe, receive, send
from tomada.server.workers.neighbours import Neighbours
from tomada.sessions.elsewhere import Fate

PEER = Address("tcp", "127.0.0.1", 1)
Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def connection() -> Iterator[Pair]:
    """The two ends of one."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def caller(accepted: socket.socket, *, unfinished: int = 0) -> Any:
    """As much of a link as is looked at."""
    transport = SimpleNamespace(get_extra_info=lambda _: accepted)
    return SimpleNamespace(transport=transport, engine=SimpleNamespace(unfinished=unfinished), peer=PEER)


def hello(place: int) -> Hello:
    identity = (place - 1).to_bytes(2, "big") + bytes(14)
    return Hello(session=Resume(identity, bytes(32), 0, 1, NOWHERE))


def test_a_connection_and_what_it_has_said_arrive_together(connection: Pair) -> None:
    ours, theirs = connection
    inbox, box = mailbox()
    with inbox, box:
        assert receive(inbox) is None
        probe(box)
        send(box, Handed(1.5, PEER, b"hello"), ours.fileno())
        came = receive(inbox)
        assert came is not None
        handed, accepted = came
        assert handed == Handed(1.5, PEER, b"hello")
        with accepted:
            accepted.send(b"x")
        assert theirs.recv(1) == b"x"


def test_who_is_gone_and_who_has_no_room_are_told_apart(connection: Pair) -> None:
    ours, _ = connection
    inbox, box = mailbox()
    with box:
        long = Handed(time.monotonic(), PEER, bytes(65_552))
        with pytest.raises(Full):  # noqa: PT012 - which one finds no room is the system's affair
            for _ in range(1_000):
                send(box, long, ours.fileno())
        inbox.close()
        for _ in range(2):
            with pytest.raises(Gone):
                send(box, Handed(time.monotonic(), PEER, b""), ours.fileno())
            with pytest.raises(Gone):
                probe(box)


def test_what_is_no_connection_is_dropped_and_the_next_one_arrives(connection: Pair) -> None:
    ours, _ = connection
    inbox, box = mailbox()
    with inbox, box:
        socket.send_fds(box, [b"garbage"], [ours.fileno()])
        box.send(b"\x93")
        send(box, Handed(1.0, PEER, b""), ours.fileno())
        for _ in range(2):
            with pytest.raises(ValueError, match=r"\w"):
                receive(inbox)
        came = receive(inbox)
        assert came is not None
        came[1].close()


def test_a_session_belongs_to_the_newest_that_lives_at_its_place(connection: Pair) -> None:
    ours, _ = connection
    (own, to_own), (older, to_older), (newer, to_newer) = mailbox(), mailbox(), mailbox()
    neighbours = Neighbours(1, 3, own)
    with closing(neighbours), to_own, older, newer:
        assert neighbours.pass_on(caller(ours), hello(1)) is Fate.OURS
        assert neighbours.pass_on(caller(ours), hello(2)) is Fate.LATER
        neighbours.meet(2, to_older)
        neighbours.meet(2, to_newer)
        assert neighbours.pass_on(caller(ours), hello(2)) is Fate.PASSED
        came = receive(newer)
        assert came is not None
        came[1].close()
        assert decode_hello(came[0].heard[HEADER_BYTES:]) == hello(2)
        assert receive(older) is None
        newer.close()
        # One that belongs to a place that there is no more has another.
        assert neighbours.pass_on(caller(ours), hello(5)) is Fate.PASSED
        assert neighbours.pass_on(caller(ours, unfinished=1), hello(2)) is Fate.LATER
        older.close()
        assert neighbours.pass_on(caller(ours), hello(2)) is Fate.LATER


def test_what_a_worker_before_this_one_still_keeps_is_handed_over_until_it_is_gone(connection: Pair) -> None:
    ours, _ = connection
    (own, to_own), (before, to_before) = mailbox(), mailbox()
    neighbours = Neighbours(3, 3, own)
    with closing(neighbours), to_own, before:
        neighbours.meet(3, to_before)
        assert neighbours.pass_on(caller(ours), hello(3)) is Fate.PASSED
        before.close()
        assert neighbours.pass_on(caller(ours), hello(3)) is Fate.OURS
        assert neighbours.pass_on(caller(ours, unfinished=1), hello(3)) is Fate.OURS


def test_ids_tell_the_place_and_nothing_else() -> None:
    inbox, box = mailbox()
    with box, closing(Neighbours(2, 3, inbox)) as neighbours:
        ids = {neighbours.identity(16) for _ in range(100)}
    assert {identity[:2] for identity in ids} == {b"\0\1"}
    assert len({identity[2:] for identity in ids}) == 100
