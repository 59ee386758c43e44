from __future__ import annotations

import signal
import subprocess
from threading import Thread

import pytest

import tomada
import tomada.sync
from tests.integration.house import HERE, Echo, Hold, Note, Sit
from tests.integration.processes import line, program

LONGEST = 30


def rest(process: subprocess.Popen[str]) -> list[str]:
    """What it says up to its end, which is a good one."""
    assert process.stdout is not None
    said = process.stdout.read().split()
    assert process.wait(LONGEST) == 0
    return said


class Call:
    """A call that waits in a thread of its own."""

    def __init__(self, client: tomada.sync.Connection, request: tomada.Request[str]) -> None:
        self._client = client
        self._request = request
        self._outcome: str | Exception = ""
        self._thread = Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._outcome = self._client.ask(self._request)
        except tomada.TomadaError as error:
            self._outcome = error

    def outcome(self) -> str | Exception:
        self._thread.join(LONGEST)
        return self._outcome


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_and_ends_well(number: signal.Signals) -> None:
    with program("serve", HERE) as server, tomada.sync.connect(line(server), sessions=False) as client:
        assert client.ask(Echo(b"ready")) == b"ready"
        call, plain = Call(client, Hold("0.3")), Call(client, Sit("0.3"))
        assert {line(server), line(server)} == {"began 0.3"}
        server.send_signal(number)
        assert (call.outcome(), plain.outcome()) == ("0.3", "0.3")
        assert rest(server) == ["gone", "stopped", "left"]
        assert "going away" in client.end_reason


def test_a_server_without_work_ends_at_once() -> None:
    with program("serve", HERE, "60") as server:
        line(server)
        server.send_signal(signal.SIGTERM)
        assert rest(server) == ["stopped", "left"]


def test_what_does_not_end_within_the_drain_deadline_is_cut() -> None:
    with program("serve", HERE, "0.3") as server, tomada.sync.connect(line(server), sessions=False) as client:
        call = Call(client, Hold("60"))
        assert line(server) == "began 60"
        server.send_signal(signal.SIGTERM)
        assert isinstance(call.outcome(), tomada.ConnectionLost)
        assert sorted(rest(server)) == ["60", "cancelled", "gone", "left", "stopped"]


def test_a_second_signal_cuts_at_once() -> None:
    with program("serve", HERE, "60") as server, tomada.sync.connect(line(server), sessions=False) as client:
        call = Call(client, Hold("60"))
        assert line(server) == "began 60"
        server.send_signal(signal.SIGTERM)
        with pytest.raises(tomada.ConnectionLost, match="going away"):
            client.receive()
        server.send_signal(signal.SIGTERM)
        assert isinstance(call.outcome(), tomada.ConnectionLost)
        assert sorted(rest(server)) == ["60", "cancelled", "gone", "left", "stopped"]


def test_a_thread_that_does_not_end_does_not_keep_the_process() -> None:
    with program("serve", HERE, "0.3") as server, tomada.sync.connect(line(server), sessions=False) as client:
        call = Call(client, Sit("1000"))
        assert line(server) == "began 1000"
        server.send_signal(signal.SIGTERM)
        assert isinstance(call.outcome(), tomada.ConnectionLost)
        assert rest(server) == ["gone", "stopped", "left"]


def test_a_one_way_message_is_handled_to_its_end() -> None:
    with program("serve", HERE) as server:
        with tomada.sync.connect(line(server), sessions=False) as client:
            client.send(Note("a"))
        assert line(server) == "note a"
        server.send_signal(signal.SIGTERM)
        assert rest(server) == ["gone", "stopped", "left"]


def test_a_third_signal_kills() -> None:
    with program("stubborn", HERE) as server:
        line(server)
        server.send_signal(signal.SIGTERM)
        assert line(server) == "stopping"
        server.send_signal(signal.SIGTERM)
        while server.poll() is None:
            server.send_signal(signal.SIGTERM)
        assert server.wait(LONGEST) == -signal.SIGTERM


def test_ready_that_raises_closes_the_server() -> None:
    app = tomada.App()
    stopped: list[str] = []

    @app.on_stop
    async def stop() -> None:
        stopped.append("stop")

    def ready(_: tomada.Server) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        tomada.serve(app, HERE).run(ready=ready)
    assert stopped == ["stop"]
