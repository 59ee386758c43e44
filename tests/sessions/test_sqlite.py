"""The file of SQLite: what is wrong with it is said; killed at any instant it has what was reported, and no halves."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.sessions.program import PAIRS, name
from tomada import Sessions, StoreFailed
from tomada.sessions import Change, Chunk, Stored
from tomada.sessions.sqlite import SqliteStore
from tomada.sessions.tables import Tables

PROGRAM = Path(__file__).with_name("program.py")


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "sessions.db")


@contextmanager
def program(*words: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(PROGRAM), *words]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go_on(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()


def begun(number: int, head: bytes = b"head") -> Change:
    return Change(name(number), head, (Chunk(1, 0, b"data"),), whole=True)


async def everything(path: str, count: int) -> list[Stored | None]:
    store = SqliteStore(path, Sessions())
    await store.open()
    found = [await store.load(name(number)) for number in range(count)]
    assert (await store.statistics()).sessions == sum(one is not None for one in found)
    await store.close()
    return found


def why(path: str, patience: float = 0.1) -> str:
    """It cannot be opened."""

    async def main() -> None:
        await SqliteStore(path, Sessions(), patience=patience).open()

    with pytest.raises(StoreFailed) as caught:
        asyncio.run(main())
    return str(caught.value)


def sound(path: str) -> None:
    """Nothing in the file contradicts the rest, and the sums are right."""
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    sums = database.execute("SELECT count(*), ifnull(sum(bytes), 0) FROM session").fetchone()
    assert database.execute("SELECT sessions, bytes FROM held").fetchone() == sums
    own = "SELECT 256 + length(head) + (SELECT ifnull(sum(64 + length(data)), 0) FROM chunk WHERE session = number)"
    own = own.replace("= number", "= session.number")
    assert database.execute(f"SELECT count(*) FROM session WHERE bytes != ({own})").fetchone() == (0,)  # noqa: S608 - a test's own words
    orphans = "SELECT count(*) FROM chunk WHERE session NOT IN (SELECT number FROM session)"
    assert database.execute(orphans).fetchone() == (0,)
    database.close()


def test_killed_at_any_instant_it_has_what_was_reported_and_no_halves(path: str) -> None:
    pauses = random.Random(5)
    reported = 0
    for _ in range(6):
        with program("commit", path, str(reported)) as process:
            assert line(process)
            time.sleep(pauses.uniform(0, 0.05))  # when it is killed is chance, and decides nothing
            process.kill()
            last, _ = process.communicate()
        reported = max([reported, *(int(one) for one in last.split("\n")[:-1] if one)])
        found = asyncio.run(everything(path, 2 * PAIRS))
        turns = {int(one.head) for one in found if one is not None}
        assert None not in found
        assert len(turns) == 1, "all of a round were recorded together"
        (turn,) = turns
        assert turn >= reported
        for one in found:
            assert one is not None
            wanted = range(max(1, turn - 2), turn + 1)
            assert one.chunks == tuple(Chunk(number, number % 2, b"%d" % number * 200) for number in wanted)
        reported = turn
        sound(path)


def test_it_is_for_its_owner_alone(path: str) -> None:
    async def main() -> None:
        store = SqliteStore(path, Sessions())
        await store.open()
        await store.open()
        await store.commit([begun(1)])
        files = sorted(Path(path).parent.iterdir())
        assert [file.name for file in files] == ["sessions.db", "sessions.db-shm", "sessions.db-wal"]
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        await store.close()

    asyncio.run(main())
    assert [file.name for file in Path(path).parent.iterdir()] == ["sessions.db"]


def test_commits_are_on_the_disk(path: str) -> None:
    tables = Tables(path, Sessions(), time.time, 1.0)
    assert tables._row("PRAGMA journal_mode") == ("wal",)
    assert tables._row("PRAGMA synchronous") == (2,)
    tables.close()


def test_a_file_that_another_process_holds(path: str) -> None:
    async def main() -> None:
        store = SqliteStore(path, Sessions(), patience=0.05)
        await store.open()
        await store.commit([begun(1)])
        with program("hold", path) as holder:
            assert line(holder) == "locked"
            with pytest.raises(StoreFailed, match=r"database is locked: another process has it locked: end that, or "):
                await store.commit([begun(2)])
            assert await store.load(name(1)) is not None, "it can be read"
            go_on(holder)
            assert line(holder) == "free"
            await store.commit([begun(2)])
        await store.close()

    asyncio.run(main())


def test_a_new_file_that_another_process_holds(path: str) -> None:
    with program("hold", path) as holder:
        assert line(holder) == "locked"
        assert "another process has it locked" in why(path)


def test_several_processes_may_begin_at_once_and_use_one_file(path: str) -> None:
    processes, each = 4, 25
    with ExitStack() as stack:
        adding = [stack.enter_context(program("add", path, str(one * each), str(each))) for one in range(processes)]
        assert [line(one) for one in adding] == ["ready"] * processes
        go_on(*adding)
        assert [one.wait() for one in adding] == [0] * processes
    found = asyncio.run(everything(path, processes * each))
    assert found == [Stored(b"head", (Chunk(1, 0, b"data"),))] * processes * each
    sound(path)


def test_a_full_disk(path: str) -> None:
    with program("fill", path, "300000") as filling:
        reason = line(filling)
        assert reason.startswith(f"the store sqlite://{path} failed: ")
        assert "disk" in reason
        stored, counted = line(filling).split()
        assert stored == counted
        assert int(line(filling)) == int(stored) + 1, "it goes on when there is room"
    sound(path)


def test_what_sqlite_calls_full(path: str) -> None:
    async def main() -> None:
        store = SqliteStore(path, Sessions())
        await store.open()
        tables = store._tables
        assert tables is not None
        tables._do("PRAGMA max_page_count = 20")
        await store.commit([begun(1)])
        with pytest.raises(
            StoreFailed, match=r"is full: the disk is full: make room, or set Sessions.most_bytes lower"
        ):
            await store.commit([begun(1, b"newer"), begun(2, bytes(100_000))])
        stored = await store.load(name(1))
        assert stored is not None
        assert stored.head == b"head"
        tables._do("PRAGMA max_page_count = 2000")
        await store.commit([begun(2, bytes(100_000))])
        await store.close()

    asyncio.run(main())
    sound(path)


def test_a_directory_that_may_not_be_written() -> None:
    with tempfile.TemporaryDirectory(prefix="tomada-") as folder:
        Path(folder).chmod(0o555)
        with program("refused", f"{folder}/sessions.db") as process:
            assert line(process) == (
                f"the store sqlite://{folder}/sessions.db failed: Permission denied: let this process's user write to"
                " the file and to its directory, and let there be room"
            )


def test_a_file_that_may_not_be_written_any_more(path: str) -> None:
    async def main() -> None:
        store = SqliteStore(path, Sessions())
        await store.open()
        tables = store._tables
        assert tables is not None
        tables._do("PRAGMA query_only = ON")
        with pytest.raises(StoreFailed, match="readonly database: let this process's user write to the file"):
            await store.commit([begun(1)])
        await store.close()

    asyncio.run(main())


def test_what_stands_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert "Is a directory: it is a directory: name a file in it" in why(f"{tmp_path}/folder")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{tmp_path}/socket")
        assert "No such device or address: let this process's user write" in why(f"{tmp_path}/socket")
    assert f": there is no directory {tmp_path}/none: create it" in why(f"{tmp_path}/none/sessions.db")


def test_a_file_that_is_no_database(path: str) -> None:
    Path(path).write_bytes(b"no database at all, but long enough to be taken for one" * 100)
    assert "file is not a database: the file is damaged, or is no database: put it aside" in why(path)
    assert Path(path).read_bytes().startswith(b"no database"), "it is left alone"


def damage(path: str) -> None:
    """All but the first page."""
    with Path(path).open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(4_096)
        file.write(b"\xff" * (size - 8_192))


def test_a_file_that_is_damaged(path: str) -> None:
    async def main() -> None:
        store = SqliteStore(path, Sessions())
        await store.open()
        await store.commit([begun(number, bytes(2_000)) for number in range(100)])
        await store.close()
        damage(path)
        await store.open()
        try:
            with pytest.raises(StoreFailed, match=r"malformed: the file is damaged, .* its sessions are lost"):
                await store.commit([begun(1, bytes(10_000)), begun(2)])
        finally:
            await store.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE theirs (a)", "PRAGMA user_version = 3", "PRAGMA application_id = 5"]
)
def test_the_database_of_somebody_else(path: str, statement: str) -> None:
    database = sqlite3.connect(path)
    database.execute(statement)
    database.commit()
    database.close()
    assert why(path) == f"{path} is the database of another program: give the store a file of its own"


def test_a_newer_schema(path: str) -> None:
    asyncio.run(everything(path, 0))
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 2")
    database.close()
    assert why(path) == (
        f"{path} was written by a newer tomada (its schema is 2, this one knows 1): use that version, or give the store"
        " another file"
    )


@pytest.mark.parametrize("is_rolled_back", [False, True])
def test_a_commit_that_fails_at_the_last_moment_is_rolled_back(path: str, *, is_rolled_back: bool) -> None:
    """After some failures SQLite does so by itself."""

    async def main() -> None:
        store = SqliteStore(path, Sessions())
        await store.open()
        tables = store._tables
        assert tables is not None
        database = tables._database

        class Failing:
            @property
            def in_transaction(self) -> bool:
                return database.in_transaction

            def execute(self, statement: str, *values: Any) -> Any:
                if statement != "COMMIT":
                    return database.execute(statement, *values)
                if is_rolled_back:
                    database.execute("ROLLBACK")
                raise sqlite3.OperationalError("disk I/O error")

        tables._database = Failing()  # type: ignore[assignment] # a disk that fails now
        with pytest.raises(StoreFailed, match=r"disk I/O error$"):
            await store.commit([begun(1)])
        tables._database = database
        assert await store.load(name(1)) is None
        await store.commit([begun(1)])
        await store.close()

    asyncio.run(main())
    sound(path)


def test_a_lock_for_which_sqlite_did_not_wait_is_waited_for(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = sqlite3.OperationalError("database is locked")
    locked.sqlite_errorcode = sqlite3.SQLITE_BUSY_SNAPSHOT
    failures = [locked, locked]
    prepare = Tables._prepare

    def instead(self: Tables, path: str) -> None:
        if failures:
            raise failures.pop()
        prepare(self, path)

    monkeypatch.setattr(Tables, "_prepare", instead)
    assert asyncio.run(everything(path, 1)) == [None]
    assert failures == []


def move(one: str, other: str) -> None:
    Path(one).replace(other)


def test_a_file_that_is_taken_away_is_missed(path: str) -> None:
    async def main() -> None:
        store = SqliteStore(path, Sessions())
        await store.open()
        await store.commit([begun(1)])
        move(path, f"{path}.away")
        with pytest.raises(StoreFailed, match=f"^{path} was taken away while it was open: put it back, or restart"):
            await store.commit([begun(2)])
        descriptor = os.open(path, os.O_CREAT)
        with pytest.raises(StoreFailed, match="was taken away"):
            await store.commit([begun(2)])
        os.close(descriptor)
        move(f"{path}.away", path)
        await store.commit([begun(2)])
        await store.close()

    asyncio.run(main())
    assert asyncio.run(everything(path, 3))[1:] == [Stored(b"head", (Chunk(1, 0, b"data"),))] * 2


def test_what_is_no_file_cannot_be_opened(path: str) -> None:
    os.mkfifo(path)
    reason = why(path)
    assert reason.startswith(f"the store sqlite://{path} failed: ")
    assert "file" in reason


def test_opening_may_be_given_up(path: str) -> None:
    async def main() -> None:
        store = SqliteStore(path, Sessions())
        for turns in range(6):
            opening = asyncio.create_task(store.open())
            for _ in range(turns):
                await asyncio.sleep(0)
            opening.cancel()
            await asyncio.wait([opening])
        await store.close()
        await store.open()
        await store.commit([begun(1)])
        await store.close()

    asyncio.run(main())
