from __future__ import annotations

import os
import tempfile
import threading
from queue import SimpleQueue

import pytest

import tomada
import tomada.sync
from tests.client.conftest import LONGEST, Home, answering, tidy, together
from tests.integration.house import (
    Back,
    Broke,
    Echo,
    Fail,
    Hold,
    Make,
    Note,
    Push,
)
from tests.integration.processes import line, program

HASTY = tomada.Deadlines(handshake=0.2, frame=0.2, drain=0.2)
BIG = 3_000_000


def test_the_calls_of_the_asynchronous_face_block_here(home: Home) -> None:
    with tomada.sync.connect(home.address) as client:
        assert client.ask(Echo(b"a")) == b"a"
        assert client.ask(Echo(b"b"), timeout=LONGEST) == b"b"
        client.send(Note("c"))
        home.until("note c")
        assert 0 < client.ping() < LONGEST
        assert 0 < client.ping(timeout=LONGEST) < LONGEST
        assert client.ask(Push(3)) == 3
        assert client.receive(timeout=LONGEST) == Note("0")
        assert client.receive() == Note("1")
        assert next(iter(client)) == Note("2")
        assert client.is_open
        assert client.end_reason == ""
        assert client.refusals == ()
        assert client.peer == home.address
        assert "Echo" in client.peer_types
        assert client.peer_type("Echo").__name__ == "Echo"
        assert "open" in repr(client)
    assert client.end_reason
    client.close()
    for call in (lambda: client.ask(Echo(b"")), lambda: client.send(Note("")), client.receive, client.ping):
        with pytest.raises(tomada.ConnectionLost):
            call()
    assert list(client) == []


def test_errors_are_those_of_the_asynchronous_face(home: Home) -> None:
    with tomada.sync.connect(home.address) as client:
        with pytest.raises(Broke) as typed:
            client.ask(Fail("typed"))
        assert typed.value.cents == 12
        with pytest.raises(tomada.RemoteError, match="ValueError: it was sour"):
            client.ask(Fail("sour"))
        with pytest.raises(tomada.InternalError):
            client.ask(Fail("wrong"))
        with pytest.raises(tomada.InvalidMessage):
            client.ask(Make("x"))  # type: ignore[arg-type]
        with pytest.raises(tomada.InvalidMessage, match="the peer takes at most"):
            client.send(Note("x" * 20_000_000))
        assert client.ask(Echo(b"on")) == b"on"


def test_deadlines_of_calls(home: Home) -> None:
    with tomada.sync.connect(home.address) as client:
        with pytest.raises(tomada.TimedOut, match="no reply to Hold"):
            client.ask(Hold("a"), timeout=0.05)
        home.until("cancelled a")
        with pytest.raises(tomada.TimedOut, match="no message"):
            client.receive(timeout=0.05)
        with pytest.raises(tomada.TimedOut, match="no pong"):
            client.ping(timeout=0)
        assert client._pump.pings == {}
        assert client.ask(Echo(b"on")) == b"on"


def test_many_threads_share_a_connection(home: Home) -> None:
    with tomada.sync.connect(home.address) as client:

        def calls(thread: int) -> bool:
            return all(client.ask(Echo(b"%d %d" % (thread, n))) == b"%d %d" % (thread, n) for n in range(200))

        assert together(*[lambda number=number: calls(number) for number in range(16)]) == [True] * 16


def test_threads_wait_for_the_limit_of_the_server() -> None:
    with tidy(), Home(tomada.Limits(requests=2)) as home, tomada.sync.connect(home.address) as client:
        assert together(*[lambda: client.ask(Echo(b"x" * 1_000)) for _ in range(20)]) == [b"x" * 1_000] * 20
        held = [threading.Thread(target=client.ask, args=(Hold(name),)) for name in "ab"]
        for thread in held:
            thread.start()
        home.until("began a", "began b")
        with pytest.raises(tomada.TimedOut):
            client.ask(Echo(b"one too many"), timeout=0.05)
        home.open("a", "b")
        for thread in held:
            thread.join(LONGEST)
        assert client.ask(Echo(b"on")) == b"on"


def test_big_messages_travel_both_ways_from_several_threads(home: Home) -> None:
    data = os.urandom(BIG)
    with tomada.sync.connect(home.address, app=answering()) as client:
        other = home.other_end(client)

        def calls() -> bool:
            return all(client.ask(Echo(data)) == data for _ in range(4))

        def server_calls() -> bool:
            return all(len(home.do(other.ask(Make(BIG)))) == BIG for _ in range(4))

        def small() -> bool:
            return all(client.ask(Echo(b"small")) == b"small" for _ in range(100))

        assert together(calls, calls, calls, server_calls, server_calls, small) == [True] * 6


def test_the_server_asks_while_nobody_asks_and_while_somebody_does(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    with tomada.sync.connect(home.address, app=answering()) as client:
        other = home.other_end(client)
        assert home.do(other.ask(Back(0))) == 0
        assert home.do(other.ask(Back(5))) == 5
        assert client.ask(Back(6)) == 6
        with pytest.raises(Broke):
            home.do(other.ask(Fail("typed")))
        assert caplog.records == []
        with pytest.raises(tomada.RemoteError, match="ValueError: it was sour"):
            home.do(other.ask(Fail("sour")))
        with pytest.raises(tomada.InternalError):
            home.do(other.ask(Fail("wrong")))
        assert len([record for record in caplog.records if record.exc_info]) == 1
        assert "built a wrong reply" in caplog.text


def test_what_is_pushed_while_idle_is_there(home: Home) -> None:
    with tomada.sync.connect(home.address) as client:
        other = home.other_end(client)
        for number in range(3):
            home.do(other.send(Note(str(number))))
        assert home.do(other.ping()) > 0
        assert [client.receive() for _ in range(3)] == [Note("0"), Note("1"), Note("2")]


def test_the_server_waits_until_what_it_has_sent_is_handled(home: Home) -> None:
    handled: SimpleQueue[str] = SimpleQueue()
    started, leave = threading.Event(), threading.Event()
    app = tomada.App()

    @app.on
    def note(message: Note) -> None:
        started.set()
        assert leave.wait(LONGEST)
        handled.put(message.text)

    limits = tomada.Limits(buffer_bytes=4_096, threads=1)
    with tomada.sync.connect(home.address, limits=limits, app=app) as client:
        asked = threading.Thread(target=client.ask, args=(Push(1_000),))
        asked.start()
        assert started.wait(LONGEST)
        with pytest.raises(tomada.TimedOut):
            client.ask(Hold("never"), timeout=0.1)
        statistics = client.statistics()
        assert 0 < statistics.held_bytes <= 4_096 + 32
        assert handled.empty()
        leave.set()
        assert [handled.get(timeout=LONGEST) for _ in range(1_000)] == [str(number) for number in range(1_000)]
        asked.join(LONGEST)


def test_the_server_waits_until_what_it_has_sent_is_received(home: Home) -> None:
    with tomada.sync.connect(home.address, limits=tomada.Limits(buffer_bytes=4_096)) as client:
        asked = threading.Thread(target=client.ask, args=(Push(1_000),))
        asked.start()
        assert client.receive(timeout=LONGEST) == Note("0")
        assert asked.is_alive()
        assert [client.receive(timeout=LONGEST).text for _ in range(999)] == [str(n) for n in range(1, 1_000)]  # type: ignore[attr-defined]
        asked.join(LONGEST)
        assert client.statistics().held_bytes == 0


def test_what_the_server_refuses_is_remembered(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    class Unheard(tomada.Message):
        text: str

    with tomada.sync.connect(home.address) as client:
        client.send(Unheard("a"))
        client.ping()
        assert "nobody handles Unheard" in str(client.refusals[0])
        assert "a one-way message was refused" in caplog.text


def test_a_handler_may_raise_anything_one_way(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    app = answering()
    raised = threading.Event()

    @app.on
    def note(_: Note) -> None:
        raised.set()
        raise Broke(1)

    with tomada.sync.connect(home.address, app=app) as client:
        assert client.ask(Push(1)) == 1
        assert raised.wait(LONGEST)
    for thread in threading.enumerate():
        if thread.name.startswith("tomada handler"):
            thread.join(LONGEST)
    assert "raised" in caplog.text


def test_through_a_unix_socket() -> None:
    with (
        tidy(),
        tempfile.TemporaryDirectory(prefix="tomada-") as folder,
        program("serve", f"unix://{folder}/s") as server,
        tomada.sync.connect(line(server)) as client,
    ):
        assert client.ask(Echo(b"a")) == b"a"
