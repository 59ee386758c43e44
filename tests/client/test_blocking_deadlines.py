"""The deadlines of a blocking connection, kept by its keeper thread, and what is told of it."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import tomada
from tests.client.conftest import LONGEST, Home, answering, tidy
from tests.integration.house import Back, Echo, Hold, Make, Note, frame
from tomada import ConnectionLost, Deadlines
from tomada.protocol import Kind, Welcome, encode
from tomada.telemetry import ConnectionEnded, ConnectionOpened, DeadlineStruck, Event, RequestEnded


@contextmanager
def deaf() -> Iterator[str]:
    """Says welcome, and reads no more."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            other, _ = server.accept()
            with other:
                other.recv(65_536)
                other.sendall(frame(Kind.WELCOME, encode(Welcome())))
                over.wait(LONGEST)

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        over.set()
        thread.join(LONGEST)


@pytest.fixture
def told() -> Iterator[list[Event]]:
    told: list[Event] = []
    with tomada.subscribe(told.append, ConnectionOpened, ConnectionEnded, DeadlineStruck, RequestEnded):
        yield told


def struck(told: list[Event]) -> list[str]:
    return [event.deadline for event in told if isinstance(event, DeadlineStruck)]


def wait_for_end(client: tomada.sync.Connection) -> None:
    give_up = time.monotonic() + LONGEST
    while client.is_open:
        assert time.monotonic() < give_up
        time.sleep(0.01)


def test_nothing_for_too_long_ends_it_with_a_goodbye(home: Home, told: list[Event]) -> None:
    deadlines = Deadlines(heartbeat=math.inf, idle=0.3)
    with tomada.sync.connect(home.address, deadlines=deadlines) as client:
        client.ask(Echo(b"x"))
        begun = time.monotonic()
        wait_for_end(client)
        assert 0.2 < time.monotonic() - begun < 2
        assert client.end_reason == "nothing was exchanged for 0.3 s"
        with pytest.raises(ConnectionLost, match="nothing was exchanged"):
            client.ask(Echo(b"x"))
    assert struck(told) == ["idle"]


def test_what_is_under_way_is_not_idle(home: Home, told: list[Event]) -> None:
    with tomada.sync.connect(home.address, deadlines=Deadlines(heartbeat=math.inf, idle=0.2)) as client:
        with pytest.raises(tomada.TimedOut):
            client.ask(Hold("x"), timeout=0.7)
        assert client.is_open
    assert struck(told) == ["ask"]


def test_heartbeats_keep_it_open(home: Home, told: list[Event]) -> None:
    with tomada.sync.connect(home.address, deadlines=Deadlines(heartbeat=0.2, idle=0.5)) as client:
        before = client.statistics().received_bytes
        time.sleep(1.2)
        assert client.is_open
        assert client.statistics().received_bytes - before >= 3 * 16
    assert struck(told) == []


@pytest.mark.parametrize("is_asking", [True, False], ids=["asking", "quiet"])
def test_a_server_that_answers_nothing_is_dead_after_two_heartbeats(told: list[Event], is_asking: object) -> None:
    with tidy(), deaf() as address:
        client = tomada.sync.connect(address, deadlines=Deadlines(heartbeat=0.4))
        begun = time.monotonic()
        if is_asking:
            with pytest.raises(ConnectionLost, match=r"no sign of life for 0\.8 s"):
                client.ping()
        else:
            wait_for_end(client)
        assert 0.5 < time.monotonic() - begun < 1.2
        client.close()
    assert struck(told) == ["heartbeat"]


def test_a_server_that_takes_nothing_is_given_up(told: list[Event]) -> None:
    with tidy(), deaf() as address:
        client = tomada.sync.connect(address, deadlines=Deadlines(progress=0.4))
        begun = time.monotonic()
        for _ in range(4_000):
            client._pump.engine.ping(bytes(4_000))
        with pytest.raises(ConnectionLost, match=r"took nothing of what was sent for 0\.4 s"):
            client.ping()
        assert 0.3 < time.monotonic() - begun < 3
        assert client.statistics().waiting_bytes > 0
        client.close()
    assert struck(told) == ["progress"]


def test_a_goodbye_that_is_not_answered_ends_at_the_drain_deadline(told: list[Event]) -> None:
    with tidy(), deaf() as address:
        client = tomada.sync.connect(address, deadlines=Deadlines(heartbeat=math.inf, idle=0.1, drain=0.3))
        assert client._pump._over.wait(LONGEST)
        client.close()
    assert struck(told) == ["idle", "drain"]


def test_its_beginning_its_end_and_its_handlers_are_told(home: Home, told: list[Event]) -> None:
    with tomada.sync.connect(home.address, app=answering()) as client:
        for _ in range(3):
            client.ask(Echo(b"data"))
        client.ask(Back(2))
        client.send(Note("x"))
        client.ask(Make(200_000))
        counted = client.statistics()
        assert (counted.sent_messages, counted.received_messages) == (8, 7)
        assert (counted.own_requests, counted.peer_requests, counted.handlers, counted.waiting_bytes) == (0, 0, 0, 0)
        far = home.call(home.other_end(client).statistics)
        assert (far.received_messages, far.sent_messages) == (8, 7)
        assert (far.received_bytes, far.sent_bytes) == (counted.sent_bytes, counted.received_bytes)
        peer = str(client.peer)
    assert client.statistics().sent_messages == 8
    (opened,) = [event for event in told if isinstance(event, ConnectionOpened) and not event.accepted][-1:]
    assert (opened.peer, opened.kind) == (peer, "messages")
    (ended,) = [event for event in told if isinstance(event, ConnectionEnded) and not event.accepted][-1:]
    assert (ended.peer, ended.is_wrong, ended.sent_messages, ended.received_messages) == (peer, False, 8, 7)
    handled = [event.name for event in told if isinstance(event, RequestEnded) and event.peer == peer]
    assert handled == ["Back"]
