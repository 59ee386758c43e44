"""Coroutines that start at once, in the caller's own turn of the loop, and become a Task only if they suspend.

A coroutine's first step needs a current task: `asyncio.timeout` and `asyncio.TaskGroup` look for one. A spare task,
waiting, lends itself: while the step runs it is the current task (`asyncio._enter_task` is the documented way for those
who run coroutines themselves: Python's documentation, "Extending", task lifetime support). A coroutine that returns
without suspending leaves it as it was; one that suspends keeps it for the rest of its life, and the next needs a new
spare. The same goes for the runner that steps through it.
"""

from __future__ import annotations

import asyncio
import types
from asyncio.tasks import _enter_task, _leave_task
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator


class Done:
    """What a runner yields when a coroutine has ended, and with what."""

    __slots__ = ("value",)

    value: Any


@types.coroutine
def _runner(done: Done) -> Generator[Any, Any, None]:
    """Runs the coroutines that are sent to it, one after the other, and yields what they yield; `done` where one ends.

    The end of a coroutine within another costs next to nothing; one that is stepped through itself raises a
    `StopIteration`, which costs more than all the rest of a short handler.
    """
    while True:
        done.value = yield from (yield done)


class Suspended:
    """A coroutine that has begun and waits. Awaiting this carries it on, in its own context, to its result."""

    __slots__ = ("_context", "_done", "_runner", "_yielded", "carrier")

    def __init__(
        self, runner: Generator[Any, Any, None], done: Done, context: Context, yielded: Any, carrier: _Carrier
    ) -> None:
        self._runner = runner
        self._done = done
        self._context = context
        self._yielded = yielded
        self.carrier = carrier

    def __await__(self) -> Generator[Any, Any, Any]:
        run = self._context.run
        yielded = self._yielded
        while yielded is not self._done:
            try:
                value = yield yielded
            except GeneratorExit:
                run(self._runner.close)
                raise
            except BaseException as error:  # noqa: BLE001 - a cancellation too belongs to the coroutine
                yielded = run(self._runner.throw, error)
            else:
                yielded = run(self._runner.send, value)
        return self._done.value


@types.coroutine
def _first_step() -> Generator[None, None, None]:
    """Until its task's first step. What cancels the task before that finds the coroutine here, not unbegun."""
    yield


class _Carrier:
    """A task that waits for work to carry on."""

    __slots__ = ("is_begun", "task", "work")

    def __init__(self, loop: asyncio.AbstractEventLoop, context: Context) -> None:
        self.is_begun = False
        self.work: asyncio.Future[Coroutine[Any, Any, Any]] = loop.create_future()
        carry = self._carry()
        carry.send(None)
        self.task: asyncio.Task[Any] = loop.create_task(carry, name="tomada spare", context=context)

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

    It is a context, to be entered in a callback of the loop, outside any task: from the first coroutine on that is
    started there, a spare task is the current one.
    """

    __slots__ = ("_current", "_done", "_loop", "_runner", "_spare", "context")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.context = copy_context()
        """The variables with which each coroutine begins; whoever lets it start may run in another one's."""
        self._spare: _Carrier | None = None
        self._current: _Carrier | None = None
        self._renew()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        if self._current is not None:
            _leave_task(self._loop, self._current.task)
            self._current = None

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run the first step: what the coroutine returns, or `Suspended` where it waits. What it raises is raised."""
        carrier = self._current or self._enter()
        context = self.context.copy()
        try:
            yielded = context.run(self._runner.send, coroutine)
        except BaseException:
            self._renew()
            if carrier.task.cancelling():
                self._part_with(carrier)
            raise
        done = self._done
        if yielded is not done:
            suspended = Suspended(self._runner, done, context, yielded, carrier)
            self._renew()
            self._part_with(carrier)
            return suspended
        if carrier.task.cancelling():
            self._part_with(carrier)
        value, done.value = done.value, None
        return value

    def _renew(self) -> None:
        self._done = Done()
        self._runner = _runner(self._done)
        self._runner.send(None)

    def _enter(self) -> _Carrier:
        if self._spare is None or self._spare.task.done():
            self._spare = _Carrier(self._loop, self.context.copy())
        _enter_task(self._loop, self._spare.task)
        self._current = self._spare
        return self._spare

    def _part_with(self, carrier: _Carrier) -> None:
        """It is no spare any more; who starts next has another."""
        _leave_task(self._loop, carrier.task)
        self._spare = self._current = None

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
