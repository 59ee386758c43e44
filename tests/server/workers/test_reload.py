"""A new version takes over, or does not, and nobody is turned away."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import uvloop

import tomada
import tomada.sync
from benchmarks.faults.reload import reload_often
from tests.server.workers.farm import Nap, Pid, Version
from tests.server.workers.supervised import HERE, Call, Supervised, change, children, farm, is_there, until


def reload(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tomada", "reload", *words]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(place), "COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, cwd=place, env=environment)


def version(address: str) -> int:
    with tomada.sync.connect(address) as client:
        return client.ask(Version())


def test_twenty_reloads_under_load_and_not_one_request_fails() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        seconds, loads = runner.run(reload_often(20, 2))
    assert len(seconds) == 20
    for load in loads:
        assert (load.counts.failed, load.counts.refused) == (0, 0), load.counts.errors
        assert load.counts.answered > 100
        assert len(load.counts.versions) > 3


def test_the_new_version_serves_and_the_old_answers_what_it_was_asked(place: Path) -> None:
    file = farm(place)
    with Supervised(place, str(file), "--workers", "2", "--bind", HERE) as server:
        told = server.said("listening")
        address = told["addresses"][0]
        with tomada.sync.connect(address) as client:
            call = Call(place, client, Nap(2.0))
            change(file, VERSION=2)
            server.signal(signal.SIGHUP)
            reloaded = server.said("reloaded")
            assert version(address) == 2
            assert not set(reloaded["workers"]) & set(told["workers"])
            assert call.answer() == 1
            assert "going away" in client.end_reason
        ended = [server.said("worker_ended") for _ in told["workers"]]
        assert {line["pid"] for line in ended} == set(told["workers"])
        assert not any(line["is_wrong"] for line in ended)
        assert sorted(server.children()) == sorted(reloaded["workers"])


def test_a_version_that_cannot_start_changes_nothing(place: Path) -> None:
    file = farm(place)
    with Supervised(place, str(file), "--workers", "2", "--bind", HERE) as server:
        told = server.said("listening")
        good = file.read_text()
        file.write_text("import no_such_module_here\n")
        done = reload(place)
        assert (done.returncode, done.stdout) == (1, "")
        assert "not reloaded: " in done.stderr
        why = "could not be started: ModuleNotFoundError: No module named 'no_such_module_here'"
        assert f"{file} {why}; the old version goes on" in done.stderr
        assert why in server.said("not_reloaded")["reason"]
        assert server.errors.count("Traceback") == 1
        assert version(told["addresses"][0]) == 1
        assert server.children() == told["workers"]
        file.write_text(good)
        change(file, VERSION=3)
        assert reload(place).returncode == 0
        assert version(told["addresses"][0]) == 3


def test_the_command_waits_for_the_outcome_and_tells_it(place: Path) -> None:
    with Supervised(place, str(farm(place)), "--workers", "2", "--bind", HERE) as server:
        server.listening()
        done = reload(place)
        first, second = server.children()[-2:]
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("reloaded farm in ")
        assert done.stdout.endswith(f" s: now processes {first}, {second}\n")
        told = json.loads(reload(place, "farm", "--json").stdout)
        assert (told["event"], told["pid"], len(told["workers"])) == ("reloaded", server.process.pid, 2)


def test_of_several_servers_one_must_be_named(place: Path) -> None:
    file = farm(place)
    other = place / "other"
    other.mkdir()
    environment = {"XDG_RUNTIME_DIR": str(place)}
    with (
        Supervised(place, str(file), "--workers", "1", "--bind", HERE) as one,
        Supervised(other, str(file), "--workers", "1", "--bind", HERE, environment=environment) as two,
    ):
        first, second = one.listening(), two.listening()
        done = reload(place)
        assert done.returncode == 2
        assert "several servers run: say which" in done.stderr
        assert f"{one.process.pid}  farm  {first}  (1 worker)" in done.stderr
        assert f"{two.process.pid}  farm  {second}  (1 worker)" in done.stderr
        assert "no server is called inn; these run" in reload(place, "inn").stderr
        assert reload(place, str(two.process.pid)).returncode == 0
        two.said("reloaded")
        one.process.kill()
        one.end()
        assert reload(place).returncode == 0, "what the killed one has left behind is no server"


def test_where_none_runs_the_command_says_what_to_do(place: Path) -> None:
    done = reload(place)
    assert done.returncode == 2
    assert (
        "no server with workers runs here, as this user: start one with `tomada serve FILE --workers 2`" in done.stderr
    )


def test_a_reload_that_takes_long_gives_way_to_the_next(place: Path) -> None:
    file = farm(place)
    with Supervised(place, str(file), "--workers", "1", "--bind", HERE) as server:
        address = server.listening()
        change(file, START_SECONDS=60.0)
        (place / "starting").unlink()
        command = [sys.executable, "-m", "tomada", "reload"]
        environment = {**os.environ, "XDG_RUNTIME_DIR": str(place)}
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as waiting:
            until((place / "starting").exists)
            change(file, START_SECONDS=0.0, VERSION=2)
            assert reload(place).returncode == 0
            assert waiting.wait(20) == 1
            assert waiting.stderr is not None
            assert "another reload was asked for" in waiting.stderr.read()
        assert version(address) == 2


def test_a_caller_may_give_up_waiting(place: Path) -> None:
    file = farm(place)
    with Supervised(place, str(file), "--workers", "1", "--bind", HERE) as server:
        server.listening()
        change(file, START_SECONDS=1.0)
        done = reload(place, "--timeout", "0.2")
        assert done.returncode == 4
        assert "no outcome within 0.2 s; the reload goes on" in done.stderr
        server.said("reloaded")


def test_a_worker_that_dies_during_a_reload_is_replaced_by_it_or_after_it(place: Path) -> None:
    file = farm(place)
    with Supervised(place, str(file), "--workers", "1", "--bind", HERE) as server:
        told = server.said("listening")
        (pid,) = told["workers"]
        loading = place / "loading"
        begin = f"import pathlib, time\npathlib.Path({str(loading)!r}).touch()\n"
        file.write_text(f"{begin}time.sleep(1)\nraise RuntimeError\n")
        server.signal(signal.SIGHUP)
        until(loading.exists)
        os.kill(pid, signal.SIGKILL)
        server.said("worker_ended", pid=pid)
        farm(place)
        server.said("not_reloaded")
        server.said("worker_started")
        assert version(told["addresses"][0]) == 1


def test_a_new_version_may_serve_elsewhere(place: Path) -> None:
    file = farm(place)
    text = file.read_text()
    path = place / "more.sock"
    file.write_text(f"{text}\n@app.stream('unix://{path}')\nasync def more(stream: tomada.Stream) -> None:\n    pass\n")
    with Supervised(place, str(file), "--workers", "2", "--bind", HERE) as server:
        told = server.said("listening")
        assert told["addresses"][1:] == [f"unix://{path}"]
        assert path.is_socket()
        file.write_text(text)
        server.signal(signal.SIGHUP)
        assert server.said("reloaded")["addresses"] == told["addresses"][:1]
        until(lambda: not path.exists())
        file.write_text(
            text.replace('tomada.App("farm")', 'tomada.App("ranch")') + "\n@app.stream('tcp://127.0.0.1:1')\n"
        )
        server.signal(signal.SIGHUP)
        server.said("not_reloaded")


def test_the_certificates_alone_are_read_again_without_workers(place: Path) -> None:
    command = [sys.executable, "-m", "tomada", "serve", str(farm(place)), "--bind", HERE, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = json.loads(server.stdout.readline())["addresses"][0]
        server.send_signal(signal.SIGHUP)
        with tomada.sync.connect(address) as client:
            assert client.ask(Pid()) == server.pid
        server.terminate()
        _, errors = server.communicate(timeout=20)
        assert server.returncode == 0
        assert "to reload the application, too, serve it with --workers" in errors


def test_a_stop_during_a_reload_ends_all(place: Path) -> None:
    file = farm(place)
    with Supervised(place, str(file), "--workers", "1", "--bind", HERE) as server:
        server.listening()
        change(file, START_SECONDS=60.0)
        server.signal(signal.SIGHUP)
        until(lambda: len(children(server.process.pid)) == 2)
        pids = server.children()
        server.signal(signal.SIGTERM)
        assert server.end() == 0
        assert not any(is_there(pid) for pid in pids)


# Who speaks with the supervisor otherwise than `tomada reload` does.


def test_strange_callers_harm_nobody(place: Path) -> None:
    with Supervised(place, str(farm(place)), "--workers", "1", "--bind", HERE) as server:
        address = server.listening()
        file = place / "tomada" / f"{server.process.pid}.sock"
        callers = []
        nonsense = (b"\xff" * 100 + b"\n", b"x" * 10_000, b'{"command":"stop"}\n')
        for said in (b"", *nonsense, b'{"command"', b'{"command":"status"}\n'):
            caller = socket.socket(socket.AF_UNIX)
            caller.settimeout(10)
            caller.connect(str(file))
            caller.send(said)
            callers.append(caller)
        for caller in callers[1:4]:
            with suppress(ConnectionResetError):
                assert caller.recv(100) == b""
        status = json.loads(callers[5].recv(10_000))
        assert (status["pid"], status["addresses"]) == (server.process.pid, [address])
        callers[0].close()
        assert reload(place).returncode == 0
        assert version(address) == 1
        for caller in callers:
            caller.close()


def test_callers_who_say_nothing_make_room_for_others(place: Path) -> None:
    with Supervised(place, str(farm(place)), "--workers", "1", "--bind", HERE) as server:
        server.listening()
        file = str(place / "tomada" / f"{server.process.pid}.sock")
        with ExitStack() as stack:
            first = stack.enter_context(socket.socket(socket.AF_UNIX))
            first.connect(file)
            first.settimeout(10)
            for _ in range(15):
                stack.enter_context(socket.socket(socket.AF_UNIX)).connect(file)
            assert reload(place).returncode == 0
            assert first.recv(1) == b""


def test_without_a_private_folder_there_are_still_signals(place: Path) -> None:
    (place / "tomada").mkdir(mode=0o755)
    (place / "tomada").chmod(0o755)
    with Supervised(place, str(farm(place)), "--workers", "1", "--bind", HERE) as server:
        server.listening()
        assert "`tomada reload` will not find this server" in server.errors
        assert "nobody else may enter" in reload(place).stderr
        server.signal(signal.SIGHUP)
        server.said("reloaded")
