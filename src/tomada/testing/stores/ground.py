"""What all tests of stores stand on: the store under test, opened, and its clock."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

from tomada.sessions import Change, Chunk, Stored
from tomada.settings import Sessions
from tomada.testing.conformance.running import Running, expect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tomada.sessions import Store

AMPLE = Sessions()


class Ground(Running):
    """How the suite reaches the store under test. A subclass gives `store`; the rest may stay as it is."""

    opens_twice: bool = True
    """Whether two stores may be open in the same place at once."""
    keep: float = 100.0
    """Seconds that sessions are kept in tests of their age."""
    now: float = 1_000_000.0
    """What the clock of the store shows."""

    def store(self, bounds: Sessions, clock: Callable[[], float]) -> Store:
        """The store under test, not opened yet.

        Within one test it is asked for again to see what survives: a durable store must be in the same place then. For
        each test it is in another place, and empty.

        Args:
            bounds: What it may keep.
            clock: What it takes for the time. For a store with a clock of its own `later` is overridden, too.
        """
        raise NotImplementedError("give the store, such as SqliteStore(path, bounds, clock=clock)")

    async def later(self, seconds: float) -> None:
        """Let this time pass for the store. Where its clock cannot be given: wait, with a short `keep`."""
        self.now += seconds

    @asynccontextmanager
    async def opened(self, bounds: Sessions = AMPLE) -> AsyncIterator[Store]:
        """The store under test, open in the block."""
        store = self.store(bounds, lambda: self.now)
        await store.open()
        try:
            yield store
        finally:
            await store.close()


def name(number: int) -> bytes:
    """The id of a session."""
    return number.to_bytes(16, "big")


def begin(number: int, head: bytes = b"head", *chunks: Chunk) -> Change:
    """The first change of a session."""
    return Change(name(number), head, chunks, whole=True)


def chunk(number: int, data: bytes = b"", lane: int = 0) -> Chunk:
    """One with data of its own."""
    return Chunk(number, lane, data or b"chunk %d" % number)


def unfit(number: int) -> Change:
    """The first change of a session that no store can take."""
    return begin(number, b"head", Chunk(1, 0, cast("bytes", object())))


async def loaded(store: Store, number: int) -> Stored:
    """What the store has of a session that it must have."""
    stored = await store.load(name(number))
    if stored is None:
        raise AssertionError(f"session {number} was committed, and is not there")
    expect(isinstance(stored, Stored), f"load gave {type(stored).__name__}, and not Stored")
    return stored


async def has(store: Store, number: int, head: bytes = b"head", *chunks: Chunk) -> None:
    """Expect that the store has just this of a session."""
    stored = await loaded(store, number)
    expect(stored.head == head, f"session {number} has the head {stored.head[:40]!r}, and not {head[:40]!r}")
    there, wanted = [one.number for one in stored.chunks], [one.number for one in chunks]
    expect(there == wanted, f"session {number} has the chunks {there[:20]}, and not {wanted[:20]}")
    expect(stored.chunks == chunks, f"chunks of session {number} came back with another lane, or other data")


async def has_not(store: Store, number: int, why: str) -> None:
    """Expect that the store has nothing of a session."""
    expect(await store.load(name(number)) is None, f"session {number} is there, {why}")


async def present(store: Store, numbers: range) -> list[int]:
    """Which of these sessions the store has."""
    return [number for number in numbers if await store.load(name(number)) is not None]
