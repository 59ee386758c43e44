from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import tomada
import tomada.sync
from tests.client.conftest import LONGEST, Home, answering, tidy, together
from tests.integration.house import (
    HERE,
    Echo,
    Hold,
    Note,
    Push,
    Sit,
    frame,
    turns_until,
)
from tests.integration.processes import line, program
from tomada.protocol import GoodbyeCode, Kind, Welcome, encode
from tomada.transports import blocking

HASTY = tomada.Deadlines(handshake=0.2, frame=0.2, drain=0.2)
BIG = 3_000_000


def test_a_call_waits_in_vain_for_a_server_that_does_not_read_and_times_out(home: Home) -> None:
    with tomada.sync.connect(home.address, deadlines=tomada.Deadlines(drain=0.3)) as client:
        other = home.other_end(client)
        transport = other._link.transport
        assert transport is not None
        home.call(transport.pause_reading)
        with pytest.raises(tomada.TimedOut):
            client.ask(Echo(bytes(16_000_000)), timeout=0.2)
        with pytest.raises(tomada.TimedOut):
            client.ask(Echo(b"behind"), timeout=0.1)
        with pytest.raises(tomada.TimedOut):
            client.ping(timeout=0.1)
        home.call(transport.resume_reading)
        # What was left of the first goes on its way with the next.
        assert client.ask(Echo(b"on")) == b"on"
        home.call(transport.pause_reading)
        with pytest.raises(tomada.TimedOut):
            client.ask(Echo(bytes(16_000_000)), timeout=0.2)
    assert client.end_reason == "not closed within 0.3 s"
    home.call(transport.resume_reading)  # or it would not find out that the client has gone


def test_when_the_server_is_killed_all_threads_are_told_at_once() -> None:
    with tidy(), program("serve", HERE) as server:
        client = tomada.sync.connect(line(server), app=answering(), sessions=False)

        def kill() -> None:
            for _ in range(6):
                assert line(server) == "began 60"
            server.kill()

        outcomes = together(*[lambda: client.ask(Hold("60"))] * 6, client.receive, kill)
        assert [type(outcome) for outcome in outcomes] == [tomada.ConnectionLost] * 7 + [type(None)]
        client.close()


def test_a_server_that_goes_away_ends_iteration_and_is_answered(home: Home) -> None:
    ended: list[str] = []
    app = answering()
    started, leave = threading.Event(), threading.Event()

    @app.on
    def sit(request: Sit) -> str:
        started.set()
        leave.wait(LONGEST)
        return request.name

    @app.on_disconnect
    def gone(connection: tomada.sync.Connection) -> None:
        ended.append(connection.end_reason)

    with tomada.sync.connect(home.address, app=app) as client:
        other = home.other_end(client)

        async def ask_and_leave() -> str:
            call = asyncio.create_task(other.ask(Sit("a")))
            await home.loop.run_in_executor(None, started.wait, LONGEST)
            other._link.leave(GoodbyeCode.GOING_AWAY, "for the test")
            await home.loop.run_in_executor(None, lambda: list(client))
            leave.set()
            result = await call
            await other._link.ended
            return result

        assert home.do(ask_and_leave()) == "a"
    assert ended == ["the peer said goodbye (going away): for the test"]


@pytest.mark.parametrize("words", [("ask_sync",)])
def test_ctrl_c_in_a_blocked_call_leaves_cleanly(words: tuple[str, ...]) -> None:
    with program("serve", HERE) as server:
        with program(*words, line(server)) as client:
            assert line(client) == "connected"
            assert line(server) == "began 60"
            client.send_signal(signal.SIGINT)
            assert line(client) == "interrupted"
            assert client.wait(LONGEST) == 0
        assert {line(server), line(server)} == {"cancelled 60", "gone"}


def test_nobody_is_there(tmp_path: Path) -> None:
    with tidy():
        for address, text in (
            (f"unix://{tmp_path}/none", "there is no such file"),
            ("tcp://127.0.0.1:0", "port 0 is for listening"),
            ("udp://127.0.0.1:1", "a udp address carries no streams"),
        ):
            with pytest.raises(tomada.ConnectFailed, match=text):
                tomada.sync.connect(address)
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        with pytest.raises(tomada.ConnectFailed, match="nothing listens there"):
            tomada.sync.connect(f"tcp://127.0.0.1:{port}", wait=0.1)


@contextmanager
def stranger(*says: bytes) -> Iterator[str]:
    """Accepts one connection, and says what it likes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            other, _ = server.accept()
            with other:
                for what in says:
                    other.sendall(what)
                while other.recv(65_536):
                    pass

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        thread.join(LONGEST)


@pytest.mark.parametrize(
    ("says", "text"),
    [
        (b"220 mail.example.org ESMTP\r\n", "the greeting of a mail or FTP server"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "an HTTP answer"),
        (b"", "no handshake within 0.2 s"),
        (frame(Kind.WELCOME, b"\xc1"), "welcome cannot be read"),
    ],
)
def test_a_server_that_is_none_of_ours_is_told_apart(says: bytes, text: str) -> None:
    stopped: list[str] = []
    app = tomada.App()

    @app.on_stop
    def stop() -> None:
        stopped.append("stop")

    with tidy(), stranger(says) as address:
        with pytest.raises(tomada.HandshakeFailed, match=rf"was reached, but did not complete the handshake: .*{text}"):
            tomada.sync.connect(address, deadlines=HASTY, app=app)
        assert stopped == ["stop"]


@pytest.mark.parametrize("is_idle", [True, False])
def test_a_frame_that_stops_half_way_is_late(caplog: pytest.LogCaptureFixture, *, is_idle: bool) -> None:
    says = (frame(Kind.WELCOME, encode(Welcome())), frame(Kind.PING, b"half")[:-2])
    with tidy(), stranger(*says) as address, tomada.sync.connect(address, deadlines=HASTY) as client:
        if is_idle:
            assert client._pump._over.wait(LONGEST)
        with pytest.raises(tomada.ConnectionLost, match=r"a frame was begun and not finished within 0\.2 s"):
            client.receive()
    assert "a frame was begun and not finished" in caplog.text  # by the thread that keeps the connection, over by now


def test_an_async_handler_is_refused_with_what_to_write() -> None:
    app = tomada.App()

    @app.on
    async def note(message: Note) -> None:
        """Nobody could run it."""

    with pytest.raises(tomada.DeclarationError, match=r"note\(\) .* is an `async def`, .* write it as a plain `def`"):
        tomada.sync.connect("tcp://127.0.0.1:1", app=app)


class Watch(tomada.StreamRequest[int]):
    """Answered by many."""


def test_a_handler_of_streams_is_refused_with_what_to_use() -> None:
    app = tomada.App()

    @app.on
    async def watch(_: Watch) -> AsyncIterator[int]:
        yield 1

    with pytest.raises(
        tomada.DeclarationError, match=r"watch\(\) .* needs an event loop: leave it out, or use tomada\.c"
    ):
        tomada.sync.connect("tcp://127.0.0.1:1", app=app)


def test_a_client_may_wait_for_a_server_that_starts_later(tmp_path: Path) -> None:
    address = f"unix://{tmp_path}/late"
    with tidy():

        def connect() -> bytes:
            with tomada.sync.connect(address, wait=LONGEST) as client:
                return client.ask(Echo(b"late"))

        def serve() -> None:
            with program("serve", address) as server:
                assert line(server) == address
                assert line(server) == "gone"

        assert together(connect, serve) == [b"late", None]


def test_hooks_run_around_everything_else(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    events: list[str] = []
    app = tomada.App()

    @app.on_start
    def start() -> dict[str, int]:
        events.append("start")
        return {}

    @app.on_connect
    def connected(connection: tomada.sync.Connection) -> None:
        assert connection.ask(Push(1)) == 1
        events.append("connect")

    @app.on
    def note(message: Note) -> None:
        events.append(f"note {message.text}")

    @app.on_disconnect
    def gone(connection: tomada.sync.Connection) -> None:
        connection.close()
        events.append("disconnect")
        raise KeyError("told to the log")

    @app.on_stop
    def stop(state: dict) -> None:  # type: ignore[type-arg]
        assert state == {}
        events.append("stop")

    with tomada.sync.connect(home.address, app=app) as client:
        client.ping()
        deadline = time.monotonic() + LONGEST
        while "note 0" not in events and time.monotonic() < deadline:
            client.ping()
    assert events == ["start", "connect", "note 0", "disconnect", "stop"]
    assert "told to the log" in caplog.text


def test_an_on_connect_that_raises_closes_the_connection(home: Home) -> None:
    app = tomada.App()

    @app.on_connect
    def connected() -> None:
        raise PermissionError("not this server")

    with pytest.raises(PermissionError):
        tomada.sync.connect(home.address, app=app)
    home.do(gone(home))


async def gone(home: Home) -> None:
    await turns_until(lambda: len(home.server.connections) == 1)


def test_this_ends_own_fault_while_reading_ends_the_connection(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    client = tomada.sync.connect(home.address)

    class Broken:
        ask = staticmethod(client._pump.messenger.ask)

        @staticmethod
        def receive(data: bytes, now: float) -> None:
            raise ZeroDivisionError(data, now)

    client._pump.messenger = Broken()  # type: ignore[assignment]
    with pytest.raises(tomada.ConnectionLost, match="this end failed"):
        client.ask(Echo(b"a"))
    assert "ZeroDivisionError" in caplog.text
    client.close()


def test_close_fails_the_calls_of_other_threads(home: Home) -> None:
    client = tomada.sync.connect(home.address)

    def close() -> None:
        home.until("began a", "began b")
        client.close()

    outcomes = together(
        lambda: client.ask(Hold("a")),
        lambda: client.ask(Hold("b")),
        close,
    )
    assert [str(outcome) for outcome in outcomes[:2]] == ["the connection was closed at this end"] * 2
    assert outcomes[2] is None
    assert together(client.close, client.close) == [None, None]


def test_a_close_that_nobody_answers_ends_at_the_drain_deadline(caplog: pytest.LogCaptureFixture) -> None:
    with tidy(), stranger(frame(Kind.WELCOME, encode(Welcome()))) as address:
        client = tomada.sync.connect(address, deadlines=HASTY)
        outcomes = together(client.receive, client.close)
        assert isinstance(outcomes[0], tomada.ConnectionLost)
        assert client.end_reason == "not closed within 0.2 s"
        assert "closed: not closed within 0.2 s" in caplog.text


@pytest.mark.parametrize("sessions", [True, False])
@pytest.mark.parametrize("where", ["send_some", "receive_some", "ask"])
def test_ctrl_c_in_the_middle_of_something_ends_the_connection(
    home: Home, monkeypatch: pytest.MonkeyPatch, where: str, *, sessions: bool
) -> None:
    client = tomada.sync.connect(home.address, sessions=sessions)

    def interrupt(*arguments: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            return original(*arguments)
        monkeypatch.undo()
        raise KeyboardInterrupt

    owner = client._pump.engine.__class__ if where == "ask" else blocking
    original = getattr(owner, where)
    monkeypatch.setattr(owner, where, interrupt)
    with pytest.raises(KeyboardInterrupt):
        client.ask(Echo(b"a"), timeout=LONGEST)
    if sessions and where != "ask":  # over another connection it goes on
        assert client.ask(Echo(b"b"), timeout=LONGEST) == b"b"
    elif where != "receive_some":  # nothing has been received yet: that is no harm
        assert client.end_reason == "interrupted"
        with pytest.raises(tomada.ConnectionLost):
            client.ask(Echo(b"b"))
    client.close()


def test_ctrl_c_between_reading_and_acting_ends_the_connection(home: Home) -> None:
    client = tomada.sync.connect(home.address)
    receive = client._pump.messenger.receive

    class Interrupted:
        def __init__(self) -> None:
            self.ask = client._pump.messenger.ask

        def receive(self, data: bytes, now: float) -> None:
            receive(data, now)
            raise KeyboardInterrupt

    client._pump.messenger = Interrupted()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        client.ask(Echo(b"a"))
    assert client.end_reason == "interrupted"
    client.close()


def test_a_connection_to_itself_is_none() -> None:
    def connect_to_itself(address: tuple[str, int], _: float) -> socket.socket:
        itself = socket.socket()
        itself.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        itself.bind(address)
        itself.connect(address)
        return itself

    with tidy(), socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch, tidy():
        patch.setattr(socket, "create_connection", connect_to_itself)
        with pytest.raises(tomada.ConnectFailed, match="nothing listens there"):
            tomada.sync.connect(f"tcp://127.0.0.1:{port}")
