"""One server as its feed sees it, in the same process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

import tomada
from tests.integration.conftest import Run
from tomada.connection import Connection
from tomada.feed import collector as collector_module
from tomada.feed.app import feed_app, inner_app
from tomada.feed.collector import About, Collector
from tomada.feed.inner import Describe, Introduce, LookClosely, Rank, Summarize, TurnPage
from tomada.feed.messages import LONGEST_QUERY, MOST_ROWS, Close, Column, Drain, NotAllowed, Picture, Watch
from tomada.feed.source import Marks
from tomada.server import Server
from tomada.settings import Limits
from tomada.telemetry import LimitStruck, Outcome, emit

app = tomada.App("echo")


class Echo(tomada.Request[str]):
    text: str


@app.on
async def echo(request: Echo) -> str:
    return request.text


@app.stream("memory://bytes")
async def swallow(stream: tomada.Stream) -> None:
    async for _ in stream:
        pass


@asynccontextmanager
async def collected(*addresses: str, number: int = 0) -> AsyncIterator[tuple[Server, Collector]]:
    async with tomada.serve(app, *(addresses or ("memory://echo",))) as server:
        collector = Collector(server, About(app.name, number))
        yield server, collector
        await collector.shut()


async def connected(stack: AsyncExitStack, count: int) -> list[Connection]:
    clients = []
    for first in range(0, count, 100):
        some = range(min(100, count - first))
        clients += await asyncio.gather(*(stack.enter_async_context(tomada.connect("memory://echo")) for _ in some))
    return clients


async def until(condition: Callable[[], object]) -> None:
    """Wait until it is so; the test's own deadline is the bound."""
    while not condition():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)


def page(
    sort: Column = "age", query: str = "", first: int = 0, count: int = 50, *, descending: bool = False
) -> TurnPage:
    return TurnPage(query, sort, descending, first, count)


def test_it_counts_what_is_open_and_what_has_ended(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr(collector_module, "_FRESH", 0.0)
        async with collected() as (_, collector):
            async with tomada.connect("memory://echo") as client, tomada.connect_stream("memory://bytes") as stream:
                for _ in range(3):
                    await client.ask(Echo("hello"))
                await stream.send(b"12345")
                await asyncio.sleep(0.01)
                totals = (await collector.overview(-1)).summary.totals
                assert (totals.connections, totals.streams, totals.opened) == (1, 1, 2)
                assert (totals.received_messages, totals.sent_messages) == (3, 3)
                rows = (await collector.page(page("kind"))).rows
                assert [row.kind for row in rows] == ["messages", "stream"]
                assert rows[1].received_bytes == 5
                assert totals.received_bytes == rows[0].received_bytes + 5
            await asyncio.sleep(0.01)
            later = (await collector.overview(-1)).summary.totals
            assert (later.connections, later.streams, later.opened) == (0, 0, 2)
            assert later.received_messages == 3
            assert later.received_bytes >= totals.received_bytes  # it may have acknowledged something at its end
            async with tomada.connect("memory://echo") as client:
                await client.ask(Echo("again"))
                await asyncio.sleep(0.01)
                summary = (await collector.overview(-1)).summary
                assert summary.totals.received_messages == 4
                assert summary.totals.received_rate > 0

    run(main())


def test_thousands_of_connections_are_paged_sorted_and_found() -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack:
            _, collector = await stack.enter_async_context(collected())
            clients = await connected(stack, 2_000)
            for client in clients[::500]:
                await client.ask(Echo("hello"))
            found = []
            for first in range(0, 2_000, MOST_ROWS):
                rows = await collector.page(page("age", first=first, count=MOST_ROWS))
                assert rows.matching == 2_000
                found += rows.rows
            assert len({row.id for row in found}) == 2_000
            ages = [row.age for row in found]
            assert ages == sorted(ages)
            busiest = await collector.page(page("received_messages", descending=True, count=5))
            assert [row.received_messages for row in busiest.rows] == [1, 1, 1, 1, 0]
            some_rows = (await collector.page(page(query=found[1_234].id.upper()))).rows
            assert found[1_234].id in {row.id for row in some_rows}
            assert all(found[1_234].id in row.id for row in some_rows)
            assert (await collector.page(page(query="no such text"))).matching == 0
            assert (await collector.page(page(query="OPEN"))).matching == 2_000
            assert (await collector.page(page(first=5_000))).rows == []
            nobody_looks = await collector.page(page(count=0))
            assert (nobody_looks.matching, nobody_looks.rows) == (2_000, [])
            assert (await collector.page(page(query=found[1_234].id, count=0))).matching < 2_000
            ranks = await collector.rank(Rank("", "age", False, 3))
            assert [id_ for _, id_ in ranks.ranks] == [
                row.id for row in (await collector.page(page("age", count=3))).rows
            ]

    asyncio.run(main())


@pytest.mark.parametrize("column", list(Column.__args__))  # type: ignore[attr-defined] # a Literal has them
@pytest.mark.parametrize("descending", [False, True])
def test_every_column_sorts(column: Column, *, descending: bool) -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack:
            _, collector = await stack.enter_async_context(collected("memory://echo", "tcp://127.0.0.1:0"))
            clients = await connected(stack, 20)
            for number, client in enumerate(clients):
                for _ in range(number % 3):
                    await client.ask(Echo("x" * number))
            rows = await collector.page(page(column, descending=descending))
            values = [getattr(row, column) for row in rows.rows]
            if column != "age" and None not in values:  # which goes on meanwhile
                assert values == sorted(values, reverse=descending)
            assert len(values) == 20

    asyncio.run(main())


def test_a_page_is_made_once_for_all_who_ask_and_little_of_the_loop_is_taken(run: Run) -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack:
            _, collector = await stack.enter_async_context(collected())
            await connected(stack, 500)
            pages = await asyncio.gather(*(collector.page(page()) for _ in range(20)))
            assert len({id(one) for one in pages}) == 1
            others = await asyncio.gather(*(collector.page(page(query=str(number))) for number in range(5)))
            assert len({id(one) for one in others}) == 5

    run(main())


def test_it_forgets_what_nobody_looks_at(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr(collector_module, "_IDLE", 0.05)
        async with AsyncExitStack() as stack:
            _, collector = await stack.enter_async_context(collected())
            await connected(stack, 3)
            (first, *_) = (await collector.page(page())).rows
            await until(lambda: not len(collector._table))
            assert collector._meter is None
            rows = (await collector.page(page())).rows
            assert len(rows) == 3
            assert first.id not in {row.id for row in rows}

    run(main())


def test_strikes_and_the_log_are_kept_and_numbered(run: Run) -> None:
    async def main() -> None:
        async with collected() as (_, collector):
            for _ in range(3):
                emit(LimitStruck(limit="connections", allowed=7, outcome=Outcome.REFUSED, where="tcp://192.0.2.1:9"))
            logger = logging.getLogger("test")
            logger.setLevel(logging.INFO)
            for number in range(1_500):
                logger.info("line %d", number)
            logger.error("x" * 5_000, exc_info=ValueError("of this application"))
            marks = Marks()
            picture = await collector.picture(Watch(), marks, may_act=True)
            (strike,) = picture.strikes
            assert (strike.kind, strike.name, strike.allowed, strike.count) == ("limit", "connections", 7, 3)
            assert strike.where == "tcp://192.0.2.1:9"
            assert strike.seconds_ago < 40
            assert len(picture.log) == 100
            numbers = [line.number for line in picture.log]
            assert numbers == list(range(numbers[0], numbers[0] + 100))
            assert (picture.log[-2].text, picture.log[-2].level) == ("line 1499", "INFO")
            assert picture.log[-1].text == "x" * 2_000 + " …"
            assert picture.settings["drain"] == 10
            logger.warning("one more")
            again = await collector.picture(Watch(), marks, may_act=True)
            assert [line.text for line in again.log] == ["one more"]
            assert again.log[0].number == numbers[-1] + 1
            assert again.settings == {}

    run(main())


def test_a_connection_is_looked_at_and_closed(run: Run) -> None:
    async def main() -> None:
        async with collected() as (_, collector):
            client = await tomada.connect("memory://echo", sessions=False)
            stream = await tomada.connect_stream("memory://bytes")
            rows = {row.kind: row for row in (await collector.page(page())).rows}
            for row in rows.values():
                closeup = await collector.closeup(LookClosely(row.id))
                assert closeup.row is not None
                assert closeup.row.id == row.id
                assert await collector.close(row.id)
            assert await stream.receive() == b""
            await until(lambda: not client.is_open)
            assert "said goodbye" in client.end_reason
            await client.close()
            await stream.close()
            assert not await collector.close(rows["messages"].id)
            for nobody in ("1-2-3", "", "-", "1", rows["stream"].id + "9" * 5_000, rows["stream"].id[:-1] + "\u0662"):
                assert not await collector.describe([nobody])
                assert not await collector.close(nobody)
            assert (await collector.closeup(LookClosely("nobody"))).row is None

    run(main())


def test_a_session_that_waits_for_its_client_is_shown_as_such(run: Run) -> None:
    async def main() -> None:
        async with collected("tcp://127.0.0.1:0") as (server, collector):
            address = server.addresses[0]
            async with tomada.connect(address) as client:
                await client.ask(Echo("hello"))
                (row,) = (await collector.page(page())).rows
                assert (row.state, row.resumed) == ("open", 0)
                assert row.round_trip is not None
                assert 0 < row.round_trip < 10
                assert row.address == str(address)
                assert client._link.transport is not None
                client._link.transport.abort()
                await client.ask(Echo("again"))
                (again,) = await collector.describe([row.id])
                assert (again.state, again.resumed, again.id) == ("open", 1, row.id)
                assert again.peer != row.peer

    run(main())


def test_viewers_are_told_and_only_some_may_act(run: Run) -> None:
    async def main() -> None:
        async with (
            collected() as (_, collector),
            tomada.serve(feed_app(collector, may_act=False), "memory://watch"),
            tomada.serve(inner_app(collector), "memory://act"),
            tomada.connect("memory://watch") as watcher,
            tomada.connect("memory://act") as actor,
            tomada.connect("memory://echo") as client,
        ):
            await client.ask(Echo("hello"))
            pictures = [picture async for picture in some(watcher.stream(Watch()), 2)]
            assert pictures[1].time - pictures[0].time >= 0.45
            assert (pictures[0].app, pictures[0].may_act) == ("echo", False)
            (row,) = pictures[0].connections
            for request in (Close(row.id), Drain(1)):
                with pytest.raises(NotAllowed):
                    await watcher.ask(request)
            with pytest.raises(tomada.InvalidMessage, match=r"Watch\.every"):
                await anext(aiter(watcher.stream(Watch(every=0.49))))
            with pytest.raises(tomada.InvalidMessage, match=r"Watch\.count"):
                await anext(aiter(watcher.stream(Watch(count=MOST_ROWS + 1))))
            with pytest.raises(tomada.InvalidMessage, match=r"Watch\.query"):
                await anext(aiter(watcher.stream(Watch(query="x" * (LONGEST_QUERY + 1)))))
            with pytest.raises(tomada.UnknownType):
                await watcher.ask(Introduce())
            introduction = await actor.ask(Introduce())
            assert (introduction.app, introduction.number, introduction.is_open) == ("echo", 0, False)
            assert (await actor.ask(Summarize())).totals.connections == 1
            assert (await actor.ask(TurnPage("", "peer", False, 0, 10))).matching == 1
            assert (await actor.ask(Rank("", "peer", False, 10))).ranks[0][1] == row.id
            assert (await actor.ask(Describe([row.id, "nobody"])))[0].id == row.id
            assert (await actor.ask(LookClosely(row.id))).row is not None
            assert await actor.ask(Drain(1)) is False

    run(main())


async def some(items: AsyncIterator[Picture], count: int) -> AsyncIterator[Picture]:
    async for item in items:
        yield item
        count -= 1
        if not count:
            return


def test_whether_any_program_may_speak_to_the_application(folder: Path) -> None:
    async def main() -> None:
        for address, is_guarded, is_open in (
            ("tcp://127.0.0.1:0", False, True),
            ("tcp://127.0.0.1:0", True, False),
            (f"unix://{folder}/echo.sock", False, False),
        ):
            async with tomada.serve(app, address, limits=Limits(connections=5)) as server:
                collector = Collector(server, About("echo", is_guarded=is_guarded))
                introduction = await collector.introduction()
                assert introduction.is_open is is_open
                assert introduction.settings["connections"] == 5
                await collector.shut()

    asyncio.run(main())


def test_frames_and_handlers_are_shown_where_somebody_looks(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr(collector_module, "_FRESH", 0.0)
        async with collected() as (server, collector), tomada.connect("memory://echo") as client:
            await client.ask(Echo("the first of a type declares it"))
            (row,) = (await collector.page(page())).rows
            marks, other = Marks(), Marks()
            question = Watch(connection=row.id)
            assert (await collector.picture(question, marks, may_act=True)).frames == []
            for _ in range(3):
                await client.ask(Echo("hello"))
            picture = await collector.picture(question, marks, may_act=True)
            asked = [frame for frame in picture.frames if frame.kind == "ask"]
            assert [(frame.name, frame.lane, frame.is_received) for frame in asked] == [("Echo", "normal", True)] * 3
            (echoes,) = (row for row in picture.types if row.name == "Echo")
            assert (echoes.name, echoes.failed) == ("Echo", 0)
            assert echoes.handled >= 3
            again = await collector.picture(question, other, may_act=True)
            assert [frame for frame in again.frames if frame.kind == "ask"] == asked
            for _ in range(300):
                await client.ask(Echo("hello"))
            later = await collector.picture(question, marks, may_act=True)
            seen = sum(frame.count for frame in later.frames) + later.frames_passed_over
            assert seen >= 600
            assert later.frames_passed_over > 0
            (link,) = server._endpoint.connections
            assert link.tap is not None
            collector._look_away()
            assert link.tap is None

    run(main())
