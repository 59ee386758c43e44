"""Coroutines that go on at once, in the callback that brings what they wait for.

A task is woken by way of the loop: a future, a callback in the loop's queue, a step of the task. A driven coroutine
that waits for its own source (`parked`) is carried on by that source directly (`Driven.resume`), as a plain
callback would be; its task stands still meanwhile, and is the current task while the coroutine runs, so that
`asyncio.timeout`, `TaskGroup` and cancellation work. What else it awaits, the task awaits for it, as ever.
"""

from __future__ import annotations

import asyncio
from asyncio.tasks import _enter_task, _leave_task
from contextvars import copy_context
from types import coroutine
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

_PARKED: Final = object()


@coroutine
def parked() -> Generator[object, None, None]:
    """To be awaited by a driven coroutine while it runs, to be carried on by `Driven.resume`."""
    yield _PARKED


class Driven:
    """A coroutine, to be carried by a task: ``create_task(driven.run())``.

    Args:
        coroutine: What it is.
    """

    __slots__ = ("_coroutine", "_end", "_loop", "_parking", "_run", "is_parked", "is_running", "task")

    def __init__(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._coroutine = coroutine
        self._run = copy_context().run
        self._loop = asyncio.get_running_loop()
        self._parking: asyncio.Future[Any] | None = None
        self._end: BaseException | None = None
        self.task: asyncio.Task[None] | None = None
        self.is_running = False
        """Whether the coroutine runs just now: it may await `parked()`, but an eager task that it starts may not."""
        self.is_parked = False
        """Whether it waits to be carried on by `resume`."""

    async def run(self) -> None:
        """For the task."""
        self.task = asyncio.current_task()
        await self

    def resume(self, error: BaseException | None = None) -> None:
        """Carry on the coroutine, which is parked, or raise `error` in it. From a callback of the loop, in no task."""
        parking, task = self._parking, self.task
        if parking is None or task is None or parking.done():
            return  # it has been cancelled, and will hear of it by its task
        _enter_task(self._loop, task)
        self.is_running = True
        self.is_parked = False
        try:
            if error is None:
                yielded = self._run(self._coroutine.send, None)
            else:
                yielded = self._run(self._coroutine.throw, error)
        except BaseException as end:  # noqa: BLE001 - it belongs to who awaits the task
            self._end = end
            yielded = None
        finally:
            self.is_running = False
            _leave_task(self._loop, task)
        if yielded is _PARKED:
            self.is_parked = True
        elif not parking.done():
            parking.set_result(yielded)

    def __del__(self) -> None:
        self._coroutine.close()  # without effect but where its task was cancelled before its first step

    def __await__(self) -> Generator[Any, None, None]:
        error: BaseException | None = None
        try:
            while True:
                yielded = self._step(error)
                error = None
                try:
                    while yielded is _PARKED:
                        self._parking = self._loop.create_future()
                        self.is_parked = True
                        yielded = yield from self._parking
                    if self._end is None:
                        yield yielded
                except GeneratorExit:
                    raise
                except BaseException as raised:  # noqa: BLE001 - a cancellation too belongs to the coroutine
                    error = raised
                if self._end is not None:
                    end, self._end = self._end, None
                    raise end
        except StopIteration:
            return
        finally:
            self.is_parked = False

    def _step(self, error: BaseException | None) -> Any:
        """Run the coroutine, within the task, to where it waits: what it yields."""
        self.is_running = True
        self.is_parked = False
        try:
            if error is None:
                return self._run(self._coroutine.send, None)
            return self._run(self._coroutine.throw, error)
        finally:
            self.is_running = False
