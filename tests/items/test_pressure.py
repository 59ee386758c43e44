"""Streams under pressure: a slow reader, a stuck one, and many that share a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

import tomada
from tests.integration.conftest import Run
from tests.items.stall import ADDRESSES, Add, Bulk, Count, Store, served, taken

LIMIT = tomada.Limits().stream_bytes
BUFFER = tomada.Limits().buffer_bytes


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_reader_that_stops_stops_the_generator(run: Run, address: str) -> None:
    async def main() -> None:
        async with served(address) as (client, stage, server):
            async with client.stream(Bulk(10_000, 1_000_000)) as chunks:
                assert len(await anext(chunks)) == 10_000
                made = await stage.until_still()
                assert made <= LIMIT // 10_000 + 3
                statistics = client.statistics()
                assert statistics.streams == 1
                assert LIMIT - 10_000 <= statistics.stream_bytes <= LIMIT + 10_016
                (there,) = server.connections
                there_now = there.statistics()
                assert there_now.waiting_bytes + there_now.unacknowledged_bytes <= BUFFER
                for _ in range(50):
                    await anext(chunks)
                assert made < await stage.until_still() <= made + 51
            await stage.until("ended bulk")
            assert await client.ask(Add(1, 2)) == 3  # its answer comes behind the end of the stream
            assert client.statistics().stream_bytes == 0

    run(main())


def test_a_handler_that_reads_slowly_stops_the_upload(run: Run) -> None:
    made = 0

    async def main() -> None:
        def chunks() -> Iterator[bytes]:
            nonlocal made
            while True:
                made += 1
                yield bytes(10_000)

        async with served(limits=tomada.Limits(handlers=1)) as (client, stage, server):
            blocker = asyncio.create_task(taken(client.stream(Count(1_000_000_000))))
            while not stage.made:  # noqa: ASYNC110 - for a turn or two
                await asyncio.sleep(0)
            # The one handler that may run is another one: this one's parts come and wait.
            upload = asyncio.create_task(client.ask(Store(100), upload=chunks()))
            await asyncio.sleep(0.2)
            assert made <= LIMIT // 10_000 + 3
            (there,) = server.connections
            assert there.statistics().stream_bytes <= LIMIT + 10_016
            blocker.cancel()
            assert await upload == 1_000_000

    run(main())


def test_many_stuck_streams_leave_room_for_all_others(run: Run) -> None:
    async def main() -> None:
        async with served() as (client, _, _):
            stuck = [client.stream(Bulk(30_000, 1_000)) for _ in range(20)]
            for stream in stuck:
                await anext(stream)
            others = [asyncio.create_task(taken(client.stream(Count(1_000)))) for _ in range(200)]
            for number in range(200):
                assert await client.ask(Add(number, 1)) == number + 1
            assert [len(each) for each in await asyncio.gather(*others)] == [1_000] * 200
            for stream in stuck:
                await stream.aclose()

    run(main())


def test_streams_take_turns(run: Run) -> None:
    """With a small buffer all wait for the same room; none is far ahead of another."""

    async def main() -> None:
        counts = [0] * 8

        async def take(place: int, client: tomada.Connection) -> None:
            async for _ in client.stream(Bulk(20_000, 300)):
                counts[place] += 1

        small = tomada.Limits(buffer_bytes=65_536)
        async with served(limits=small) as (client, _, _), asyncio.TaskGroup() as group:
            tasks = [group.create_task(take(place, client)) for place in range(8)]
            while not any(task.done() for task in tasks):  # noqa: ASYNC110 - for as long as it takes
                await asyncio.sleep(0)
            assert min(counts) > 150

    run(main())
