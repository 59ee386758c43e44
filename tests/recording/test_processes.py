"""Recordings of real servers: killed, in several workers, with connections in threads and in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import tomada
from tests.recording.bank import arrows, read, texts

SHOP = Path(__file__).parents[1] / "cli" / "shop.py"
LONG = 40

Serve = Callable[..., "Served"]


class Served:
    """A server in a process of its own, which records."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.told: dict[str, Any] = json.loads(process.stdout.readline())
        while self.told["event"] != "listening":
            self.told = json.loads(process.stdout.readline())
        self.address: str = self.told["addresses"][0]

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(LONG)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serves the shop with further options."""
    with ExitStack() as stack:

        def start(*options: str) -> Served:
            bind = ("--bind", "tcp://127.0.0.1:0", "--record", str(tmp_path / "recording"), "--json")
            command = [sys.executable, "-m", "tomada", "serve", str(SHOP), *bind, *options]
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            stack.callback(process.kill)
            return Served(process)

        yield start


def order(connection: Any, number: int) -> None:
    connection.ask(connection.peer_type("Everything")(number=number))


def test_a_server_that_is_killed_leaves_all_that_it_had_done(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    connection = tomada.sync.connect(server.address, sessions=False)
    for number in range(20):
        order(connection, number)
    assert server.end(signal.SIGKILL) == -signal.SIGKILL
    with pytest.raises(tomada.ConnectionLost):
        order(connection, 21)
    connection.close()
    messages = read(tmp_path / "recording")
    sequence = messages.sequence()
    assert texts(sequence).count("ask Everything #39") == 1, "the last one"
    assert sum(text.startswith("reply #") for text in texts(sequence)) == 20
    assert {end.state.value for end in messages.ends} == {"open"}, "as it was when it was killed"
    assert ("ask Everything #39", "received ask Everything #39") in arrows(sequence)
    assert any("not recorded" in note for note in sequence.notes)


def test_a_client_adds_its_end_to_the_servers_recording(serve: Serve, tmp_path: Path) -> None:
    server = serve()
    with tomada.record(tmp_path / "recording", join=True), tomada.sync.connect(server.address) as connection:
        order(connection, 1)
    assert server.end() == 0
    sequence = read(tmp_path / "recording").sequence()
    assert len(sequence.lanes) == 2
    assert len({lane.group for lane in sequence.lanes}) == 2, "two processes"
    joined = [pair for pair in arrows(sequence) if "Everything" in pair[0]]
    assert joined == [("ask Everything #1", "received ask Everything #1")]
    source, target = (
        sequence.steps[place]
        for arrow in sequence.arrows
        if arrow.text == "Everything"
        for place in (arrow.source, arrow.target)
    )
    assert source.begun <= target.begun, "one clock for all processes"


def test_two_recordings_are_drawn_as_one(serve: Serve, tmp_path: Path) -> None:
    server = serve("--no-data")
    with tomada.record(tmp_path / "mine"), tomada.sync.connect(server.address) as connection:
        order(connection, 1)
    assert server.end() == 0
    sequence = read(tmp_path / "recording", tmp_path / "mine").sequence()
    assert len(sequence.lanes) == 2
    assert ("ask Everything #1", "received ask Everything #1") in arrows(sequence)


def test_two_workers_write_one_file(serve: Serve, tmp_path: Path) -> None:
    server = serve("--workers", "2")
    seen: set[int] = set()
    for _ in range(200):  # the system spreads callers by chance
        with tomada.sync.connect(server.address) as connection:
            order(connection, 1)
        seen = {pid for pid, _ in read(tmp_path / "recording").wires.wires}
        if len(seen) == 2:
            break
    assert seen == set(server.told["workers"])
    assert server.end() == 0
    messages = read(tmp_path / "recording")
    assert messages.wires.passed_over == 0
    assert not messages.wires.gaps
    assert {end.state.value for end in messages.ends} == {"closed"}


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_connections_on_other_loops_are_recorded(serve: Serve, tmp_path: Path, isolation: str) -> None:
    if isolation == "process" and not hasattr(os, "fork"):
        pytest.skip("there is no fork here")
    server = serve("--isolation", isolation)
    for number in range(3):
        with tomada.sync.connect(server.address, sessions=False) as connection:
            order(connection, number)
    assert server.end() == 0
    messages = read(tmp_path / "recording")
    assert len(messages.ends) == 3
    assert texts(messages.sequence()).count("received ask Everything #1") == 3
    assert messages.wires.passed_over == 0


def test_what_makes_no_sense_is_told_before_anything_is_served(tmp_path: Path) -> None:
    for options, told in (
        (("--no-data",), "add --record"),
        (("--record", str(tmp_path / "no" / "file")), "cannot be recorded to"),
        (("--record", str(tmp_path / "file"), "--record-bytes", "1K"), "too little"),
        (("--record", str(tmp_path / "file"), "--record-data", "1M"), "up to 64K"),
        (("--record", str(tmp_path / "file"), "--record-data", "1K", "--no-data"), "contradict"),
    ):
        command = [sys.executable, "-m", "tomada", "serve", str(SHOP), *options]
        environment = {**os.environ, "COLUMNS": "200"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONG, check=False, env=environment)
        assert done.returncode == 2
        assert told in done.stderr, done.stderr
