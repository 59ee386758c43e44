"""Sessions in this process's memory: they end with it."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from tomada.errors import StoreFailed
from tomada.sessions.store import CHUNK_BYTES, SESSION_BYTES, Stored, Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tomada.sessions.store import Change, Chunk, StoreStatistics
    from tomada.settings import Sessions


class MemoryStore:
    """A `tomada.sessions.Store` whose sessions survive a lost connection, and nothing more.

    Args:
        bounds: How many sessions, how large, and for how long.
        clock: Gives seconds; only differences matter.
    """

    survives = "a lost connection"
    is_durable = False

    def __init__(self, bounds: Sessions, clock: Callable[[], float] = monotonic) -> None:
        self._bounds = bounds
        self._clock = clock
        self._sessions: dict[bytes, _Session] = {}  # the longest untouched first
        self._bytes = 0
        self._tally = Tally()
        self._is_open = False

    def __str__(self) -> str:
        return "memory"

    async def open(self) -> None:
        """Make it ready, and empty."""
        self._tally = Tally()
        self._is_open = True

    async def close(self) -> None:
        """Forget all sessions."""
        self._is_open = False
        self._sessions.clear()
        self._bytes = 0

    async def load(self, identity: bytes, /) -> Stored | None:
        """What it has of a session; None where it is not known, or has expired."""
        self._expect_open()
        session = self._sessions.get(identity)
        if session is None or session.touched <= self._clock() - self._bounds.keep:
            return None
        chunks = session.chunks
        return Stored(session.head, tuple(chunks[number] for number in sorted(chunks)))

    async def commit(self, changes: Sequence[Change]) -> None:
        """Take all of these changes, in their order, or raise and take none."""
        self._expect_open()
        for change in changes:
            _measure(change)  # whatever is wrong with one is found before anything has changed
        now, tally = self._clock(), Tally()
        for change in changes:
            self._apply(change, now, tally)
        self._keep_bounds(now, tally)
        self._tally.add(tally)
        tally.tell(self)

    async def statistics(self) -> StoreStatistics:
        """What it has, and how near it is to its bounds."""
        self._expect_open()
        tally = Tally()
        self._expire(self._clock(), tally)
        self._tally.add(tally)
        tally.tell(self)
        return self._tally.statistics(self._bounds, len(self._sessions), self._bytes)

    def _expect_open(self) -> None:
        if not self._is_open:
            raise StoreFailed("the store memory is not open: await its open() first")

    def _apply(self, change: Change, now: float, tally: Tally) -> None:
        session = self._sessions.pop(change.id, None)
        if session is not None:
            self._bytes -= session.weight
        if change.removed:
            return
        if change.whole:
            session = _Session()
        elif session is None:
            tally.passed_over += 1
            return
        session.take(change)
        if session.weight > self._bounds.most_bytes:
            tally.most_bytes += 1  # by itself, before it drives out all others
            return
        session.touched = now
        self._sessions[change.id] = session  # as the last one
        self._bytes += session.weight

    def _keep_bounds(self, now: float, tally: Tally) -> None:
        self._expire(now, tally)
        while len(self._sessions) > self._bounds.most:
            self._drop_oldest()
            tally.most += 1
        while self._bytes > self._bounds.most_bytes:
            self._drop_oldest()
            tally.most_bytes += 1

    def _expire(self, now: float, tally: Tally) -> None:
        latest = now - self._bounds.keep
        while self._sessions and next(iter(self._sessions.values())).touched <= latest:
            self._drop_oldest()
            tally.keep += 1

    def _drop_oldest(self) -> None:
        oldest = next(iter(self._sessions))
        self._bytes -= self._sessions.pop(oldest).weight


class _Session:
    """What there is of one."""

    __slots__ = ("chunks", "head", "touched", "weight")

    def __init__(self) -> None:
        self.head = b""
        self.chunks: dict[int, Chunk] = {}
        self.weight = SESSION_BYTES
        self.touched = 0.0

    def take(self, change: Change) -> None:
        if change.head is not None:
            self.weight += len(change.head) - len(self.head)
            self.head = change.head
        for chunk in change.added:
            self._drop(chunk.number)
            self.chunks[chunk.number] = chunk
            self.weight += CHUNK_BYTES + len(chunk.data)
        for number in change.dropped:
            self._drop(number)

    def _drop(self, number: int) -> None:
        chunk = self.chunks.pop(number, None)
        if chunk is not None:
            self.weight -= CHUNK_BYTES + len(chunk.data)


def _measure(change: Change) -> int:
    head = b"" if change.head is None else change.head
    return len(change.id) + len(head) + len(change.dropped) + sum(len(chunk.data) for chunk in change.added)
