from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextvars import ContextVar
from typing import Any, cast

import pytest

from tests.eager_rig import LOOPS, Rig, finish, immediate, rigs, value

NAME: ContextVar[str] = ContextVar("NAME", default="nobody")


@pytest.fixture(params=LOOPS)
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    yield from rigs(request.param)


def test_a_coroutine_that_does_not_suspend_needs_no_task(rig: Rig) -> None:
    made: list[object] = []

    def factory(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **kwargs: Any) -> Any:
        made.append(coroutine)
        return asyncio.Task(coroutine, loop=loop, **kwargs)

    rig.loop.set_task_factory(cast("Any", factory))

    assert [rig.start(immediate(number)) for number in range(100)] == list(range(100))
    assert len(made) == rig.spares() == 1


def test_it_begins_at_once_and_in_order(rig: Rig) -> None:
    order: list[int] = []

    async def note(number: int) -> None:
        order.append(number)
        await asyncio.sleep(0)
        order.append(number + 10)

    def callback() -> None:
        for number in (1, 2):
            with rig.starter:
                suspended = rig.starter.start(note(number))
            tasks.append(rig.starter.carry(suspended, finish(suspended)))
        order.append(0)

    tasks: list[asyncio.Task[Any]] = []
    rig.loop.call_soon(callback)
    rig.turn()
    rig.loop.run_until_complete(asyncio.gather(*tasks))

    assert order == [1, 2, 0, 11, 12]


def test_one_that_suspends_has_one_task_from_its_first_step_to_its_last(rig: Rig) -> None:
    seen: list[asyncio.Task[Any] | None] = []

    async def look() -> str:
        seen.append(asyncio.current_task())
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())
        return "done"

    task = rig.start(look())

    assert rig.loop.run_until_complete(task) == "done"
    assert seen == [task, task]


def test_there_is_no_current_task_afterwards(rig: Rig) -> None:
    def callback() -> None:
        with rig.starter:
            rig.starter.start(immediate(1))
        seen.append(asyncio.current_task())

    seen: list[object] = []
    rig.loop.call_soon(callback)
    rig.turn()

    assert seen == [None]


def test_awaiting_what_is_done_does_not_suspend(rig: Rig) -> None:
    async def outer() -> int:
        return await immediate(7)

    assert rig.start(outer()) == 7


@pytest.mark.parametrize("suspend", [False, True])
def test_what_it_raises_is_raised(rig: Rig, suspend: bool) -> None:  # noqa: FBT001 - a case
    async def fail() -> None:
        if suspend:
            await asyncio.sleep(0)
        raise LookupError("no such account")

    with pytest.raises(LookupError, match="no such account"):
        rig.run(fail())
    assert rig.run(value(3)) == 3


def test_a_future_is_awaited(rig: Rig) -> None:
    async def wait() -> str:
        return await future

    future: asyncio.Future[str] = rig.loop.create_future()
    task = rig.start(wait())
    future.set_result("here")

    assert rig.loop.run_until_complete(task) == "here"


def test_an_exception_of_a_future_can_be_caught(rig: Rig) -> None:
    async def wait() -> str:
        try:
            await future
        except LookupError:
            await asyncio.sleep(0)
            return "caught"
        return "not raised"

    future: asyncio.Future[None] = rig.loop.create_future()
    task = rig.start(wait())
    future.set_exception(LookupError())

    assert rig.loop.run_until_complete(task) == "caught"


def test_a_cancellation_before_a_new_tasks_first_step_reaches_the_coroutine(rig: Rig) -> None:
    async def wait() -> str:
        try:
            await rig.loop.create_future()
        except asyncio.CancelledError:
            return "caught"
        return "not"

    tasks: list[asyncio.Task[str]] = []

    def callback() -> None:
        with rig.starter:
            suspended = rig.starter.start(wait())
        tasks.append(rig.starter.carry(suspended, finish(suspended)))
        tasks[0].cancel()  # such as from a time-out, on a loop that runs timers first

    rig.loop.call_soon(callback)
    rig.turn()
    assert rig.loop.run_until_complete(tasks[0]) == "caught"


# Time-outs, groups.


@pytest.mark.parametrize("seconds", [-1, 0, 0.001])
def test_a_timeout_ends_what_it_is_around(rig: Rig, seconds: float) -> None:
    async def wait() -> str:
        try:
            async with asyncio.timeout(seconds):
                await rig.loop.create_future()
        except TimeoutError:
            return "timed out"
        return "not"

    assert rig.run(wait()) == "timed out"
    rig.prepare_spare()
    assert rig.run(wait()) == "timed out"


def test_a_timeout_that_is_kept_leaves_nothing(rig: Rig) -> None:
    async def wait() -> int:
        async with asyncio.timeout(60):
            await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    assert rig.run(wait()) == 0


def test_a_timeout_may_stay_within_the_first_step(rig: Rig) -> None:
    async def wait() -> int:
        async with asyncio.timeout(60):
            return await immediate(5)

    assert rig.start(wait()) == 5


def test_a_group_runs_its_children(rig: Rig) -> None:
    async def parent() -> list[int]:
        async with asyncio.TaskGroup() as group:
            children = [group.create_task(value(number)) for number in range(3)]
        return [child.result() for child in children]

    assert rig.run(parent()) == [0, 1, 2]


def test_a_child_that_fails_cancels_its_parent(rig: Rig) -> None:
    async def fail() -> None:
        raise LookupError

    async def parent() -> str:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                await rig.loop.create_future()
        except* LookupError:
            pass
        return "both have ended"

    assert rig.run(parent()) == "both have ended"


# Context variables.


def test_context_is_kept_over_suspension_and_does_not_leak(rig: Rig) -> None:
    async def name(mine: str) -> list[str]:
        seen = [NAME.get()]
        NAME.set(mine)
        await asyncio.sleep(0)
        seen.append(NAME.get())
        await asyncio.create_task(child(seen))
        return seen

    async def child(seen: list[str]) -> None:
        seen.append(NAME.get())

    tasks = [rig.start(name(mine)) for mine in ("ana", "rui")]

    assert [rig.loop.run_until_complete(task) for task in tasks] == [
        ["nobody", "ana", "ana"],
        ["nobody", "rui", "rui"],
    ]
    assert NAME.get() == "nobody"


def test_context_of_one_that_does_not_suspend_does_not_leak(rig: Rig) -> None:
    async def name() -> str:
        seen = NAME.get()
        NAME.set("ana")
        return seen

    assert [rig.start(name()) for _ in range(2)] == ["nobody"] * 2


def test_a_token_can_be_reset_when_the_coroutine_is_closed(rig: Rig) -> None:
    seen: list[str] = []

    async def wait() -> None:
        token = NAME.set("ana")
        try:
            await rig.loop.create_future()
        finally:
            NAME.reset(token)
            seen.append(NAME.get())

    def callback() -> None:
        with rig.starter:
            suspended = rig.starter.start(wait())
        steps = suspended.__await__()
        next(steps)
        steps.close()

    rig.loop.call_soon(callback)
    rig.turn()

    assert seen == ["nobody"]
