from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import Result

import tomada.sync
from tests.server.workers.farm import Version
from tests.server.workers.supervised import HERE, Supervised, change, farm
from tomada.cli.dev import watched_folder
from tomada.cli.output import UsageError


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tomada-") as name:
        yield Path(name)


def version(address: str) -> int:
    with tomada.sync.connect(address) as client:
        return client.ask(Version())


def test_a_change_is_served_and_a_broken_one_waits_for_its_repair(place: Path) -> None:
    file = farm(place)
    with Supervised(place, str(file), "--bind", HERE, command="dev") as server:
        address = server.listening()
        change(file, VERSION=2)
        server.said("reloaded")
        assert version(address) == 2
        good = file.read_text()
        file.write_text(good + "\nthis is no Python\n")
        server.said("not_reloaded")
        assert "SyntaxError" in server.errors
        assert version(address) == 2
        file.write_text(good)
        change(file, VERSION=3)
        server.said("reloaded")
        assert version(address) == 3
        server.signal(signal.SIGINT)
        assert server.end() == 0


def test_a_first_start_that_fails_waits_for_a_change(place: Path) -> None:
    file = farm(place)
    good = file.read_text()
    file.write_text("import no_such_module_here\n")
    with Supervised(place, str(file), "--bind", HERE, command="dev") as server:
        assert "could not be started" in server.said("failed")["reason"]
        file.write_text(good)
        assert version(server.listening()) == 1
        server.signal(signal.SIGTERM)
        assert server.end() == 0


def test_it_shows_where_and_what_to_try(place: Path) -> None:
    file = farm(place)
    command = [sys.executable, "-m", "tomada", "dev", str(file), "--bind", "tcp://0.0.0.0:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=place) as server:
        assert server.stdout is not None
        lines = []
        for line in server.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                break
        text = "".join(lines)
        here = re.search(r"from here +(tcp://127\.0\.0\.1:\d+)", text)
        assert here is not None, text
        asks = [line.strip() for line in lines if line.startswith("  tomada ask")]
        assert len(asks) == 5
        assert f"tomada ask {here[1]} Nap seconds=1.0" in [ask.replace("=1 ", "=1.0 ") for ask in asks] or "=1" in text
        words = shlex.split(next(ask for ask in asks if "Version" in ask))
        done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True, timeout=20, check=False)
        assert done.stdout == "1\n"
        server.terminate()
        assert server.wait(20) == 0


def test_without_watchfiles_it_says_what_to_install(
    tomada: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    result = tomada("dev", "bank.py", "--json")
    assert result.exit_code == 2
    assert "pip install 'tomada[dev]'" in json.loads(result.stdout)["message"]


def test_what_is_watched_is_the_applications_folder(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = farm(place)
    assert watched_folder(f"{file}:app") == place.resolve()
    monkeypatch.chdir(place)
    assert watched_folder("package.module:app") == Path.cwd()
    with pytest.raises(UsageError, match=r"there is no file nowhere\.py"):
        watched_folder("nowhere.py")
