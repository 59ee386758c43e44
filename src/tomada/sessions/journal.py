"""Commits in groups: while one is under way, what changes meanwhile gathers for the next."""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import copy_context
from typing import TYPE_CHECKING, Final

from tomada.errors import StoreFailed
from tomada.sessions.store import Change
from tomada.telemetry import CommitFailed, CommitResumed, emit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tomada.sessions.store import Chunk, Store

WAITING_BYTES: Final = 16_777_216
"""How much may wait before a journal is full."""
RECORD_BYTES: Final = 128
"""What a recorded change counts beside its own bytes."""
LONGEST_COMMIT: Final = 30.0
"""After so many seconds a commit that has not returned has failed."""
FIRST_PAUSE: Final = 0.05
"""After a failed commit, in seconds; after each further one twice as long."""
LONGEST_PAUSE: Final = 5.0
CLOSING: Final = 10.0
"""How long closing waits for what is recorded, in seconds."""


class Journal:
    """Stores what changes in all sessions of a server, in the order in which it was recorded, many changes per commit.

    `record` takes whatever comes: who records looks at `is_full`, and begins nothing new then.

    Args:
        store: It is open, and stays open until the journal is closed.
        loop: All happens in it.
        most_bytes: How much may wait before it is full.
    """

    def __init__(self, store: Store, loop: asyncio.AbstractEventLoop, *, most_bytes: int = WAITING_BYTES) -> None:
        self._store = store
        self._loop = loop
        self._most_bytes = most_bytes
        self._next = _Batch()
        self._current: _Batch | None = None
        self._writing: asyncio.Task[None] | None = None
        self._flushing: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._recorded = 0
        self._committed = 0
        self._is_closed = False
        self._context = copy_context()  # not that of a handler that happens to record first
        self._failing_since = 0.0
        self.failure = ""
        """Why the last commit failed; empty when it did not."""
        self.commits = 0
        """How many there were."""

    @property
    def waiting_bytes(self) -> int:
        """How much is recorded and not committed yet."""
        return self._next.bytes + (0 if self._current is None else self._current.bytes)

    @property
    def is_full(self) -> bool:
        """Whether so much waits that nothing new should be begun. When `done` is called, it has been counted anew."""
        return self.waiting_bytes >= self._most_bytes

    def record(self, change: Change, done: Callable[[], None]) -> None:
        """Commit this change soon; `done` is called when it is stored, after those of all changes before it.

        It is not called if the change never is. What it raises is told to the loop's exception handler.

        Raises:
            StoreFailed: The journal has been closed.
        """
        if self._is_closed:
            raise StoreFailed(f"the journal of the store {self._store} has been closed: nothing more is stored")
        self._recorded += 1
        self._next.take(change, done)
        if self._writing is None:
            self._writing = self._loop.create_task(self._write_all(), name="tomada journal", context=self._context)

    async def flush(self) -> None:
        """Wait until all that has been recorded so far is committed; while the store fails, until it works again.

        Raises:
            StoreFailed: The journal was closed before that.
        """
        if self._committed == self._recorded:
            return
        if self._writing is None:
            raise self._lost()
        committed = self._loop.create_future()
        self._flushing.append((self._recorded, committed))
        await committed

    async def close(self, timeout: float = CLOSING) -> None:
        """Commit what has been recorded, and take nothing more. To close it again does nothing more.

        Args:
            timeout: How long to wait for that, in seconds.

        Raises:
            StoreFailed: Not all could be committed in that time; the text says how much was not, and why.
        """
        self._is_closed = True
        if self._writing is None:
            return
        try:
            async with asyncio.timeout(timeout):
                await self.flush()
        except TimeoutError:
            if not self.failure:
                self.failure = f"no commit has ended within {timeout:g} s"
            raise self._lost() from None
        finally:
            await self._stop()

    async def _stop(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.wait([self._writing])
        while self._flushing:
            _, committed = self._flushing.popleft()
            if not committed.done():
                committed.set_exception(self._lost())

    def _lost(self) -> StoreFailed:
        count = self._recorded - self._committed
        return StoreFailed(
            f"{count:,} changes of sessions were not stored in {self._store}"
            f" ({self.waiting_bytes:,} bytes): {self.failure or 'the journal was stopped'}"
        )

    async def _write_all(self) -> None:
        try:
            await asyncio.sleep(0)  # what else is recorded in this turn of the loop comes with it
            while self._next.done:
                self._current, self._next = self._next, _Batch()
                changes = self._current.changes()
                pause = FIRST_PAUSE
                while not await self._committed_now(changes):
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE)
                batch, self._current = self._current, None
                self._tell(batch)
        finally:
            self._writing = None

    async def _committed_now(self, changes: Sequence[Change]) -> bool:
        """Whether the store took them. Else all will be tried again: to take a change twice does no harm."""
        limit = asyncio.timeout(LONGEST_COMMIT)
        try:
            async with limit:
                await self._store.commit(changes)
        except Exception as error:  # noqa: BLE001 - told, and tried again, whatever it is that a store raises
            is_late = limit.expired()
            self._failed(f"no commit within {LONGEST_COMMIT:g} s" if is_late else str(error) or type(error).__name__)
            return False
        self.commits += 1
        if self.failure:
            self.failure = ""
            if CommitResumed.subscribers:
                emit(CommitResumed(store=str(self._store), seconds=self._loop.time() - self._failing_since))
        return True

    def _failed(self, reason: str) -> None:
        if not self.failure:
            self._failing_since = self._loop.time()
        if reason != self.failure and CommitFailed.subscribers:
            emit(CommitFailed(store=str(self._store), reason=reason, waiting_bytes=self.waiting_bytes))
        self.failure = reason

    def _tell(self, batch: _Batch) -> None:
        self._committed += len(batch.done)
        for done in batch.done:
            try:
                done()
            except Exception as error:  # noqa: BLE001 - of one session; the others go on
                context = {"message": "what was to be done after a commit raised", "exception": error}
                self._loop.call_exception_handler(context)
        while self._flushing and self._flushing[0][0] <= self._committed:
            _, committed = self._flushing.popleft()
            if not committed.done():
                committed.set_result(None)


class _Batch:
    """What is committed together: the changes of each session as one, and who is to be told."""

    __slots__ = ("_sessions", "bytes", "done")

    def __init__(self) -> None:
        self._sessions: dict[bytes, _Merged] = {}
        self.done: list[Callable[[], None]] = []
        self.bytes = 0

    def take(self, change: Change, done: Callable[[], None]) -> None:
        self.done.append(done)
        merged = self._sessions.pop(change.id, None) or _Merged()
        self.bytes += RECORD_BYTES + merged.take(change)
        self._sessions[change.id] = merged  # as the last one touched

    def changes(self) -> list[Change]:
        return [merged.change(identity) for identity, merged in self._sessions.items()]


class _Merged:
    """Several changes of one session as one."""

    __slots__ = ("added", "dropped", "head", "removed", "whole")

    def __init__(self) -> None:
        self.head: bytes | None = None
        self.added: dict[int, Chunk] = {}
        self.dropped: dict[int, None] = {}
        self.removed = False
        self.whole = False

    def take(self, change: Change) -> int:
        """By how many bytes it is more then."""
        more = 0
        if change.removed or change.whole:
            more -= len(self.head or b"") + sum(len(chunk.data) for chunk in self.added.values())
            self.head = None
            self.added.clear()
            self.dropped.clear()
            self.removed, self.whole = change.removed, not change.removed
        if self.removed:
            return more  # what comes after the end is of no session
        if change.head is not None:
            more += len(change.head) - len(self.head or b"")
            self.head = change.head
        for chunk in change.added:
            more += len(chunk.data) - self._replaced(chunk.number)
            self.added[chunk.number] = chunk
        for number in change.dropped:
            more -= self._drop(number)
        return more

    def _replaced(self, number: int) -> int:
        self.dropped.pop(number, None)
        older = self.added.get(number)
        return 0 if older is None else len(older.data)

    def _drop(self, number: int) -> int:
        chunk = self.added.pop(number, None)
        if chunk is not None:
            return len(chunk.data)
        if not self.whole:
            self.dropped[number] = None
        return 0

    def change(self, identity: bytes) -> Change:
        return Change(
            identity,
            head=self.head,
            added=tuple(self.added.values()),
            dropped=tuple(self.dropped),
            removed=self.removed,
            whole=self.whole,
        )
