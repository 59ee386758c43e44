from __future__ import annotations

import asyncio
import gc
import os
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop

Run = Callable[[Coroutine[Any, Any, None]], None]
LONGEST = 45


def descriptors() -> list[str]:
    """What is open, by its links."""
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - numbers, no paths
        with suppress(OSError):  # the listing's own
            found.append(os.readlink(f"/proc/self/fd/{name}"))  # noqa: PTH115 - as above
    return sorted(found)


async def settled(main: Coroutine[Any, Any, None], complaints: list[dict[str, Any]]) -> None:
    """Run a test to its end, and see that it leaves no task behind."""
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with asyncio.timeout(LONGEST):
        await main
    for _ in range(100):
        if len(asyncio.all_tasks()) == 1:
            break
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    gc.collect()  # what was never retrieved complains when it goes


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine to its end: no task, no complaint of the loop and no open descriptor is left."""

    def run_on_loop(main: Coroutine[Any, Any, None]) -> None:
        complaints: list[dict[str, Any]] = []
        gc.collect()
        before = descriptors()
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(settled(main, complaints))
        assert complaints == []
        assert len(descriptors()) <= len(before), (before, descriptors())

    return run_on_loop


@pytest.fixture(scope="session", autouse=True)
def _loops_have_what_they_keep() -> None:
    """A first loop of a kind opens what the later ones share."""
    for factory in (asyncio.new_event_loop, uvloop.new_event_loop):
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(asyncio.sleep(0))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory with a path short enough for socket files, whatever pytest is told to use."""
    with tempfile.TemporaryDirectory(prefix="tomada-") as name:
        yield Path(name)
