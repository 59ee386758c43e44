"""The classics as their users run them, in processes of their own, and as modules for what needs a hand inside."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, closing, contextmanager
from importlib import import_module, reload
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tomada import Address

CLASSICS = Path(__file__).parents[3] / "examples" / "classics"

Serve = Callable[..., list[Address]]
Load = Callable[..., Any]
Run = Callable[[Coroutine[Any, Any, None]], None]


@contextmanager
def serving(name: str, **environment: object) -> Iterator[list[Address]]:
    command = [sys.executable, "-m", "tomada", "serve", "--json", str(CLASSICS / f"{name}.py")]
    given = {key: str(value) for key, value in environment.items()}
    with subprocess.Popen(command, env={**os.environ, **given}, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield [Address.parse(address) for address in json.loads(process.stdout.readline())["addresses"]]
        finally:
            process.terminate()
            assert process.wait(15) == 0


@pytest.fixture(scope="module")
def serve() -> Iterator[Serve]:
    """Runs a classic until the module's tests are over; where it listens."""
    with ExitStack() as stack:
        yield lambda name, **environment: stack.enter_context(serving(name, **environment))


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """A classic as a fresh module, that has read its settings from what is given."""

    def load_classic(name: str, **environment: object) -> Any:
        for key, value in environment.items():
            monkeypatch.setenv(key, str(value))
        return reload(import_module(f"examples.classics.{name}"))

    return load_classic


@pytest.fixture
def run() -> Run:
    """Runs a coroutine to its end, on the loop that `tomada serve` takes."""

    def run_on_loop(main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main)

    return run_on_loop


def tool(name: str) -> str:
    """The path of a program that `scripts/set-up test` installs where it can."""
    path = shutil.which(name)
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(f"there is no {name} on this machine")
        pytest.skip(f"there is no {name} on this machine")
    return path


def ran(name: str, *words: str, text: str = "", **more: Any) -> subprocess.CompletedProcess[str]:
    """What a program did and said."""
    command = [tool(name), *words]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=30, check=False, **more)


@contextmanager
def raw(address: Address) -> Iterator[socket.socket]:
    """A bare socket, as a hostile client has."""
    with closing(socket.create_connection((address.host, address.port or 0), timeout=20)) as connected:
        yield connected


def all_from(connected: socket.socket) -> bytes:
    """What comes until the other end closes, or cuts."""
    received = []
    try:
        while data := connected.recv(65_536):
            received.append(data)
    except ConnectionResetError:
        pass
    return b"".join(received)
