from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from tests.eager_rig import LOOPS, Rig, finish, immediate, rigs, value
from tomada.eager import Starter


@pytest.fixture(params=LOOPS)
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    yield from rigs(request.param)


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
        with starter:
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
        with rig.starter:
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
