"""How a test of a suite runs: on a loop of its own, in time, with nothing left behind; and what tests expect."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine

SOON = 0.05
"""Seconds that are waited for what must not come."""


class Running:
    """Runs the tests of a suite."""

    longest: float = 30.0
    """Seconds that one test may take."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """The loop that each test runs on; asyncio's own unless a subclass has another."""
        return asyncio.new_event_loop()

    def run(self, test: Coroutine[Any, Any, None]) -> None:
        """Run one test to its end, within its time; nothing that it began goes on after it."""
        with asyncio.Runner(loop_factory=self.new_event_loop) as runner:
            runner.run(self._in_time(test))

    async def _in_time(self, test: Coroutine[Any, Any, None]) -> None:
        complaints: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        try:
            async with asyncio.timeout(self.longest):
                await test
        except TimeoutError as error:
            raise AssertionError(f"it did not end within {self.longest:g} s") from error
        for _ in range(100):
            if len(asyncio.all_tasks()) == 1:
                break
            await asyncio.sleep(0)
        expect(len(asyncio.all_tasks()) == 1, f"tasks were left behind: {asyncio.all_tasks()}")
        expect(not complaints, f"the loop's exception handler was called: {complaints}")


def expect(holds: object, otherwise: str) -> None:
    """Raise an `AssertionError` that says what is wrong; an ``assert`` would vanish under ``python -O``."""
    if not holds:
        raise AssertionError(otherwise)


async def raises(kind: type[BaseException], work: Awaitable[object], otherwise: str) -> BaseException:
    """The error of this kind that `work` must raise."""
    try:
        await work
    except kind as error:
        return error
    raise AssertionError(otherwise)


async def cancelled(work: Coroutine[Any, Any, object], turns: int | None = None) -> bool:
    """Cancel `work` after so many turns of the loop, or when it has waited for a moment; whether it had not ended."""
    task = asyncio.ensure_future(work)
    if turns is None:
        await asyncio.wait([task], timeout=SOON)
    for _ in range(turns or 0):
        await asyncio.sleep(0)
    was_waiting = task.cancel()
    await asyncio.wait([task])
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error
    return was_waiting and task.cancelled()


def noise(seed: int, count: int) -> bytes:
    """Random bytes, the same for the same seed."""
    return Random(seed).randbytes(count)  # noqa: S311 - no secrets
