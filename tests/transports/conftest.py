from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tomada.address import Address
from tomada.transports import accepting, unix

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine to its end on the loop that the test is about."""

    def run_on_loop(main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(main)

    return run_on_loop


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory with a path short enough for socket files, whatever pytest is told to use."""
    with tempfile.TemporaryDirectory(prefix="tomada-") as name:
        yield Path(name)


@pytest.fixture
def address(folder: Path) -> Address:
    """A unix address where nothing is yet."""
    return Address.parse(f"unix://{folder}/app.sock")


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop does not tell when a socket has something: as on Windows, and on simulated networks."""
    for module in (accepting, unix):
        monkeypatch.setattr(module, "can_watch", lambda _: False)
