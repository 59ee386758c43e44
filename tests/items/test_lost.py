"""Streams over connections that are lost: items are neither lost nor doubled nor reordered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

import tomada
from tests.integration.conftest import Run
from tests.items.stall import TCP, Add, Bulk, Count, Echo, Sit, Store, Sum, Tick, chunk, cut, served, taken
from tomada.connection_state import ConnectionState
from tomada.errors import OutcomeUnknown

pytestmark = pytest.mark.parametrize("address", [TCP, "ws://127.0.0.1:0/stall"])


async def slowly(count: int) -> AsyncIterator[Tick]:
    for number in range(count):
        yield Tick(number)
        if number % 100 == 0:
            await asyncio.sleep(0.001)


async def cutting(client: tomada.Connection, server: tomada.Server, times: int) -> None:
    """Cut the connection, now at the one end, now at the other, each time that it is back."""
    for number in range(times):
        async with asyncio.timeout(10):
            while client.state is not ConnectionState.OPEN:  # noqa: ASYNC110 - for a moment
                await asyncio.sleep(0.001)
        await asyncio.sleep(0.005)
        cut(client if number % 2 else next(iter(server.connections)))


def test_items_go_on_where_they_were(run: Run, address: str) -> None:
    async def main() -> None:
        async with served(address) as (client, stage, server):
            cuts = asyncio.create_task(cutting(client, server, 6))
            while not cuts.done():
                numbers = []
                async for tick in client.stream(Count(30_000)):
                    numbers.append(tick.number)
                    if tick.number % 500 == 0:
                        await asyncio.sleep(0.001)
                assert numbers == list(range(30_000))
            await cuts
            assert client.statistics().resumed > 1
            assert set(stage.events) == {"ended count"}

    run(main())


def test_bytes_go_on_where_they_were(run: Run, address: str) -> None:
    async def main() -> None:
        async with served(address) as (client, _, server):
            cuts = asyncio.create_task(cutting(client, server, 5))
            while not cuts.done():
                assert await taken(client.stream(Bulk(30_000, 200))) == [chunk(n, 30_000) for n in range(200)]
            await cuts

    run(main())


def test_parts_go_on_where_they_were(run: Run, address: str) -> None:
    async def main() -> None:
        async with served(address) as (client, _, server):
            cuts = asyncio.create_task(cutting(client, server, 6))
            while not cuts.done():
                both = client.stream(Echo(), upload=slowly(5_000))
                total, size, ticks = await asyncio.gather(
                    client.ask(Sum(), upload=slowly(5_000)),
                    client.ask(Store(), upload=[bytes(10_000)] * 300),
                    taken(both),
                )
                assert (total, size) == (sum(range(5_000)), 3_000_000)
                assert ticks == [Tick(number) for number in range(5_000)]
            await cuts

    run(main())


def test_a_stream_that_is_left_while_the_connection_is_lost_is_cancelled_when_it_is_back(
    run: Run, address: str
) -> None:
    async def main() -> None:
        async with served(address) as (client, stage, _):
            async with client.stream(Sit()) as items:
                assert await anext(items) == 1
                cut(client)
                await asyncio.sleep(0)
            await stage.until("cancelled sit")
            assert await client.ask(Add(1, 2)) == 3

    run(main())


def test_a_session_that_ends_leaves_the_outcome_unknown(run: Run, address: str) -> None:
    async def main() -> None:
        async with served(address) as (client, stage, server):
            items: list[int] = []
            stream = asyncio.create_task(taken(client.stream(Sit()), items))
            call = asyncio.create_task(client.ask(Sum(), upload=slowly(1_000_000)))
            await stage.until("sits")
            while not items:  # noqa: ASYNC110 - for a turn or two
                await asyncio.sleep(0.001)
            next(iter(server.connections))._link.end("the test wants it")
            for each in (stream, call):
                with pytest.raises(OutcomeUnknown):
                    await each
            assert items == [1]
            await stage.until("cancelled sit")
            await stage.until("cancelled sum")

    run(main())


def test_without_a_session_a_lost_connection_is_the_end(run: Run, address: str) -> None:
    async def main() -> None:
        async with (
            served(address) as (_, stage, server),
            tomada.connect(server.addresses[0], sessions=False) as client,
        ):
            assert await taken(client.stream(Count(20_000))) == [Tick(number) for number in range(20_000)]
            assert await client.ask(Store(), upload=[bytes(100_000)] * 50) == 5_000_000
            stream = asyncio.create_task(taken(client.stream(Sit())))
            await stage.until("sits")
            cut(client)
            with pytest.raises(tomada.ConnectionLost):
                await stream
            await stage.until("cancelled sit")

    run(main())
