"""Looking takes its share of the loop's time, and no more."""

from __future__ import annotations

import asyncio
from time import monotonic, thread_time

import pytest

from tomada.feed import budget as budget_module
from tomada.feed.budget import CHUNK, LONGEST, SHARE, Budget, chunks


def work(seconds: float) -> None:
    end = thread_time() + seconds
    while thread_time() < end:
        pass


def test_what_was_spent_is_waited_for() -> None:
    async def main() -> None:
        budget = Budget()
        await budget.wait()
        began = monotonic()
        for _ in range(5):
            with budget:
                work(0.001)
        await budget.wait()
        assert monotonic() - began >= 0.005 / SHARE

    asyncio.run(main())


def test_nobody_waits_for_long_whatever_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        pauses: list[float] = []

        async def sleep(pause: float) -> None:
            pauses.append(pause)

        monkeypatch.setattr(asyncio, "sleep", sleep)
        budget = Budget()
        with budget:
            work(0.05)
        await budget.wait()
        assert pauses.pop() <= budget_module._MOST / SHARE
        for _ in range(10):
            with budget:
                work(0.02)
        await budget.wait()
        assert pauses.pop() <= LONGEST

    asyncio.run(main())


def test_others_have_their_turn_between_pieces() -> None:
    async def main() -> None:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        pieces = [piece async for piece in chunks(range(3 * CHUNK + 1))]
        assert [len(piece) for piece in pieces] == [CHUNK, CHUNK, CHUNK, 1]
        assert turns == 3
        counting.cancel()

    asyncio.run(main())
