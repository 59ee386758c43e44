"""Sessions as tables of SQLite: the statements, which run in one thread, and know nothing of event loops.

Schema 1. What all sessions have together stands in a row of its own, for several processes may have the file open.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tomada.errors import StoreFailed
from tomada.sessions.store import CHUNK_BYTES, SESSION_BYTES, Chunk, Stored, Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tomada.sessions.store import Change, StoreStatistics
    from tomada.settings import Sessions

VERSION: Final = 1
OURS: Final = 0x746F6D61
"""The file's application id: ``toma``. A database of somebody else is left alone."""
PRIVATE: Final = 0o600
"""The state of sessions says how to resume them."""
WAL_BYTES: Final = 16_777_216
"""What the file of the log beside the database shrinks to when it was longer."""
PORTION: Final = 64
"""How many sessions are looked at together when there is too much."""

_SCHEMA: Final = (
    # The head is last: the rest is read without it.
    """CREATE TABLE session (number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, bytes INTEGER NOT NULL,
       touched REAL NOT NULL, turn INTEGER NOT NULL, head BLOB NOT NULL)""",
    "CREATE INDEX session_touched ON session (touched, turn)",
    """CREATE TABLE chunk (session INTEGER NOT NULL, number INTEGER NOT NULL, lane INTEGER NOT NULL,
       data BLOB NOT NULL, UNIQUE (session, number))""",
    "CREATE TABLE held (sessions INTEGER NOT NULL, bytes INTEGER NOT NULL, turn INTEGER NOT NULL)",
    "INSERT INTO held VALUES (0, 0, 0)",
    f"PRAGMA application_id = {OURS}",
    f"PRAGMA user_version = {VERSION}",
)


class Tables:
    """An open database. Each method raises `sqlite3.Error` where SQLite does.

    Args:
        path: Of the file, which is made where there is none.
        bounds: How many sessions, how large, and for how long.
        clock: Gives seconds since the epoch, of the machine.
        patience: For how many seconds to wait for another process that has the file locked.
    """

    def __init__(self, path: str, bounds: Sessions, clock: Callable[[], float], patience: float) -> None:
        self._bounds = bounds
        self._clock = clock
        self._tally = Tally()
        self._sessions = self._bytes = self._turn = 0
        # SQLite would make it with the mode of the umask; the files beside it have the mode of this one.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE))
        # One thread at a time uses it; on simulated time it is the loop's own.
        self._database = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
        self._path = Path(path)
        try:
            self._file = self._path.stat().st_ino
            self._prepare(path)
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def load(self, identity: bytes) -> Stored | None:
        """What there is of a session that has not expired."""
        with _Transaction(self._database, "DEFERRED"):
            row = self._row(
                "SELECT number, head FROM session WHERE id = ? AND touched > ?", identity, self._expired_by()
            )
            if row is None:
                return None
            chunks = self._database.execute(
                "SELECT number, lane, data FROM chunk WHERE session = ? ORDER BY number", (row[0],)
            )
            return Stored(row[1], tuple(Chunk(*chunk) for chunk in chunks))

    def commit(self, changes: Sequence[Change]) -> Tally:
        """Take all changes, or raise and take none; what was dropped for it."""
        self._expect_the_file()
        tally = Tally()
        with _Transaction(self._database, "IMMEDIATE"):
            self._sessions, self._bytes, self._turn = self._row("SELECT sessions, bytes, turn FROM held")
            now = self._clock()
            for change in changes:
                self._apply(change, now, tally)
            self._keep_bounds(tally)
            self._do("UPDATE held SET sessions = ?, bytes = ?, turn = ?", self._sessions, self._bytes, self._turn)
        self._tally.add(tally)
        return tally

    def statistics(self) -> StoreStatistics:
        """What there is. What has expired is taken away by the next commit, and is not counted here."""
        with _Transaction(self._database, "DEFERRED"):
            sessions, size = self._row("SELECT sessions, bytes FROM held")
            aged, aged_bytes = self._row(
                "SELECT count(*), ifnull(sum(bytes), 0) FROM session WHERE touched <= ?", self._expired_by()
            )
        return self._tally.statistics(self._bounds, sessions - aged, size - aged_bytes, aged)

    def _prepare(self, path: str) -> None:
        self._expect_ours(path)
        self._do("PRAGMA journal_mode = WAL")
        self._do("PRAGMA synchronous = FULL")
        self._do(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        with _Transaction(self._database, "IMMEDIATE"):
            if not self._number_of("user_version"):  # another process may have been first
                for statement in _SCHEMA:
                    self._do(statement)

    def _expect_ours(self, path: str) -> None:
        with _Transaction(self._database, "DEFERRED"):
            is_empty = self._row("SELECT 1 FROM sqlite_master") is None
            application, version = self._number_of("application_id"), self._number_of("user_version")
        if is_empty and not application and not version:
            return
        if application != OURS:
            raise StoreFailed(f"{path} is the database of another program: give the store a file of its own")
        if version > VERSION:
            raise StoreFailed(
                f"{path} was written by a newer tomada (its schema is {version}, this one knows {VERSION}): use that"
                " version, or give the store another file"
            )

    def _expect_the_file(self) -> None:
        """What is written to a file that has no name any more is lost without a word."""
        try:
            is_there = self._path.stat().st_ino == self._file
        except FileNotFoundError:
            is_there = False
        if not is_there:
            raise StoreFailed(f"{self._path} was taken away while it was open: put it back, or restart the server")

    def _number_of(self, pragma: str) -> int:
        return int(self._row(f"PRAGMA {pragma}")[0])

    def _apply(self, change: Change, now: float, tally: Tally) -> None:
        row = self._row("SELECT number, bytes, length(head) FROM session WHERE id = ?", change.id)
        if row is not None and (change.removed or change.whole):
            self._forget(*row[:2])
            row = None
        if change.removed:
            return
        if row is not None:
            number, size, old = row
        elif change.whole:
            number, size, old = self._begin(change.id), SESSION_BYTES, 0
        else:
            tally.passed_over += 1
            return
        self._bytes -= size
        size += self._take_chunks(number, change)
        if change.head is not None:
            size += len(change.head) - old
            self._do("UPDATE session SET head = ? WHERE number = ?", change.head, number)
        self._turn += 1
        self._bytes += size
        self._do("UPDATE session SET bytes = ?, touched = ?, turn = ? WHERE number = ?", size, now, self._turn, number)
        if size > self._bounds.most_bytes:  # by itself, before it drives out all others
            self._forget(number, size)
            tally.most_bytes += 1

    def _begin(self, identity: bytes) -> int:
        begin = "INSERT INTO session (id, bytes, touched, turn, head) VALUES (?, 0, 0, 0, x'')"
        number = self._do(begin, identity).lastrowid
        assert number is not None  # noqa: S101 - of an INSERT there is one
        self._sessions += 1
        self._bytes += SESSION_BYTES
        return number

    def _take_chunks(self, session: int, change: Change) -> int:
        """By how many bytes the session is larger then."""
        more = 0
        for chunk in change.added:
            more += CHUNK_BYTES + len(chunk.data) - self._drop(session, chunk.number)
            self._do("INSERT INTO chunk VALUES (?, ?, ?, ?)", session, chunk.number, chunk.lane, chunk.data)
        for number in change.dropped:
            more -= self._drop(session, number)
        return more

    def _drop(self, session: int, number: int) -> int:
        row = self._row("SELECT rowid, length(data) FROM chunk WHERE session = ? AND number = ?", session, number)
        if row is None:
            return 0
        self._do("DELETE FROM chunk WHERE rowid = ?", row[0])
        return CHUNK_BYTES + int(row[1])

    def _forget(self, number: int, size: int) -> None:
        self._do("DELETE FROM chunk WHERE session = ?", number)
        self._do("DELETE FROM session WHERE number = ?", number)
        self._sessions -= 1
        self._bytes -= size

    def _keep_bounds(self, tally: Tally) -> None:
        aged = "SELECT number, bytes FROM session WHERE touched <= ?"
        for row in self._do(aged, self._expired_by()).fetchall():
            self._forget(*row)
            tally.keep += 1
        oldest = "SELECT number, bytes FROM session ORDER BY touched, turn LIMIT ?"
        for row in self._do(oldest, max(0, self._sessions - self._bounds.most)).fetchall():
            self._forget(*row)
            tally.most += 1
        while self._bytes > self._bounds.most_bytes:
            for row in self._do(oldest, PORTION).fetchall():
                if self._bytes > self._bounds.most_bytes:
                    self._forget(*row)
                    tally.most_bytes += 1

    def _expired_by(self) -> float:
        return self._clock() - self._bounds.keep

    def _do(self, statement: str, *values: Any) -> sqlite3.Cursor:
        return self._database.execute(statement, values)

    def _row(self, statement: str, *values: Any) -> Any:
        return self._database.execute(statement, values).fetchone()


class _Transaction:
    """All that is done in the block, or nothing of it."""

    __slots__ = ("_database", "_kind")

    def __init__(self, database: sqlite3.Connection, kind: str) -> None:
        self._database = database
        self._kind = kind

    def __enter__(self) -> None:
        self._database.execute(f"BEGIN {self._kind}")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            try:
                self._database.execute("COMMIT")
            except sqlite3.Error:
                self._roll_back()
                raise
        else:
            self._roll_back()

    def _roll_back(self) -> None:
        if self._database.in_transaction:  # after some failures SQLite has done it by itself
            self._database.execute("ROLLBACK")


def explained(error: Exception, path: str) -> StoreFailed:
    """What SQLite or the system says, and what to do."""
    where, text = Path(path), str(error)
    what = _WHAT.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
    if isinstance(error, OSError):
        text, what = error.strerror or text, _NO_ACCESS
        if where.is_dir():
            what = "it is a directory: name a file in it"
        elif not where.parent.is_dir():
            what = f"there is no directory {where.parent}: create it"
    return StoreFailed(f"the store sqlite://{path} failed: {text}" + (f": {what}" if what else ""))


_NO_ACCESS: Final = "let this process's user write to the file and to its directory, and let there be room"
_DAMAGED: Final = "the file is damaged, or is no database: put it aside, and a new one is made; its sessions are lost"
_WHAT: Final = {
    sqlite3.SQLITE_BUSY: "another process has it locked: end that, or give each server a file of its own",
    sqlite3.SQLITE_LOCKED: "another process has it locked: end that, or give each server a file of its own",
    sqlite3.SQLITE_PERM: _NO_ACCESS,
    sqlite3.SQLITE_READONLY: _NO_ACCESS,
    sqlite3.SQLITE_CANTOPEN: _NO_ACCESS,
    sqlite3.SQLITE_IOERR: "the disk or its file system failed: look at the system's log, and at quotas",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_FULL: "the disk is full: make room, or set Sessions.most_bytes lower",
}
