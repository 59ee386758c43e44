"""Several processes as one source: here each is a server of this process, behind a socket file of its own."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from math import inf
from pathlib import Path

import pytest

import tomada
from tests.feed.test_collector import Echo, app, echo, page, until
from tests.integration.conftest import Run
from tomada.connection import Connection
from tomada.feed import several as several_module
from tomada.feed.app import inner_app
from tomada.feed.beside import APPLICATION, FEED, open_feed
from tomada.feed.collector import About, Collector
from tomada.feed.inner import LookClosely
from tomada.feed.messages import MOST_ROWS
from tomada.feed.several import Several
from tomada.feed.source import Overview


class Process:
    """What one process that serves has; ids begin with its number, as those of a process of its own do."""

    def __init__(self, folder: Path, number: int) -> None:
        self.number = number
        self.stack = AsyncExitStack()
        self._feed = f"unix://{folder}/{number}{FEED}"

    async def start(self) -> None:
        own = tomada.App("echo")
        own.on(echo)
        self.server = await self.stack.enter_async_context(tomada.serve(own, f"memory://echo-{self.number}"))
        self.collector = Collector(self.server, About("echo", self.number))
        self.collector._table.pid = self.number
        self.stack.push_async_callback(self.collector.shut)
        served = await self.stack.enter_async_context(
            tomada.serve(inner_app(self.collector), self._feed, sessions=None)
        )
        self.stack.callback(served.cut)

    async def client(self) -> Connection:
        return await self.stack.enter_async_context(tomada.connect(f"memory://echo-{self.number}"))


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Several]:
    source = Several(folder)
    try:
        yield source
    finally:
        await source.shut()


@asynccontextmanager
async def two_that_counted(folder: Path) -> AsyncIterator[tuple[Several, Process, Process]]:
    """Two processes, of which each was asked once, as the source knows already."""
    processes = Process(folder, 1), Process(folder, 2)
    async with AsyncExitStack() as stack:
        for process in processes:
            stack.push_async_callback(process.stack.aclose)
            await process.start()
            await (await process.client()).ask(Echo("hello"))
        source = await stack.enter_async_context(opened(folder))
        assert (await source.overview(-1)).summary.totals.received_messages == len(processes)
        yield source, *processes


def test_nobody_is_there(run: Run, folder: Path) -> None:
    async def main() -> None:
        async with opened(folder) as source:
            overview = await source.overview(-1)
            assert (overview.workers, overview.summary.addresses) == ([], [])
            assert (await source.page(page())).rows == []
            assert (await source.introduction()).app == ""
            assert not await source.close("1-1")
            assert not await source.drain(1)
            assert (await source.closeup(LookClosely("1-1"))).row is None

    run(main())


def test_what_a_killed_process_left_is_removed(run: Run, folder: Path) -> None:
    async def main() -> None:
        dead = 2**22 + 1  # there are no such numbers
        for end in (FEED, APPLICATION):
            with socket.socket(socket.AF_UNIX) as left:
                left.bind(f"{folder}/{dead}{end}")
        async with opened(folder) as source:
            assert (await source.overview(-1)).workers == []
        assert not files_in(folder)

    run(main())


def test_a_feed_beside_a_server_is_for_its_user_and_ends_with_it(run: Run, folder: Path) -> None:
    async def main() -> None:
        serving = tomada.serve(app, "memory://echo")
        serving.accompany(lambda server: open_feed(server, folder, About("echo")))
        async with serving as server:
            files = files_in(folder)
            assert [file.suffix for file in files] == [".app", ".feed"]
            assert [file.stat().st_mode & 0o777 for file in files] == [0o600, 0o600]
            assert list(map(str, server.addresses)) == ["memory://echo", "memory://bytes"]
            async with tomada.connect(f"unix://{files[0]}") as client:
                assert await client.ask(Echo("hello")) == "hello"
                async with opened(folder) as source:
                    (row,) = (await source.page(page())).rows
                    assert (row.peer, row.worker) == ("dashboard", 0)
        assert not files_in(folder)

    run(main())


def test_a_feed_that_cannot_listen_keeps_no_server_from_serving(
    run: Run, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        serving = tomada.serve(app, "memory://echo")
        serving.accompany(lambda server: open_feed(server, folder / "missing", About("echo")))
        async with serving, tomada.connect("memory://echo") as client:
            assert await client.ask(Echo("hello")) == "hello"

    run(main())
    assert "the dashboard will not see this process" in caplog.text


def test_deep_pages_of_several_processes_are_one_table(run: Run, folder: Path) -> None:
    async def main() -> None:
        processes = [Process(folder, number) for number in (1, 2, 3)]
        async with AsyncExitStack() as stack:
            for process in processes:
                stack.push_async_callback(process.stack.aclose)
                await process.start()
                clients = [await process.client() for _ in range(120)]
                for at, client in enumerate(clients):
                    for _ in range(at % 7):
                        await client.ask(Echo("hello"))
            source = await stack.enter_async_context(opened(folder))
            found = []
            for first in range(0, 400, 50):  # those from 200 on are ranked first, and then described
                rows = await source.page(page("received_messages", first=first))
                assert rows.matching == 360
                found += rows.rows
            assert 4 * 50 <= MOST_ROWS < 5 * 50
            assert len({row.id for row in found}) == 360
            values = [row.received_messages for row in found]
            assert values == sorted(values)
            assert {row.worker for row in found[:60]} == {1, 2, 3}
            overview = await source.overview(-1)
            assert [worker.number for worker in overview.workers] == [1, 2, 3]
            assert overview.summary.totals.connections == 360
            closeup = await source.closeup(LookClosely(found[250].id))
            assert closeup.row is not None
            assert await source.close(found[250].id)
            await until(lambda: sum(len(process.server.connections) for process in processes) == 359)

    run(main())


def test_what_a_process_counted_is_kept_when_it_is_gone(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        monkeypatch.setattr(several_module, "_FRESH", 0.0)
        async with two_that_counted(folder) as (source, first, _):
            await first.stack.aclose()
            overview = await source.overview(-1)
            assert overview.summary.totals.received_messages == 2
            assert overview.summary.totals.connections == 1
            assert [(worker.number, worker.state) for worker in overview.workers] == [(1, "gone"), (2, "serving")]

    run(main())


def test_what_a_process_counted_is_kept_when_it_goes_while_others_are_asked(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        monkeypatch.setattr(several_module, "_FRESH", 0.0)
        async with two_that_counted(folder) as (source, first, second):
            answer = second.collector.overview

            async def late(log_after: int) -> Overview:
                await first.stack.aclose()
                await until(lambda: source._members[f"1{FEED}"].is_gone)
                return await answer(log_after)

            monkeypatch.setattr(second.collector, "overview", late)
            for _ in range(2):
                assert (await source.overview(-1)).summary.totals.received_messages == 2

    run(main())


def test_a_process_that_is_blocked_has_not_gone(run: Run, folder: Path) -> None:
    async def main() -> None:
        process = Process(folder, 1)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(process.stack.aclose)
            await process.start()
            source = await stack.enter_async_context(opened(folder))
            await source.overview(-1)
            (member,) = source._members.values()
            deadlines = member.connection._link.endpoint.deadlines
            assert (deadlines.heartbeat, deadlines.idle) == (inf, inf)

    run(main())


def test_where_nobody_watches_nobody_is_asked(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr(several_module, "_IDLE", 0.05)
        process = Process(folder, 1)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(process.stack.aclose)
            await process.start()
            source = await stack.enter_async_context(opened(folder))
            assert len((await source.overview(-1)).workers) == 1
            await until(lambda: not source._members and not source._leaving)
            assert len((await source.overview(-1)).workers) == 1

    run(main())
