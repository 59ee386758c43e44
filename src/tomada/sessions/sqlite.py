"""Sessions in a file of SQLite, which survives a killed server.

All work is done in one thread, by way of the running loop's `run_in_executor`: a simulated loop may do it at once.
"""

from __future__ import annotations

import asyncio
import sqlite3
from time import time
from typing import TYPE_CHECKING, Final, TypeVar

from tomada.errors import StoreFailed
from tomada.sessions.tables import Tables, explained
from tomada.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tomada.sessions.store import Change, Stored, StoreStatistics
    from tomada.settings import Sessions

T = TypeVar("T")

PATIENCE: Final = 5.0
"""For how long to wait for another process that has the file locked, in seconds."""
PAUSE: Final = 0.02
"""Between two attempts to open a file that another process is just making."""


class SqliteStore:
    """A `tomada.sessions.Store` whose sessions survive a killed server. Several processes may use one file.

    Each commit is one transaction, on the disk when it returns (write-ahead log, ``synchronous=FULL``). The file and
    those beside it are for its owner alone. It is opened in the process that uses it, after any fork.

    Args:
        path: Of the file, absolute; it is made where there is none, its directory is not.
        bounds: How many sessions, how large, and for how long.
        clock: Gives seconds since the epoch. It is the machine's, for age goes on while no process runs; where that is
            set forward, sessions grow old.
        patience: For how many seconds to wait for another process that has the file locked.
    """

    survives = "a killed server"
    is_durable = True

    def __init__(
        self, path: str, bounds: Sessions, *, clock: Callable[[], float] = time, patience: float = PATIENCE
    ) -> None:
        self._path = path
        self._bounds = bounds
        self._clock = clock
        self._patience = patience
        self._thread: Threads | None = None
        self._tables: Tables | None = None

    def __str__(self) -> str:
        return f"sqlite://{self._path}"

    async def open(self) -> None:
        """Open the file, or make it.

        Raises:
            StoreFailed: It is no store of sessions, or of a newer version, or damaged, or locked, or not to be written.
        """
        if self._thread is not None:
            return
        self._thread = Threads(1)
        try:
            await self._open_in_time()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close the file, when what was under way has been done."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(thread, self._close)
        finally:
            thread.shutdown()

    async def load(self, identity: bytes, /) -> Stored | None:
        """What the file has of a session; None where it is not known, or has expired.

        Raises:
            StoreFailed: It could not be read.
        """
        return await self._do(Tables.load, identity)

    async def commit(self, changes: Sequence[Change]) -> None:
        """Take all of these changes, in their order, or none; they are on the disk when it returns.

        Raises:
            StoreFailed: They could not be written, and nothing of them is.
        """
        tally = await self._do(Tables.commit, changes)
        tally.tell(self)

    async def statistics(self) -> StoreStatistics:
        """What the file has, and how near it is to its bounds.

        Raises:
            StoreFailed: It could not be read.
        """
        return await self._do(Tables.statistics)

    async def _open_in_time(self) -> None:
        loop = asyncio.get_running_loop()
        by = loop.time() + self._patience
        while (locked := await self._in_thread(self._open)) is not None:
            if loop.time() >= by:
                raise explained(locked, self._path) from locked
            await asyncio.sleep(PAUSE)

    async def _do(self, work: Callable[..., T], *args: object) -> T:
        if self._thread is None or self._tables is None:
            raise StoreFailed(f"the store {self} is not open: await its open() first")
        return await self._in_thread(work, self._tables, *args)

    async def _in_thread(self, work: Callable[..., T], *args: object) -> T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, work, *args)
        except (sqlite3.Error, OSError) as error:
            raise explained(error, self._path) from error

    def _open(self) -> sqlite3.Error | None:
        """In the thread. Why the file is locked, if it is: SQLite does not always wait as long as it was told to."""
        try:
            self._tables = Tables(self._path, self._bounds, self._clock, self._patience)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            return error
        return None

    def _close(self) -> None:
        """In the thread, after all that was begun before."""
        tables, self._tables = self._tables, None
        if tables is not None:
            tables.close()
