from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, cast

import pytest
import teller
from audit import audit

BANK = Path(str(teller.__file__)).parent
Start = Callable[..., subprocess.Popen[str]]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="it needs Unix sockets and signals")


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tomada-") as name:
        yield Path(name)


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Starts Python programs, which are killed at the end."""
    with ExitStack() as stack:

        def start(*arguments: str) -> subprocess.Popen[str]:
            environ = {**os.environ, "BANK_DATABASE": str(folder / "bank.db")}
            process = subprocess.Popen(
                [sys.executable, *arguments], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


def event(process: subprocess.Popen[str]) -> dict[str, object]:
    line = cast("IO[str]", process.stdout).readline()
    assert line, process.communicate()
    return cast("dict[str, object]", json.loads(line))


def serve(start: Start, folder: Path) -> subprocess.Popen[str]:
    server = start("-m", "tomada", "serve", str(BANK / "bank.py"), "--bind", f"unix://{folder}/bank.sock", "--json")
    assert event(server)["event"] == "listening"
    return server


def start_teller(start: Start, folder: Path, *options: str) -> subprocess.Popen[str]:
    place = (f"unix://{folder}/bank.sock", f"--promises={folder / 'promises.txt'}")
    return start(str(BANK / "teller.py"), *place, "--seconds=60", "--accounts=10", *options)


def test_a_signal_ends_a_teller_with_its_last_answers(start: Start, folder: Path) -> None:
    serve(start, folder)
    working = start_teller(start, folder, "--json")
    assert event(working) == {"event": "opened", "accounts": 10}
    assert event(working)["event"] == "tick"
    working.send_signal(signal.SIGTERM)
    output, errors = working.communicate()
    assert (working.returncode, errors) == (0, "")
    done = json.loads(output.splitlines()[-1])
    assert done["event"] == "done"
    findings = audit(folder / "bank.db", [folder / "promises.txt"])
    assert not findings.differences
    assert findings.transfers == done["transfers"] > 0


def test_nothing_is_lost_or_doubled_when_the_server_is_killed(start: Start, folder: Path) -> None:
    server = serve(start, folder)
    working = start_teller(start, folder, "--json")
    for _ in range(2):
        event(working)
    server.kill()
    server.wait()
    serve(start, folder)
    before = event(working)["transfers"]
    while (now := event(working))["transfers"] == before:
        assert now["event"] == "tick"
    working.send_signal(signal.SIGINT)
    _, errors = working.communicate()
    assert working.returncode == 0
    # The server keeps its sessions in memory: what was under way is told to be unknown, and asked again by its number.
    assert all("(session lost)" in line or "undelivered() has" in line for line in errors.splitlines()), errors
    findings = audit(folder / "bank.db", [folder / "promises.txt"])
    assert not findings.differences
    assert "unknown" not in (folder / "promises.txt").read_text()


def test_without_a_server_it_says_so(start: Start) -> None:
    program = f"import sys; sys.path.insert(0, {str(BANK)!r}); import bank_load, teller"
    working = start("-c", f"{program}; bank_load.PATIENCE = 0; teller.main()", "unix:///nowhere/bank.sock")
    _, errors = working.communicate()
    assert working.returncode == 1
    assert errors.startswith("error: ")
    assert "/nowhere/bank.sock" in errors


def test_for_people_it_prints_lines(start: Start, folder: Path) -> None:
    serve(start, folder)
    output, _ = start_teller(start, folder, "--seconds=0.1").communicate()
    opened, *_, done = output.splitlines()
    assert opened == "opened accounts=10"
    assert done.startswith("done transfers=")
