"""The command as users run it: in a process of its own, with programs that are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from tests.recording.rig import DEADLINE, EXAMPLES, free_port
from tomada.cli.output import UsageError
from tomada.cli.tracing import command_of, split
from tomada.recording import load
from tomada.recording.file import Reader

pytestmark = pytest.mark.skipif(os.name != "posix", reason="programs fork and are interrupted")
SERVER, CLIENT = str(EXAMPLES / "tcp_server.py"), str(EXAMPLES / "tcp_client.py")


def start(*words: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tomada", "trace", *words],
        cwd=folder,
        env={**os.environ, "COLUMNS": "160", "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*words: str, folder: Path, code: int = 0) -> tuple[str, str]:
    with start(*words, folder=folder) as process:
        output, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == code, errors
    return output, errors


def recorded(process: subprocess.Popen[Any], path: Path, call: str) -> None:
    """Wait until a call of that name has begun."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        if path.exists():
            with Reader(path) as reader:
                if any(record.get("call") == call for record in reader.records()):
                    return
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    raise AssertionError(f"no {call} was recorded")


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        path = tmp_path / "program.py"
        path.write_text(text)
        return str(path)

    return write


def test_a_server_with_its_client(tmp_path: Path) -> None:
    port = str(free_port())

    output, _ = run(SERVER, port, "--with", f"{CLIENT} {port}", folder=tmp_path)

    printed, _, diagram = output.partition("\n")
    assert printed == "HELLO, SERVER"
    assert "tcp_server.py" in diagram
    for call in ("socket(", "bind(", "listen(", "accept(", "connect(", "recv(", "sendall(", "close("):
        assert call in diagram


@pytest.mark.parametrize("place", ["before", "behind"])
def test_json_is_one_object_per_call(tmp_path: Path, place: str) -> None:
    port = str(free_port())
    options = ["--with", f"{CLIENT} {port}", "--json"]

    output, errors = run(
        *([*options, SERVER, port] if place == "before" else [SERVER, port, *options]), folder=tmp_path
    )

    calls = [json.loads(line) for line in output.splitlines()]
    assert "HELLO, SERVER" in errors, "what programs print is out of the way of the objects"
    (accept,) = [call for call in calls if call["call"] == "accept"]
    assert accept["blocked"] is True
    assert accept["took"] > 0
    assert accept["state"] == "listening"
    assert accept["program"].startswith("tcp_server.py (")
    assert {call["data"] for call in calls if call["call"] == "recv"} == {"hello, server", "HELLO, SERVER"}
    assert [call["at"] for call in calls] == sorted(call["at"] for call in calls)


def test_live(tmp_path: Path) -> None:
    port = str(free_port())

    _, errors = run("--live", SERVER, port, "--with", f"{CLIENT} {port}", folder=tmp_path)

    lines = errors.splitlines()
    assert any("accept() ..." in line for line in lines)
    assert any("accept() = from 127.0.0.1" in line for line in lines)
    assert any("recv(1024) = 13 bytes" in line and "hello, server" in line for line in lines)


def test_live_shows_names_that_terminals_would_obey_harmlessly(tmp_path: Path, program: Callable[[str], str]) -> None:
    text = "import socket\ns = socket.socket(socket.AF_UNIX)\ns.bind('\\x1b[2J\\x07.sock')\ns.close()"

    _, errors = run("--live", program(text), folder=tmp_path)

    assert "\x1b" not in errors
    assert "\x07" not in errors
    assert r"bind(\e[2J\x07.sock)" in errors


def test_live_as_json(tmp_path: Path, program: Callable[[str], str]) -> None:
    output, _ = run("--live", "--json", program("import socket\nsocket.socket().close()"), folder=tmp_path)

    assert [json.loads(line)["call"] for line in output.splitlines()] == ["socket", "close"]


def test_a_recording_is_kept_if_it_is_asked_for(tmp_path: Path) -> None:
    port = str(free_port())

    _, errors = run("--record", "kept", SERVER, port, "--with", f"{CLIENT} {port}", folder=tmp_path)

    assert "recorded: kept" in errors
    assert len(load(tmp_path / "kept").sequence().steps) == 14
    assert {path.name for path in tmp_path.iterdir()} == {"kept"}


def test_processes_that_begin_in_other_folders_are_recorded_too(tmp_path: Path, program: Callable[[str], str]) -> None:
    (tmp_path / "other").mkdir()
    text = (
        "import subprocess, sys\n"
        "subprocess.run([sys.executable, '-c', 'import socket; socket.socket().close()'], cwd='other')"
    )

    output, _ = run("--record", "kept", program(text), folder=tmp_path)

    assert "socket(AF_INET, SOCK_STREAM)" in output
    assert not list((tmp_path / "other").iterdir())


def test_pictures(tmp_path: Path) -> None:
    port = str(free_port())
    names = ["calls.svg", "calls.html", "calls.mmd", "calls.jsonl", "calls.txt"]
    outputs = [word for name in names for word in ("-o", name)]

    output, errors = run(SERVER, port, "--with", f"{CLIENT} {port}", *outputs, folder=tmp_path)

    assert output == "HELLO, SERVER\n"
    assert [line for line in errors.splitlines() if line.startswith("drawn")] == [f"drawn: {name}" for name in names]
    assert (tmp_path / "calls.svg").read_text().lstrip().startswith("<")
    assert "listen" in (tmp_path / "calls.txt").read_text()


def test_a_picture_that_cannot_be_written(tmp_path: Path, program: Callable[[str], str]) -> None:
    (tmp_path / "x.svg").mkdir()

    _, errors = run("-o", "x.svg", program("pass"), folder=tmp_path, code=2)

    assert "x.svg cannot be written: Is a directory" in errors


def test_another_diagram_in_the_terminal(tmp_path: Path) -> None:
    port = str(free_port())

    output, _ = run("--kind", "states", SERVER, port, "--with", f"{CLIENT} {port}", folder=tmp_path)

    assert output.startswith("HELLO, SERVER\n")
    assert len(output.splitlines()) > 1


def test_input_output_and_exit_code_are_the_programs(tmp_path: Path, program: Callable[[str], str]) -> None:
    text = "import sys\nprint(sys.stdin.readline().upper(), sys.argv[1:])\nprint('oh', file=sys.stderr)\nexit(7)"
    with start(program(text), "--own", "-x", folder=tmp_path) as process:
        output, errors = process.communicate("hello\n", timeout=DEADLINE)

    assert process.returncode == 7
    assert output.startswith("HELLO\n ['--own', '-x']\n")
    assert errors == "oh\n"


def test_a_killed_program(tmp_path: Path, program: Callable[[str], str]) -> None:
    text = "import os, socket\na, b = socket.socketpair()\na.send(b'last')\nos.kill(os.getpid(), 9)"

    output, _ = run("--json", program(text), folder=tmp_path, code=128 + 9)

    assert [json.loads(line)["call"] for line in output.splitlines()] == ["socketpair", "send"]


def test_a_module(tmp_path: Path) -> None:
    (tmp_path / "module_here.py").write_text("import socket, sys\nprint(sys.argv[1:])\nsocket.socket().close()")

    output, _ = run("-m", "module_here", "1", "-v", folder=tmp_path)

    assert output.startswith("['1', '-v']")
    assert "-m module_here" in output


def test_a_server_that_never_ends_is_stopped_after_its_client(tmp_path: Path) -> None:
    port = str(free_port())
    fetch = f"from urllib.request import urlopen; print(urlopen('http://127.0.0.1:{port}/').status)"

    output, _ = run(
        "--stop", "--with", f'-c "{fetch}"', "-m", "http.server", port, "--bind", "127.0.0.1", folder=tmp_path
    )

    assert output.startswith("Serving HTTP")
    assert "200\n" in output
    assert "accept()" in output


def test_ctrl_c_ends_the_program_and_shows_the_diagram(tmp_path: Path) -> None:
    with start("--record", "kept", SERVER, str(free_port()), folder=tmp_path) as process:
        recorded(process, tmp_path / "kept", "accept")
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=DEADLINE)

    assert process.returncode == 128 + signal.SIGINT
    assert "KeyboardInterrupt" in errors, "it is the program's own, and says where it was"
    assert "listen(1)" in output
    assert "KeyboardInterrupt" in output


def test_ctrl_c_at_a_terminal_reaches_the_program_once(tmp_path: Path, program: Callable[[str], str]) -> None:
    text = (
        "import signal, socket, time\ncame = []\nsignal.signal(signal.SIGINT, lambda *_: came.append(1))\n"
        "socket.socket()\nwhile not came: time.sleep(0.01)\ntime.sleep(0.5)\nprint('came', len(came))"
    )
    command = [sys.executable, "-m", "tomada", "trace", "--record", "kept", program(text)]
    terminal = [sys.executable, "-c", "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)", *command]
    with subprocess.Popen(
        terminal, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        recorded(process, tmp_path / "kept", "socket")
        assert process.stdin is not None
        process.stdin.write(b"\x03")
        process.stdin.flush()
        output, _ = process.communicate(timeout=DEADLINE)

    assert process.returncode == 0
    assert b"came 1" in output


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path, program: Callable[[str], str]) -> None:
    text = (
        "import signal, socket, time\nsignal.signal(signal.SIGINT, lambda *_: socket.getaddrinfo('127.0.0.1', 9))\n"
        "socket.socket()\nwhile True: time.sleep(60)"
    )
    with start("--record", "kept", program(text), folder=tmp_path) as process:
        recorded(process, tmp_path / "kept", "socket")
        process.send_signal(signal.SIGINT)
        recorded(process, tmp_path / "kept", "getaddrinfo")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=DEADLINE)

    assert process.returncode == 130


def test_sigterm_is_passed_on(tmp_path: Path) -> None:
    with start("--record", "kept", SERVER, str(free_port()), folder=tmp_path) as process:
        recorded(process, tmp_path / "kept", "accept")
        process.terminate()
        output, _ = process.communicate(timeout=DEADLINE)

    assert process.returncode == 128 + signal.SIGTERM
    assert "has not returned" in output or "accept()" in output


def test_another_program_starts_though_nobody_listens(tmp_path: Path, program: Callable[[str], str]) -> None:
    waiting = program("import os, time\nwhile not os.path.exists('there'): time.sleep(0.01)\nprint('seen')")

    output, _ = run("--wait", "0.2", "--with", "-c \"open('there', 'w')\"", waiting, folder=tmp_path)

    assert output.startswith("seen")


def test_no_data(tmp_path: Path, program: Callable[[str], str]) -> None:
    text = "import socket\na, b = socket.socketpair()\na.send(b'pass' + b'word')\nb.recv(9)"

    run("--no-data", "--record", "kept", program(text), folder=tmp_path)

    assert "password" not in (tmp_path / "kept").read_text()


def test_a_long_recording_drops_its_oldest_calls_and_says_so(tmp_path: Path, program: Callable[[str], str]) -> None:
    text = (
        "import socket\na, b = socket.socketpair()\nfor _ in range(2000):\n    a.send(b'x')\n    b.recv(1)\na.close()"
    )

    _, errors = run("--most", "64K", "--record", "kept", "--json", program(text), folder=tmp_path)

    assert "were dropped: the recording has reached its bound of 65,536 bytes" in errors
    steps = load(tmp_path / "kept").sequence().steps
    assert steps[-1].text == "close()"
    assert 100 < len(steps) < 3000


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], "there is no program to trace"),
        (["missing.py"], "there is no file missing.py"),
        (["no-such-command-here"], "there is no file and no command no-such-command-here"),
        (["-o", "x.bmp", SERVER], "'x.bmp' does not say in which form to draw"),
        (["-o", "missing/x.svg", SERVER], "there is no folder missing for x.svg"),
        (["--record", "missing/x", SERVER], "there is no folder missing for x"),
        (["--most", "1K", SERVER], "--most 1024 is too little for a recording"),
        (["--most", "many", SERVER], "'many' is no size"),
        (["--with", "'", SERVER], "is no command"),
        (["--with", "", SERVER], "--with needs a program"),
        (["--python", "/missing/python", SERVER], "/missing/python cannot be started"),
        (["--record", "/", SERVER], "/ cannot be written"),
    ],
    ids=str,
)
def test_wrong_usage(tomada: Callable[..., Result], words: list[str], error: str) -> None:
    done = tomada("trace", *words)

    assert done.exit_code == 2
    assert error in " ".join(done.output.replace("│", " ").split())


def test_help_has_examples(tomada: Callable[..., Result]) -> None:
    done = tomada("trace", "--help")

    assert done.exit_code == 0
    assert "tomada trace server.py --with client.py" in done.output


def test_what_is_run(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("print(1)")
    assert command_of(["-m", "http.server", "1"], "py") == ["py", "-m", "http.server", "1"]
    assert command_of([SERVER, "1"], "py") == ["py", SERVER, "1"]
    assert command_of([str(script)], "py") == ["py", str(script)]
    script.chmod(0o755)
    assert command_of([str(script)], "py") == [str(script)]
    with pytest.raises(UsageError, match="there is no file"):
        command_of(["missing"], "py")
    assert split("client.py 'a b'") == ["client.py", "a b"]
