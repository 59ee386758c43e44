from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine, Iterator
from contextvars import ContextVar
from typing import Any, cast

import pytest
import uvloop

from tomada.eager import Starter, Suspended

NAME: ContextVar[str] = ContextVar("NAME", default="nobody")


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


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield Rig(runner.get_loop())
    gc.collect()


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


# Cancellation.


def test_cancelled_where_it_waits(rig: Rig) -> None:
    async def wait() -> str:
        try:
            await rig.loop.create_future()
        except asyncio.CancelledError as error:
            return f"cancelled: {error}"
        return "not"

    task = rig.start(wait())
    rig.turn()
    task.cancel("enough")

    assert rig.loop.run_until_complete(task) == "cancelled: enough"


@pytest.mark.parametrize("waiting_spare", [False, True])
def test_cancelled_before_its_task_has_taken_over(rig: Rig, waiting_spare: bool) -> None:  # noqa: FBT001 - a case
    """The cancellation comes in the same turn of the loop as the first step."""
    if waiting_spare:
        rig.prepare_spare()
    seen: list[str] = []

    async def wait() -> None:
        task = asyncio.current_task()
        assert task is not None
        rig.loop.call_soon(task.cancel)
        try:
            await rig.loop.create_future()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    task = rig.start(wait())

    with pytest.raises(asyncio.CancelledError):
        rig.loop.run_until_complete(task)
    assert seen == ["cancelled"]
    assert rig.run(value(4)) == 4


def test_cancelled_twice_it_still_ends(rig: Rig) -> None:
    async def stubborn() -> str:
        for _ in range(2):
            try:
                await rig.loop.create_future()
            except asyncio.CancelledError:
                continue
        return "twice"

    task = rig.start(stubborn())
    rig.turn()
    task.cancel()
    rig.turn()
    task.cancel()

    assert rig.loop.run_until_complete(task) == "twice"


def test_cancelled_after_its_end_nothing_happens(rig: Rig) -> None:
    task = rig.start(value(2))
    assert rig.loop.run_until_complete(task) == 2

    assert not task.cancel()


def test_it_may_cancel_its_own_task_in_its_first_step(rig: Rig) -> None:
    seen: list[str] = []

    async def give_up(*, then_wait: bool) -> str:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        if not then_wait:
            return "done all the same"
        try:
            await rig.loop.create_future()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        return "not"

    assert rig.start(give_up(then_wait=False)) == "done all the same"
    with pytest.raises(asyncio.CancelledError):
        rig.run(give_up(then_wait=True))
    assert seen == ["cancelled"]
    assert rig.run(value(1)) == 1


def test_cancelled_error_in_the_first_step_is_raised(rig: Rig) -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        rig.start(cancelled())
    assert rig.run(value(1)) == 1


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
        suspended = rig.starter.start(wait())
        steps = suspended.__await__()
        next(steps)
        steps.close()

    rig.loop.call_soon(callback)
    rig.turn()

    assert seen == ["nobody"]


# The end of the loop.


def test_what_is_under_way_when_the_loop_ends_is_cancelled() -> None:
    seen: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            seen.append("ended")

    with asyncio.Runner() as runner:
        rig = Rig(runner.get_loop())
        rig.start(wait())
        rig.turn()
        assert not seen

    assert seen == ["ended"]


@pytest.mark.parametrize("waiting_spare", [False, True])
def test_handed_over_in_the_last_turn_of_the_loop(waiting_spare: bool) -> None:  # noqa: FBT001 - a case
    """Nothing is 'never awaited', whether the task has begun or not: a warning fails the test."""
    seen: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            seen.append("ended")

    def hand_over(starter: Starter) -> None:
        suspended = starter.start(wait())
        starter.carry(suspended, finish(suspended))

    with asyncio.Runner() as runner:
        rig = Rig(runner.get_loop())
        if waiting_spare:
            rig.prepare_spare()
        rig.loop.call_soon(hand_over, rig.starter)
        rig.turn()
    gc.collect()

    assert seen == ["ended"]


def test_started_and_never_carried_on(rig: Rig) -> None:
    seen: list[str] = []

    async def wait() -> None:
        try:
            await rig.loop.create_future()
        finally:
            seen.append("closed")

    def callback() -> None:
        rig.starter.start(wait())

    rig.loop.call_soon(callback)
    rig.turn()
    gc.collect()

    assert seen == ["closed"]


def test_closing_ends_the_spare(rig: Rig) -> None:
    rig.starter.close()
    rig.start(immediate(0))
    assert rig.spares() == 1

    rig.starter.close()
    rig.turn()
    assert rig.spares() == 0
    assert rig.run(value(3)) == 3
