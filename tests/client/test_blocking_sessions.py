"""The blocking face on a network that fails: the connection is made again, and nothing is lost."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

import tomada
import tomada.sync
from tests.authority import Authority
from tests.client.conftest import LONGEST, Home, tidy, together
from tests.integration.house import HERE, Echo, Hold, Note, Push, Secured, Stage, house
from tests.integration.processes import environment, line, program
from tomada.connection_state import ConnectionState
from tomada.errors import OutcomeUnknown, SessionLost
from tomada.telemetry import (
    ConnectionEnded,
    ConnectionInterrupted,
    ConnectionOpened,
    Event,
    SessionEnded,
    SessionResumed,
)
from tomada.testing import FaultProxy

KEEP = 60.0


class Shaky(Home):
    """A server of the house behind a proxy, with a bystander who goes round the proxy."""

    def __init__(
        self,
        keep: float = KEEP,
        secured: Secured | None = None,
        here: str = HERE,
        app: Callable[[Stage], tomada.App] = house,
    ) -> None:
        super().__init__(app=app, secured=secured, here=here if secured is None else here.replace("tcp:", "tls:"))
        self._keep = keep

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._leave = asyncio.Event()
        self.stage = Stage()
        sessions = tomada.Sessions(keep=self._keep)
        own, others = self._secured or (None, None)
        async with tomada.serve(self._app(self.stage), self._here, tls=own, sessions=sessions) as self.server:
            await self._behind(self.server.addresses[0], others)

    async def _behind(self, address: tomada.Address, tls: tomada.TLS | None) -> None:
        async with FaultProxy(HERE, to=f"tcp://127.0.0.1:{address.port}") as self.proxy:
            async with tomada.connect(address, tls=tls) as bystander:
                self.address = self.proxy.address
                self._ready.set_result(None)
                await self._leave.wait()
                assert await bystander.ask(Echo(b"well")) == b"well"
                assert bystander.statistics().resumed == 0
            self.stage.open(*self.stage.thread_gates)

    def cut(self) -> None:
        self.do(self.proxy.reset())

    def notes(self) -> list[str]:
        return [event.removeprefix("note ") for event in self.call(lambda: list(self.stage.events)) if "note" in event]


@pytest.fixture
def shaky() -> Iterator[Shaky]:
    with tidy(), Shaky() as shaky:
        yield shaky


@contextmanager
def telling() -> Iterator[list[Event]]:
    told: list[Event] = []
    kinds = ConnectionOpened, ConnectionInterrupted, SessionResumed, SessionEnded, ConnectionEnded
    with tomada.subscribe(lambda event: told.append(event) if not getattr(event, "accepted", False) else None, *kinds):
        yield told


def wait_until(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def test_calls_just_take_longer_and_messages_come_once_in_order(shaky: Shaky) -> None:
    with tomada.sync.connect(shaky.address) as client:
        held = threading.Thread(target=client.ask, args=(Hold("a"),))
        held.start()
        shaky.until("began a")
        shaky.do(shaky.proxy.refuse())
        shaky.cut()
        wait_until(lambda: client.state is ConnectionState.RESUMING)
        assert client.is_open
        client.send(Note("0"))
        client.send(Note("1"))
        client.send(Note("u"), urgent=True)
        with pytest.raises(tomada.TimedOut):
            client.ask(Echo(b"in vain"), timeout=0.05)
        with pytest.raises(tomada.TimedOut):
            client.receive(timeout=0.01)
        with pytest.raises(tomada.ConnectionLost):
            client.ping(timeout=LONGEST)
        shaky.open("a")
        shaky.do(shaky.proxy.accept())
        held.join(LONGEST)
        assert not held.is_alive()
        assert client.state.value == "open"
        assert client.end_reason == ""
        assert client.ping() > 0
        shaky.until("note 0", "note 1", "note u")
        assert shaky.notes() == ["u", "0", "1"]
        assert client.statistics().resumed == 1
    assert client.state.value == "closed"
    assert client.undelivered() == {}


CUTS = 15


def keep_busy(shaky: Shaky, address: str, tls: tomada.TLS | None = None) -> None:
    """Eight threads ask and send, one is pushed to, and all the time the connection is cut."""
    done = threading.Event()
    came: list[str] = []
    sent = [0] * 8
    app = tomada.App()

    @app.on
    def note(message: Note) -> None:
        came.append(message.text)

    # One handler's thread, so that `came` is in the order of arrival.
    with tomada.sync.connect(address, app=app, limits=tomada.Limits(threads=1), tls=tls) as client:

        def calls(thread: int) -> bool:
            while not done.is_set():
                number, sent[thread] = sent[thread], sent[thread] + 1
                client.send(Note(f"{thread} {number}"), urgent=thread == 7)
                data = b"%d %d" % (thread, number) + bytes(number % 200 * 100)
                assert client.ask(Echo(data), timeout=LONGEST, urgent=thread == 7) == data
            return True

        def pushes() -> int:
            count = 0
            while not done.is_set():
                assert client.ask(Push(100)) == 100
                count += 1
            return count

        def cuts() -> None:
            chance = Random(1)
            try:
                while client.statistics().resumed < CUTS:
                    time.sleep(chance.uniform(0.005, 0.06))  # it decides nothing
                    shaky.cut()
            finally:
                done.set()

        *outcomes, count, _ = together(*[lambda thread=thread: calls(thread) for thread in range(8)], pushes, cuts)
        assert outcomes == [True] * 8
        assert client.ask(Echo(b"last")) == b"last"
        wait_until(lambda: len(came) >= 100 * count)
    assert came == [str(number) for number in range(100)] * count
    assert client.undelivered() == {}
    notes = shaky.notes()
    assert len(notes) == sum(sent)
    for thread in range(8):
        mine = [note for note in notes if note.startswith(f"{thread} ")]
        assert mine == [f"{thread} {number}" for number in range(sent[thread])]


def test_many_threads_ask_and_send_while_the_connection_is_cut_again_and_again(shaky: Shaky) -> None:
    keep_busy(shaky, str(shaky.address))


def test_the_same_over_tls(authority: Authority) -> None:
    with tidy(), Shaky(secured=(authority.server, authority.client)) as shaky:
        keep_busy(shaky, str(shaky.address).replace("tcp:", "tls:"), authority.client)


def test_the_same_over_websocket() -> None:
    with tidy(), Shaky(here="ws://127.0.0.1:0/") as shaky:
        keep_busy(shaky, f"ws://127.0.0.1:{shaky.address.port}/")


def test_what_is_sent_meanwhile_is_bounded_and_who_waits_goes_on_in_order(shaky: Shaky) -> None:
    with tomada.sync.connect(shaky.address, limits=tomada.Limits(buffer_bytes=8_192)) as client:
        shaky.do(shaky.proxy.refuse())
        shaky.cut()
        wait_until(lambda: client.state is ConnectionState.RESUMING)
        for number in range(9):
            client.send_nowait(Note(f"{number} {'x' * 1_000}"))
        with pytest.raises(tomada.BufferFull, match="has not handled"):
            client.send_nowait(Note("one too many"))
        client.send_nowait(Note("urgent"), urgent=True)
        waiting = []
        for number in range(5):
            thread = threading.Thread(target=client.send, args=(Note(f"w{number} {'x' * 3_000}"),))
            thread.start()
            waiting.append(thread)
            wait_until(lambda number=number: len(client._pump._lines[0]) == number + 1)  # type: ignore[misc]
        assert client.statistics().waiting_bytes < 8_192 + 2_048
        shaky.do(shaky.proxy.accept())
        for thread in waiting:
            thread.join(LONGEST)
            assert not thread.is_alive()
        client.ask(Echo(b"behind them"))
    notes = [note.split()[0] for note in shaky.notes()]
    assert notes == ["urgent", *map(str, range(9)), "w0", "w1", "w2", "w3", "w4"]


def test_what_happens_is_told_and_hooks_run_when_it_is_back(shaky: Shaky) -> None:
    app = tomada.App()
    back: list[bytes] = []
    returned = threading.Semaphore(0)

    @app.on_reconnect
    def again(connection: tomada.sync.Connection) -> None:
        back.append(connection.ask(Echo(b"again")))
        returned.release()
        raise KeyError("told to the log")

    with telling() as told:
        with tomada.sync.connect(shaky.address, app=app) as client:
            for _ in range(2):
                shaky.cut()
                assert returned.acquire(timeout=LONGEST)
        assert client.end_reason == "the peer said goodbye (closed)"
    mine = [event for event in told if event.peer == str(shaky.address)]  # type: ignore[attr-defined]
    assert [type(event).__name__ for event in mine] == [
        "ConnectionOpened",
        *("ConnectionInterrupted", "SessionResumed") * 2,
        "ConnectionEnded",
    ]
    assert [event.epoch for event in mine if isinstance(event, SessionResumed)] == [1, 2]
    assert all(0 < event.seconds < LONGEST for event in mine if isinstance(event, SessionResumed))
    assert all(event.reason for event in mine if isinstance(event, ConnectionInterrupted))
    assert back == [b"again"] * 2


def test_when_it_cannot_be_made_again_all_are_told_in_time_and_what_is_unknown_is_kept() -> None:
    with tidy(), Shaky(keep=0.5) as shaky, telling() as told:
        client = tomada.sync.connect(shaky.address)

        def cut() -> None:
            shaky.until("began a", "began b")
            shaky.do(shaky.proxy.refuse())
            shaky.cut()
            wait_until(lambda: client.state is not ConnectionState.OPEN)
            client.send(Note("never sent"))

        def late() -> Any:
            wait_until(lambda: client.state is not ConnectionState.OPEN)
            return client.ask(Echo(b"never asked"))

        begun = time.monotonic()
        outcomes = together(
            lambda: client.ask(Hold("a"), key="a key"), lambda: client.ask(Hold("b")), client.receive, late, cut
        )
        assert time.monotonic() - begun < 10
        kinds = [OutcomeUnknown, OutcomeUnknown, tomada.ConnectionLost, SessionLost, type(None)]
        assert [type(outcome) for outcome in outcomes] == kinds
        assert "the connection could not be made again within 0.5 s" in client.end_reason
        undelivered = client.undelivered()
        assert undelivered.pop("a key") == Hold("a")
        assert set(map(repr, undelivered.values())) == set(
            map(repr, [Hold("b"), Echo(b"never asked"), Note("never sent")])
        )
        client.close()
        (ended,) = [event for event in told if isinstance(event, SessionEnded) and event.peer == str(shaky.address)]
        assert ended.undelivered == 4
        with pytest.raises(tomada.ConnectionLost):
            client.send(Note("after the end"))


def test_a_server_that_does_not_know_the_session_any_more_says_so() -> None:
    with tidy(), Shaky(keep=0.2) as shaky:
        client = tomada.sync.connect(shaky.address)
        engine: Any = client._pump.engine
        engine.session = msgspec.structs.replace(engine.session, seconds=KEEP)  # as if its clock went faster
        shaky.do(shaky.proxy.refuse())
        shaky.cut()
        client.send(Note("lost"))
        wait_until(lambda: len(shaky.call(lambda: shaky.server.connections)) == 1)
        shaky.do(shaky.proxy.accept())
        with pytest.raises(SessionLost):
            client.ask(Echo(b"x"))
        assert len(client.undelivered()) == 2
        client.close()


def test_a_server_that_is_killed_and_gone_is_told_in_time() -> None:
    with tidy(), program("serve", HERE) as server:
        client = tomada.sync.connect(line(server), deadlines=tomada.Deadlines(drain=0.2))
        server.kill()
        with pytest.raises(tomada.TimedOut):
            client.ask(Echo(b"x"), timeout=0.3)
        client.send(Note("x"))
        client.close()
        assert Note("x") in client.undelivered().values()


def test_a_server_that_is_killed_and_started_anew_knows_nothing_of_the_session(tmp_path: Path) -> None:
    address = f"unix://{tmp_path}/s"
    with tidy():
        with program("serve", address) as server:
            client = tomada.sync.connect(line(server))
            server.kill()
            server.wait(LONGEST)
        client.send(Note("x"))
        with program("serve", address) as server:
            assert line(server) == address
            with pytest.raises(tomada.ConnectionLost):
                client.receive(timeout=LONGEST)
        assert list(client.undelivered().values()) == [Note("x")]
        client.close()


def test_close_sends_what_is_stored_if_need_be_over_a_new_connection(shaky: Shaky) -> None:
    client = tomada.sync.connect(shaky.address)
    shaky.do(shaky.proxy.refuse())
    shaky.cut()
    wait_until(lambda: client.state is ConnectionState.RESUMING)
    client.send(Note("at last"))

    def come_back() -> None:
        wait_until(lambda: not client.is_open)
        shaky.do(shaky.proxy.accept())

    assert together(client.close, come_back) == [None, None]
    assert client.undelivered() == {}
    assert shaky.notes() == ["at last"]


def test_close_does_not_wait_for_longer_than_the_drain_deadline(shaky: Shaky) -> None:
    client = tomada.sync.connect(shaky.address, deadlines=tomada.Deadlines(drain=0.3))
    shaky.do(shaky.proxy.refuse())
    shaky.cut()
    wait_until(lambda: client.state is ConnectionState.RESUMING)
    client.send(Note("never"))
    begun = time.monotonic()
    client.close()
    assert 0.25 < time.monotonic() - begun < 5
    assert list(client.undelivered().values()) == [Note("never")]


def test_a_stalled_connection_is_found_out_and_made_again(shaky: Shaky) -> None:
    with tomada.sync.connect(shaky.address, deadlines=tomada.Deadlines(heartbeat=0.4)) as client:
        (connection,) = shaky.call(lambda: shaky.proxy.connections)
        shaky.call(connection.stall)
        assert client.ask(Echo(b"on"), timeout=LONGEST) == b"on"
        assert client.statistics().resumed == 1


def test_a_session_that_is_not_wanted_ends_with_its_connection(shaky: Shaky) -> None:
    client = tomada.sync.connect(shaky.address, sessions=False)

    def cut() -> None:
        shaky.until("began a")
        shaky.cut()

    outcomes = together(lambda: client.ask(Hold("a")), cut)
    assert type(outcomes[0]) is tomada.ConnectionLost
    assert client.undelivered() == {}
    client.close()


PROGRAM = """
import signal, sys, threading, tomada, tomada.sync
from tests.integration.house import Echo, Hold, Note

def main(address, what):
    client = tomada.sync.connect(address, deadlines=tomada.Deadlines(drain=0.5))
    print("connected", flush=True)
    sys.stdin.readline()
    try:
        if what == "ask":
            client.ask(Hold("never"))
        elif what == "receive":
            client.receive()
        elif what == "send":
            while True:
                client.send(Note("x" * 10_000))
        elif what == "close":
            client.send(Note("x"))
            client.close()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        client.close()
        print(client.state.value, flush=True)

main(*sys.argv[1:])
"""


@pytest.mark.parametrize("what", ["ask", "receive", "send", "close"])
@pytest.mark.parametrize("is_lost", [False, True])
def test_ctrl_c_leaves_whatever_waits(shaky: Shaky, what: str, *, is_lost: bool) -> None:
    if what == "close" and not is_lost:
        return  # it does not wait
    command = [sys.executable, "-c", PROGRAM, str(shaky.address), what]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment()) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        try:
            assert client.stdout.readline() == "connected\n"
            if is_lost:
                shaky.do(shaky.proxy.refuse())
                shaky.cut()
            client.stdin.write("\n")
            client.stdin.flush()
            time.sleep(0.3)  # it decides nothing: Ctrl-C is for any place
            client.send_signal(signal.SIGINT)
            assert client.stdout.readline() == "interrupted\n"
            assert client.stdout.readline() == "closed\n"
            assert client.wait(LONGEST) == 0
        finally:
            client.kill()
