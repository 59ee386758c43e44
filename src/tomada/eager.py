"""Coroutines that start at once, in the caller's own turn of the loop, and become a Task only if they suspend.

A coroutine's first step needs a current task: `asyncio.timeout` and `asyncio.TaskGroup` look for one. A spare task,
waiting, lends itself: while the step runs it is the current task (`asyncio._enter_task` is the documented way for those
who run coroutines themselves: Python's documentation, "Extending", task lifetime support). A coroutine that returns
without suspending leaves it as it was; one that suspends keeps it for the rest of its life, and the next needs a new
spare.
"""

from __future__ import annotations

import asyncio
import types
from asyncio.tasks import _enter_task, _leave_task
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator


class Suspended:
    """A coroutine that has begun and waits. Awaiting this carries it on, in its own context, to its result."""

    __slots__ = ("_context", "_coroutine", "_yielded", "carrier")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], context: Context, yielded: Any, carrier: _Carrier) -> None:
        self._coroutine = coroutine
        self._context = context
        self._yielded = yielded
        self.carrier = carrier

    def __await__(self) -> Generator[Any, Any, Any]:
        run = self._context.run
        yielded = self._yielded
        try:
            while True:
                try:
                    value = yield yielded
                except GeneratorExit:
                    run(self._coroutine.close)
                    raise
                except BaseException as error:  # noqa: BLE001 - a cancellation too belongs to the coroutine
                    yielded = run(self._coroutine.throw, error)
                else:
                    yielded = run(self._coroutine.send, value)
        except StopIteration as stop:
            return stop.value


@types.coroutine
def _first_step() -> Generator[None, None, None]:
    """Until its task's first step. What cancels the task before that finds the coroutine here, not unbegun."""
    yield


class _Carrier:
    """A task that waits for work to carry on."""

    __slots__ = ("is_begun", "task", "work")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.is_begun = False
        self.work: asyncio.Future[Coroutine[Any, Any, Any]] = loop.create_future()
        carry = self._carry()
        carry.send(None)
        self.task: asyncio.Task[Any] = loop.create_task(carry, name="tomada spare")

    async def _carry(self) -> Any:
        try:
            await _first_step()
            work = await self.work
        except asyncio.CancelledError as error:
            if self.work.cancelled() or not self.work.done():
                raise
            # It came between the hand-over and this step, such as from a time-out of no seconds: it is the work's own.
            work = self.work.result()
            self.task.uncancel()
            self.task.cancel(*error.args)
        self.is_begun = True
        return await work

    def __del__(self) -> None:
        if not self.is_begun and self.work.done() and not self.work.cancelled():
            # The task was cancelled before its first step, by a loop that shuts down.
            self.work.result().close()


class Starter:
    """Starts coroutines on one loop.

    To be called from a callback of the loop, outside any task.
    """

    __slots__ = ("_loop", "_spare")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._spare: _Carrier | None = None

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run the first step: what the coroutine returns, or `Suspended` where it waits. What it raises is raised."""
        carrier = self._spare
        if carrier is None or carrier.task.done():
            carrier = self._spare = _Carrier(self._loop)
        task = carrier.task
        context = copy_context()
        _enter_task(self._loop, task)
        try:
            yielded = context.run(coroutine.send, None)
        except StopIteration as stop:
            return stop.value
        finally:
            _leave_task(self._loop, task)
            if task.cancelling():
                self._spare = None
        self._spare = None
        return Suspended(coroutine, context, yielded, carrier)

    def carry(self, suspended: Suspended, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Let the task that lent itself to `suspended` run `work`, which awaits it."""
        carrier = suspended.carrier
        if carrier.task.cancelling():
            # The coroutine cancelled its own task in its first step, which that task may not survive: another delivers
            # the cancellation.
            task = self._loop.create_task(work)
            self._loop.call_soon(task.cancel)
            return task
        carrier.work.set_result(work)
        return carrier.task

    def close(self) -> None:
        """Let the spare task end."""
        if self._spare is not None:
            self._spare.task.cancel()
