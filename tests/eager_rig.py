"""A loop whose turns a test counts, for tests of what starts at once."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine, Iterator
from typing import Any

import uvloop

from tomada.eager import Starter, Suspended

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Rig:
    """A loop whose turns a test counts, and a starter on it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.starter = Starter(loop)

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Start it in a callback of the loop, as a connection does; the task where it suspends."""
        started: asyncio.Future[Any] = self.loop.create_future()

        def callback() -> None:
            try:
                with self.starter:
                    outcome = self.starter.start(coroutine)
            except BaseException as error:  # noqa: BLE001 - told to the test
                started.set_exception(error)
                return
            if outcome.__class__ is Suspended:
                outcome = self.starter.carry(outcome, finish(outcome))
            # In a list, for a future of a task would be taken for the future itself.
            started.set_result([outcome])

        self.loop.call_soon(callback)
        return self.loop.run_until_complete(started)[0]

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        outcome = self.start(coroutine)
        return self.loop.run_until_complete(outcome) if isinstance(outcome, asyncio.Task) else outcome

    def turn(self) -> None:
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    def prepare_spare(self) -> None:
        """Have a spare task that has begun, and waits."""
        assert self.start(immediate(0)) == 0
        self.turn()

    def spares(self) -> int:
        return len([task for task in asyncio.all_tasks(self.loop) if not task.done()])


async def immediate(number: int) -> int:
    return number


async def value(number: int) -> int:
    await asyncio.sleep(0)
    return number


async def finish(suspended: Suspended) -> Any:
    return await suspended


def rigs(loop: str) -> Iterator[Rig]:
    """For a fixture."""
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        yield Rig(runner.get_loop())
    gc.collect()
