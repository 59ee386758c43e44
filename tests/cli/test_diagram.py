from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import Result

Tomada = Callable[..., Result]

PROGRAM = """
import socket, sys
one, other = socket.socketpair()
for line in sys.stdin:
    one.sendall(line.encode())
    other.recv(100)
    print("done", flush=True)
"""
PATIENCE = 40


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("traced") / "pair.py"
    file.write_text(PROGRAM)
    return file


def traced(program: Path, recording: Path) -> list[str]:
    return [sys.executable, "-m", "tomada", "trace", "--record", str(recording), str(program)]


@pytest.fixture(scope="session")
def recording(program: Path) -> Path:
    """Of a program that has ended."""
    file = program.with_name("pair.rec")
    subprocess.run(traced(program, file), input="hello\n", text=True, check=True, capture_output=True, timeout=PATIENCE)
    return file


def test_it_shows_the_sequence_in_the_terminal(tomada: Tomada, recording: Path) -> None:
    shown = tomada("diagram", str(recording))

    assert shown.exit_code == 0
    assert "pair.py" in shown.output
    assert "hello" in shown.output
    assert "recv(100)" in shown.output
    assert "\x1b" not in shown.output


@pytest.mark.parametrize("width", [60, 150])
def test_it_is_as_wide_as_the_terminal(
    tomada: Tomada, recording: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))

    lines = tomada("diagram", str(recording)).output.splitlines()

    assert max(map(len, lines)) <= width


def test_without_line_drawing_characters_on_demand(tomada: Tomada, recording: Path) -> None:
    assert tomada("diagram", str(recording), "--ascii").output.isascii()


@pytest.mark.parametrize(("kind", "told"), [("sequence", "sendall"), ("states", "created"), ("timeline", "sent")])
def test_it_draws_each_kind_to_files_of_each_form(
    tomada: Tomada, recording: Path, tmp_path: Path, kind: str, told: str
) -> None:
    files = [tmp_path / f"picture.{form}" for form in ("svg", "png", "mmd", "html", "jsonl", "txt")]

    done = tomada("diagram", str(recording), "--kind", kind, *(word for file in files for word in ("-o", str(file))))

    assert done.exit_code == 0, done.output
    assert done.stdout == ""
    assert done.stderr.splitlines() == [f"drawn: {file}" for file in files]
    assert all(file.stat().st_size for file in files)
    assert told in (tmp_path / "picture.txt").read_text()


def test_the_states_of_one_socket(tomada: Tomada, recording: Path) -> None:
    shown = tomada("diagram", str(recording), "--kind", "states", "--socket", "1")

    assert shown.exit_code == 0
    assert "> " in shown.output


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-o", "picture.gif"], "'picture.gif' does not say in which form to draw: end it with one of .svg"),
        (["-o", "nowhere/at/all.svg"], "there is no folder nowhere/at for all.svg: make it first"),
        (["--socket", "2"], "--socket 2 chooses whose states to draw: add --kind states"),
        (["--kind", "states", "--socket", "99"], "99"),
        (["--kind", "pie"], "pie"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(
    tomada: Tomada, recording: Path, words: list[str], told: str
) -> None:
    done = tomada("diagram", str(recording), *words)

    assert done.exit_code != 0
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_no_recording_is_said(tomada: Tomada, tmp_path: Path) -> None:
    (tmp_path / "other.rec").write_text("that is none\n")

    for name in ("other.rec", "missing.rec"):
        done = tomada("diagram", str(tmp_path / name))
        assert done.exit_code != 0
        assert name in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_file_that_cannot_be_written_is_said(tomada: Tomada, recording: Path, tmp_path: Path) -> None:
    (tmp_path / "picture.svg").mkdir()

    done = tomada("diagram", str(recording), "-o", str(tmp_path / "picture.svg"))

    assert done.exit_code == 2
    assert "cannot be written" in done.stderr


def test_who_reads_may_stop_reading(recording: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "tomada", "diagram", str(recording)]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, timeout=PATIENCE)
    os.close(writing)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def growing(program: Path, tmp_path: Path) -> Iterator[tuple[Path, Callable[[str], None]]]:
    """The recording of a program that goes on, and how to have it do more."""
    file = tmp_path / "growing.rec"
    with subprocess.Popen(traced(program, file), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        pipe, answers = running.stdin, running.stdout

        def do(text: str) -> None:
            pipe.write(f"{text}\n")
            pipe.flush()
            assert answers.readline() == "done\n"

        yield file, do
        pipe.close()
        answers.read()
        running.wait(PATIENCE)


def until(file: Path, text: str) -> None:
    give_up = time.monotonic() + PATIENCE
    while not (file.exists() and text in file.read_text()):
        assert time.monotonic() < give_up, f"{text!r} is never drawn"
        time.sleep(0.05)


def test_it_draws_again_while_the_recording_grows(growing: tuple[Path, Callable[[str], None]], tmp_path: Path) -> None:
    recording, do = growing
    do("first")
    picture = tmp_path / "picture.txt"
    command = [sys.executable, "-m", "tomada", "diagram", str(recording), "--follow", "-o", str(picture)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as drawing:
        until(picture, "first")
        do("second")
        until(picture, "second")
        drawing.send_signal(signal.SIGINT)
        _, told = drawing.communicate(timeout=PATIENCE)

    assert drawing.returncode == 130
    assert told.splitlines() == [f"drawn: {picture}"] * len(told.splitlines())
