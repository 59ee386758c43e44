from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import pytest

from tests.integration.conftest import Run, _loops_have_what_they_keep, run
from tomada.driven import Driven, parked

__all__ = ["_loops_have_what_they_keep", "run"]

mood: ContextVar[str] = ContextVar("mood", default="none")
Work = Callable[["Source"], Coroutine[Any, Any, None]]


class Source:
    """Gives what it is fed to one driven coroutine."""

    def __init__(self, work: Work) -> None:
        self.driven = Driven(work(self))
        self.task = asyncio.get_running_loop().create_task(self.driven.run())
        self.fed: list[str] = []
        self.noted: list[str] = []

    async def get(self) -> str:
        while not self.fed:
            await self._arrival()
        return self.fed.pop(0)

    def _arrival(self) -> Awaitable[None]:
        assert self.driven.is_running
        return parked()

    def feed(self, *items: str) -> None:
        """From a callback of the loop, as a transport does it."""
        for item in items:
            self.fed.append(item)
            if self.driven.is_parked:
                self.driven.resume()

    async def fed_with(self, *items: str) -> None:
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        loop.call_soon(self.feed, *items)
        loop.call_soon(done.set)
        await done.wait()


async def note_all(source: Source) -> None:
    while (item := await source.get()) != "end":
        source.noted.append(item)


def test_it_goes_on_in_the_callback_that_feeds_it(run: Run) -> None:
    async def main() -> None:
        source = Source(note_all)
        await asyncio.sleep(0)
        seen = []

        def callback() -> None:
            source.feed("a")
            seen.append(list(source.noted))
            source.feed("b", "c")
            seen.append(list(source.noted))

        asyncio.get_running_loop().call_soon(callback)
        await asyncio.sleep(0)
        assert seen == [["a"], ["a", "b", "c"]]
        await source.fed_with("end")
        await source.task

    run(main())


def test_what_else_it_awaits_its_task_awaits(run: Run) -> None:
    async def work(source: Source) -> None:
        for _ in range(3):
            source.noted.append(await source.get())
            await asyncio.sleep(0.001)
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(0))
            assert asyncio.current_task() is source.task

    async def main() -> None:
        source = Source(work)
        await asyncio.sleep(0)
        await source.fed_with("a", "b", "c")
        await source.task
        assert source.noted == ["a", "b", "c"]

    run(main())


def test_its_time_outs_strike_wherever_it_waits(run: Run) -> None:
    async def work(source: Source) -> None:
        for wait in (source.get, asyncio.Event().wait):
            try:
                async with asyncio.timeout(0.001):
                    await wait()
            except TimeoutError:
                source.noted.append("late")
        source.noted.append(await source.get())
        try:
            async with asyncio.timeout(0.001):  # begun in a callback
                await source.get()
        except TimeoutError:
            source.noted.append("late again")

    async def main() -> None:
        source = Source(work)
        await asyncio.sleep(0)
        while len(source.noted) < 2:  # noqa: ASYNC110 - for real time
            await asyncio.sleep(0.001)
        await source.fed_with("a")
        await source.task
        assert source.noted == ["late", "late", "a", "late again"]

    run(main())


def test_a_cancellation_reaches_it_where_it_waits(run: Run) -> None:
    async def work(source: Source) -> None:
        try:
            await source.get()
        except asyncio.CancelledError:
            source.noted.append("cancelled")
            await asyncio.sleep(0)
            raise

    async def main() -> None:
        source = Source(work)
        await asyncio.sleep(0)
        source.task.cancel()
        source.feed("too late")  # it hears of the cancellation first
        with pytest.raises(asyncio.CancelledError):
            await source.task
        assert source.noted == ["cancelled"]
        assert not source.driven.is_parked

    run(main())


def test_it_may_cancel_itself_in_a_callback(run: Run) -> None:
    async def work(source: Source) -> None:
        await source.get()
        source.task.cancel()
        source.noted.append("goes on")
        await source.get()

    async def main() -> None:
        source = Source(work)
        await asyncio.sleep(0)
        await source.fed_with("a")
        with pytest.raises(asyncio.CancelledError):
            await source.task
        assert source.noted == ["goes on"]

    run(main())


def test_one_that_ends_while_it_is_cancelled_has_ended(run: Run) -> None:
    async def work(source: Source) -> None:
        await source.get()
        source.task.cancel()

    async def main() -> None:
        source = Source(work)
        await asyncio.sleep(0)
        await source.fed_with("a")
        await source.task
        assert not source.task.cancelled()

    run(main())


def test_what_it_raises_is_its_tasks(run: Run) -> None:
    async def work(source: Source) -> None:
        if await source.get() == "bad":
            raise ZeroDivisionError
        await asyncio.sleep(0)
        raise KeyError

    async def main() -> None:
        for item, kind in (("bad", ZeroDivisionError), ("other", KeyError)):
            source = Source(work)
            await asyncio.sleep(0)
            await source.fed_with(item)
            with pytest.raises(kind):
                await source.task

    run(main())


def test_an_error_can_be_raised_in_it(run: Run) -> None:
    async def work(source: Source) -> None:
        try:
            await source.get()
        except OSError as error:
            source.noted.append(str(error))
        source.noted.append(await source.get())

    async def main() -> None:
        source = Source(work)
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(source.driven.resume, OSError("gone"))
        await asyncio.sleep(0)
        await source.fed_with("a")
        await source.task
        assert source.noted == ["gone", "a"]

    run(main())


def test_it_has_a_context_of_its_own(run: Run) -> None:
    async def work(source: Source) -> None:
        mood.set("hers")
        await source.get()
        source.noted.append(mood.get())
        mood.set("changed")
        await asyncio.sleep(0)
        source.noted.append(mood.get())

    async def main() -> None:
        source = Source(work)
        await asyncio.sleep(0)
        await source.fed_with("a")
        await source.task
        assert source.noted == ["hers", "changed"]
        assert mood.get() == "none"

    run(main())


def test_without_its_task_it_is_left_alone(run: Run) -> None:
    async def main() -> None:
        source = Source(note_all)
        source.driven.resume()  # its task has not begun
        source.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await source.task
        source.driven.resume()

    run(main())
