"""The suite, over the stores of tomada's own and over one from outside."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.sessions.filestore import FileStore
from tests.timeless import TimelessLoop
from tomada.sessions import Store
from tomada.sessions.memory import MemoryStore
from tomada.sessions.sqlite import SqliteStore
from tomada.settings import Sessions
from tomada.testing.store_conformance import StoreConformance


class TestMemory(StoreConformance):
    def store(self, bounds: Sessions, clock: Callable[[], float]) -> Store:
        return MemoryStore(bounds, clock)


class InFolder(StoreConformance):
    folder: Path

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path


class TestSqlite(InFolder):
    def store(self, bounds: Sessions, clock: Callable[[], float]) -> Store:
        return SqliteStore(str(self.folder / "sessions.db"), bounds, clock=clock)


class TestSqliteOnUvloop(TestSqlite):
    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return uvloop.new_event_loop()


class InlineLoop(TimelessLoop):
    """Simulated time: what is for a thread is done at once."""

    def run_in_executor(  # type: ignore[override] # in fewer words
        self, executor: Any, function: Any, *args: Any
    ) -> Any:
        assert executor is not None
        done = self.create_future()
        try:
            done.set_result(function(*args))
        except Exception as error:  # noqa: BLE001 - it is the future's
            done.set_exception(error)
        return done


class TestSqliteOnSimulatedTime(TestSqlite):
    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return InlineLoop()


class TestFromOutside(InFolder):
    def store(self, bounds: Sessions, clock: Callable[[], float]) -> Store:
        return FileStore(self.folder / "sessions", bounds, clock)


class TestWithAClockOfItsOwn(InFolder):
    """As a store on another machine has it."""

    its_own = 7.0

    def store(self, bounds: Sessions, clock: Callable[[], float]) -> Store:
        assert clock() == StoreConformance.now
        return FileStore(self.folder / "sessions", bounds, lambda: self.its_own)

    async def later(self, seconds: float) -> None:
        self.its_own += seconds


class TestWhereOnlyOneMayOpen(TestFromOutside):
    opens_twice = False


def test_what_is_not_given_is_told() -> None:
    with pytest.raises(NotImplementedError, match="such as SqliteStore"):
        StoreConformance().test_nothing_may_be_committed()
