import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tomada.cli.main import app

SHOP = Path(__file__).with_name("shop.py")


@pytest.fixture(scope="session")
def shop() -> Iterator[str]:
    """The address of a shop, served by the command itself in a process of its own."""
    command = [sys.executable, "-m", "tomada", "serve", str(SHOP), "--bind", "tcp://127.0.0.1:0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())["addresses"][0]
        server.terminate()
        assert server.wait(20) == 0


@pytest.fixture
def tomada(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run the command in this process."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, list(words), prog_name="tomada")

    return run


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory with a path short enough for socket files, whatever pytest is told to use."""
    with tempfile.TemporaryDirectory(prefix="tomada-") as name:
        yield Path(name)
