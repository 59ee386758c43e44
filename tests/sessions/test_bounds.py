"""What is dropped for a bound is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tomada import Sessions
from tomada.sessions import Change, Chunk, Store
from tomada.sessions.memory import MemoryStore
from tomada.sessions.sqlite import SqliteStore
from tomada.sessions.tables import PORTION
from tomada.telemetry import Event, SessionEvicted


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
def make(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Callable[[Sessions], Store]:
    if request.param == "memory":
        return lambda bounds: MemoryStore(bounds, clock)
    return lambda bounds: SqliteStore(str(tmp_path / "sessions.db"), bounds, clock=clock)


def begun(number: int, data: bytes = b"") -> Change:
    return Change(number.to_bytes(16, "big"), b"head", (Chunk(1, 0, data),), whole=True)


def test_what_is_dropped_is_told_by_its_bound(
    make: Callable[[Sessions], Store], clock: Clock, told: list[Event]
) -> None:
    async def main() -> None:
        store = make(Sessions(keep=60, most=3, most_bytes=20_000))
        await store.open()
        await store.commit([begun(number) for number in range(5)])
        name = str(store)
        assert told == [SessionEvicted(store=name, reason="most", sessions=2)]
        told.clear()
        await store.commit([begun(9, bytes(19_000)), begun(10, bytes(20_000))])
        assert told == [SessionEvicted(store=name, reason=reason, sessions=1) for reason in ("most", "most_bytes")]
        told.clear()
        clock.now += 61
        seen = await store.statistics()
        assert seen.sessions == seen.bytes == 0
        await store.commit([begun(11)])
        assert told == [SessionEvicted(store=name, reason="keep", sessions=3)]
        seen = await store.statistics()
        assert (seen.sessions, seen.evicted, seen.expired) == (1, 4, 3)
        await store.close()

    asyncio.run(main())


def test_where_nobody_wants_to_know_nothing_is_told(
    make: Callable[[Sessions], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SessionEvicted, "subscribers", ())

    async def main() -> None:
        store = make(Sessions(most=1))
        await store.open()
        await store.commit([begun(1), begun(2)])
        assert (await store.statistics()).evicted == 1
        await store.close()

    asyncio.run(main())


def test_bytes_are_those_that_are_documented(make: Callable[[Sessions], Store]) -> None:
    async def main() -> None:
        store = make(Sessions())
        await store.open()
        await store.commit([begun(1, bytes(100)), begun(2)])
        assert (await store.statistics()).bytes == 2 * (256 + 4) + 2 * 64 + 100
        await store.commit([Change(bytes(15) + b"\1", b"longer head", dropped=(1, 1, 2))])
        assert (await store.statistics()).bytes == 256 + 11 + 256 + 4 + 64
        await store.close()

    asyncio.run(main())


def test_many_make_room_for_one(make: Callable[[Sessions], Store], told: list[Event]) -> None:
    async def main() -> None:
        store = make(Sessions(most_bytes=100_000))
        await store.open()
        await store.commit([begun(number) for number in range(3 * PORTION)])
        await store.commit([begun(1_000, bytes(99_000))])
        seen = await store.statistics()
        assert seen.sessions == 1 + (100_000 - 99_000 - 324) // 324
        assert seen.evicted == 3 * PORTION + 1 - seen.sessions
        assert told == [SessionEvicted(store=str(store), reason="most_bytes", sessions=seen.evicted)]
        await store.close()

    asyncio.run(main())
