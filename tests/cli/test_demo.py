from __future__ import annotations

import json
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import pytest

from tomada.cli import demo
from tomada.cli.demo_screen import Board, JsonScreen, LiveScreen, PlainScreen, Row, screen_for

pytestmark = pytest.mark.skipif(os.name != "posix", reason="it needs Unix sockets and signals")


@pytest.fixture
def place() -> Iterator[Path]:
    """Where the demo puts its temporary directory; short, for the socket in it."""
    with tempfile.TemporaryDirectory(prefix="demo-") as name:
        yield Path(name)


def start(place: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tomada", "demo", *options],
        env={**os.environ, "TMPDIR": str(place)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def event(process: subprocess.Popen[str]) -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads(cast("IO[str]", process.stdout).readline()))


def wait_for_the_end_of(descriptors: list[int]) -> None:
    """Wait until each process, known by its descriptor, has ended."""
    for descriptor in descriptors:
        readable, _, _ = select.select([descriptor], [], [], 30)
        os.close(descriptor)
        assert readable, "the process still runs"


def test_it_ends_with_a_clean_audit_and_commands_that_work(place: Path, tmp_path: Path) -> None:
    with start(place, "--seconds", "1") as process:
        output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "\x1b" not in output
    *lines, verdict, heading, serve, types, ask = output.splitlines()
    assert re.fullmatch(r"demo ok: [1-9]\d* transfers, 0 lost, 0 duplicated, books balance", verdict)
    assert heading == "try next:"
    assert lines[0].startswith("the bank listens on tcp://127.0.0.1:")
    assert list(place.iterdir()) == []
    assert all(command.startswith("  ") for command in (serve, types, ask))
    _try(tmp_path, serve, types, ask)


def _try(folder: Path, serve: str, types: str, ask: str) -> None:
    """Run the commands that the demo printed, at an address that is free for sure."""
    command = [*shlex.split(serve.replace(":4477", ":0")), "--json"]
    environ = {**os.environ, "BANK_DATABASE": str(folder / "bank.db")}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ) as server:
        (address,) = event(server)["addresses"]
        for line, expected in ((types, "OpenAccount"), (ask, "10000")):
            arguments = shlex.split(line.replace("tcp://127.0.0.1:4477", address))
            done = subprocess.run(arguments, capture_output=True, text=True, check=True, env=environ)
            assert expected in done.stdout
        server.send_signal(signal.SIGTERM)
        server.communicate()


def test_json_tells_each_second_and_the_end(place: Path) -> None:
    with start(place, "--seconds", "1", "--json") as process:
        output, errors = process.communicate()
    assert process.returncode == 0, errors
    started, *ticks, finished = [json.loads(line) for line in output.splitlines()]
    assert started["event"] == "started"
    assert {teller["transport"] for teller in ticks[-1]["tellers"]} == {"tcp", "unix"}
    assert {tick["event"] for tick in ticks} == {"tick"}
    assert finished["event"] == "finished"
    assert finished["ok"]
    assert finished["transfers"] == ticks[-1]["transfers"] > 0
    assert (finished["lost"], finished["duplicated"], finished["differences"]) == (0, 0, [])


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)],
    ids=str,
)
@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="the end of others' children is seen on Linux")
def test_a_signal_ends_it_and_leaves_nothing(place: Path, number: signal.Signals, status: int) -> None:
    with start(place, "--seconds", "50", "--json") as process:
        processes = event(process)["processes"]
        assert event(process)["event"] == "tick"
        descriptors = [os.pidfd_open(pid) for pid in processes.values()]
        assert len(descriptors) == 5
        process.send_signal(number)
        # To its end, which is that of the guard too: it has inherited this pipe.
        _, errors = process.communicate()
    assert (process.returncode, errors) == (status, "")
    wait_for_the_end_of(descriptors)
    assert list(place.iterdir()) == []


def test_a_killed_server_is_named_with_its_last_words(place: Path) -> None:
    with start(place, "--seconds", "50", "--json") as process:
        os.kill(event(process)["processes"]["server"], signal.SIGKILL)
        output, _ = process.communicate()
    failed = json.loads(output.splitlines()[-1])
    assert process.returncode == 1
    assert failed["event"] == "failed"
    assert failed["error"].startswith("the server was killed by signal 9; the last it wrote:")
    assert "listens on" in failed["error"]
    assert list(place.iterdir()) == []


BROKEN = {
    "audit.py": """
import json
print(json.dumps({"transfers": 5, "lost": 1, "duplicated": 0, "balanced": False, "differences": ["rent is gone"]}))
raise SystemExit(1)
""",
    "teller.py": """
import sys
sys.exit("the teller is ill")
""",
    "bank.py": """
raise RuntimeError("the bank is closed")
""",
}


def _with_broken(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str) -> None:
    for file in demo._bank().glob("*.py"):
        folder.joinpath(file.name).symlink_to(file)
    folder.joinpath(name).unlink()
    folder.joinpath(name).write_text(BROKEN[name])
    monkeypatch.setattr(demo, "_bank", lambda: folder)


def test_what_the_audit_finds_fails_the_demo(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _with_broken(monkeypatch, tmp_path, "audit.py")
    assert demo.run_demo(0.1, tellers=1) == 1
    output = capsys.readouterr().out.splitlines()
    assert "rent is gone" in output
    assert "demo failed: 5 transfers, 1 lost, 0 duplicated, books do not balance" in output


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("teller.py", "the teller 1 ended with status 1; the last it wrote:\nthe teller is ill"),
        ("bank.py", "the bank is closed"),
    ],
)
def test_a_child_that_fails_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, error: str
) -> None:
    _with_broken(monkeypatch, tmp_path, name)
    assert demo.run_demo(0.1, tellers=1) == 1
    assert error in capsys.readouterr().err


def test_a_stuck_demo_ends(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(demo, "PATIENCE", 0)
    assert demo.run_demo(0.001, tellers=1) == 1
    assert "it has not ended within" in capsys.readouterr().err


def test_a_missing_bank_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tomada.__file__", str(tmp_path / "src" / "tomada" / "__init__.py"))
    assert demo.run_demo(0.1) == 1
    assert "install tomada anew" in capsys.readouterr().err


def test_on_a_terminal_there_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    row = Row("teller 1", "unix")
    row.update({"event": "tick", "transfers": 12345, "rate": 678, "p50_ms": 1.5, "p99_ms": 9.5})
    board = Board(seconds=10, elapsed=4, rows=[row])
    with LiveScreen() as screen:
        screen.show(board)
        screen.show(board)
    output = capsys.readouterr().out
    for text in ("teller 1", "unix", "12,345", "678", "9.5 ms", "1 connections", "6 s left"):
        assert text in output


def test_the_screen_fits_where_output_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(screen_for(as_json=True)) is JsonScreen
    assert type(screen_for(as_json=False)) is PlainScreen
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert type(screen_for(as_json=False)) is LiveScreen


@pytest.mark.parametrize("found", [None, "/elsewhere/tomada"])
def test_a_command_that_is_not_on_the_path_is_printed_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, found: str | None
) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setattr("shutil.which", lambda _: found)
    assert demo._tomada() == f"{tmp_path / 'python'} -m tomada"
    (tmp_path / "tomada").touch()
    assert demo._tomada() == str(tmp_path / "tomada")
    monkeypatch.setattr("shutil.which", lambda _: str(tmp_path / "tomada"))
    assert demo._tomada() == "tomada"
