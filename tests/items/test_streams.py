from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import pytest

import tomada
from tests.integration.conftest import Run
from tests.items.stall import (
    ADDRESSES,
    Add,
    Bulk,
    Count,
    Echo,
    Mixed,
    Refuse,
    Sit,
    Spoilt,
    Store,
    Sum,
    Tick,
    Tock,
    Wrong,
    chunk,
    served,
    taken,
)

pytestmark = pytest.mark.parametrize("address", ADDRESSES)


def test_items_come_in_their_order_and_end(run: Run, address: str) -> None:
    async def main() -> None:
        async with served(address) as (client, stage, _):
            assert [tick.number async for tick in client.stream(Count(30_000))] == list(range(30_000))
            assert [tick async for tick in client.stream(Count(0))] == []
            assert [item async for item in client.stream(Mixed())] == [Tick(1), None, Tock("two"), 3]
            assert [item async for item in client.stream(Mixed(), urgent=True)] == [Tick(1), None, Tock("two"), 3]
            assert [tick.number async for tick in client.stream(Count(9_000), urgent=True)] == list(range(9_000))
            assert stage.events == ["ended count"] * 3
            assert client.statistics().streams == 0

    run(main())


@pytest.mark.parametrize("size", [8, 16_384, 65_536, 300_000])
def test_bytes_travel_as_they_are(run: Run, address: str, size: int) -> None:
    async def main() -> None:
        async with served(address) as (client, _, _):
            number = 0
            async for item in client.stream(Bulk(size, 40)):
                assert item == chunk(number, size)
                number += 1
            assert number == 40

    run(main())


def test_parts_come_in_their_order_and_the_handler_replies(run: Run, address: str) -> None:
    async def slowly() -> AsyncIterator[Tick]:
        for number in range(10):
            await asyncio.sleep(0)
            yield Tick(number)

    async def main() -> None:
        async with served(address) as (client, _, _):
            assert await client.ask(Sum(), upload=[Tick(number) for number in range(20_000)]) == sum(range(20_000))
            assert await client.ask(Sum(), upload=slowly()) == 45
            assert await client.ask(Sum(), upload=[]) == 0
            assert await client.ask(Store(), upload=(bytes(70_000) for _ in range(50)), timeout=20) == 3_500_000

    run(main())


def test_both_ways_at_once(run: Run, address: str) -> None:
    async def main() -> None:
        async with served(address) as (client, _, _):
            ticks = [Tick(number) for number in range(20_000)]
            assert [tick async for tick in client.stream(Echo(), upload=ticks)] == ticks

    run(main())


def test_an_error_comes_behind_the_items_before_it(run: Run, address: str) -> None:
    async def main() -> None:
        async with served(address) as (client, _, _):
            ticks: list[Tick] = []
            with pytest.raises(Spoilt) as caught:
                await taken(client.stream(Count(5_000, fails=True)), ticks)
            assert [tick.number for tick in ticks] == list(range(5_000))
            assert caught.value.number == 5_000
            assert await client.ask(Add(1, 2)) == 3

    run(main())


async def fail(client: tomada.Connection) -> None:
    async for tick in client.stream(Count(10_000_000)):
        _ = 1 / tick.number


def test_leaving_the_loop_cancels_the_generator(run: Run, address: str) -> None:
    async def main() -> None:
        async with served(address) as (client, stage, _):
            async for _ in client.stream(Count(10_000_000)):
                break
            await stage.until("ended count")
            with pytest.raises(ZeroDivisionError):
                await fail(client)
            await stage.until("ended count", 2)
            async with client.stream(Count(10_000_000)) as ticks:
                assert await anext(ticks) == Tick(0)
            await stage.until("ended count", 3)
            with pytest.raises(StopAsyncIteration):
                await anext(ticks)
            assert stage.events == ["closed count", "ended count"] * 3
            assert await client.ask(Add(1, 2)) == 3

    run(main())


def test_a_cancelled_task_cancels_a_generator_that_waits(run: Run, address: str) -> None:
    async def loop(client: tomada.Connection) -> None:
        await taken(client.stream(Sit()))

    async def main() -> None:
        async with served(address) as (client, stage, _):
            task = asyncio.create_task(loop(client))
            await stage.until("sits")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await stage.until("cancelled sit")

    run(main())


def test_a_wait_that_is_given_up_is_the_end_of_the_stream(run: Run, address: str) -> None:
    async def main() -> None:
        async with served(address) as (client, stage, _), client.stream(Sit()) as items:
            assert await anext(items) == 1
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(items), 0.01)
            await stage.until("cancelled sit")
            with pytest.raises(StopAsyncIteration):
                await anext(items)

    run(main())


def test_a_handler_that_answers_early_stops_the_upload(run: Run, address: str) -> None:
    ended = []

    def parts() -> Iterator[bytes]:
        try:
            while True:
                yield bytes(1_000)
        finally:
            ended.append("parts")

    def ticks() -> Iterator[Tick]:
        try:
            while True:
                yield Tick(7)
        finally:
            ended.append("ticks")

    async def main() -> None:
        async with served(address) as (client, _, _):
            assert await client.ask(Store(3), upload=parts()) == 3_000
            with pytest.raises(Spoilt) as caught:
                await client.ask(Refuse(), upload=ticks())
            assert caught.value.number == 7
            assert await client.ask(Add(1, 2)) == 3
        assert ended == ["parts", "ticks"]

    run(main())


def test_what_the_parts_raise_is_raised_to_the_caller(run: Run, address: str) -> None:
    async def parts() -> AsyncIterator[Tick]:
        yield Tick(1)
        raise LookupError("no more")

    async def main() -> None:
        async with served(address) as (client, stage, _):
            with pytest.raises(LookupError, match="no more"):
                await client.ask(Sum(), upload=parts())
            await stage.until("cancelled sum")
            with pytest.raises(LookupError, match="no more"):
                await taken(client.stream(Echo(), upload=parts()))
            await stage.until("ended echo")
            with pytest.raises(tomada.InvalidMessage, match="a part does not fit: Tock is none of the items"):
                await client.ask(Sum(), upload=[Tock("no")])  # type: ignore[misc]
            with pytest.raises(tomada.InvalidMessage, match=r"a part does not fit: .*expected `bytes`, got `str`"):
                await client.ask(Store(), upload=["no"])  # type: ignore[misc]

    run(main())


def test_a_late_upload_times_out_and_its_handler_is_cancelled(run: Run, address: str) -> None:
    async def parts() -> AsyncIterator[Tick]:
        yield Tick(1)
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        async with served(address) as (client, stage, _):
            with pytest.raises(tomada.TimedOut):
                await client.ask(Sum(), upload=parts(), timeout=0.05)
            await stage.until("cancelled sum")

    run(main())


def test_a_wrong_item_is_an_internal_error(run: Run, address: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with served(address) as (client, _, _):
            items: list[int] = []
            with pytest.raises(tomada.InternalError, match="does not fit its type"):
                await taken(client.stream(Wrong()), items)
            assert items == [1]

    with caplog.at_level(logging.ERROR, "tomada"):
        run(main())
    assert "built a wrong reply: int: expected `int`, got `str`" in caplog.text


def test_a_request_is_asked_in_its_own_way(run: Run, address: str) -> None:
    async def main() -> None:
        async with served(address) as (client, _, _):
            with pytest.raises(TypeError, match=r"Count is a tomada.StreamRequest: write `stream\(request\)`"):
                await client.ask(Count(1))  # type: ignore[call-overload]
            with pytest.raises(TypeError, match=r"Sum is a tomada.UploadRequest: write `ask\(request, upload=parts\)`"):
                await client.ask(Sum())  # type: ignore[call-overload]
            with pytest.raises(TypeError, match=r"Add is no tomada\.StreamRequest"):
                client.stream(Add(1, 2))  # type: ignore[call-overload]
            with pytest.raises(TypeError, match=r"Count is no tomada\.DuplexRequest"):
                client.stream(Count(1), upload=[])  # type: ignore[call-overload]
            with pytest.raises(TypeError, match=r"Add is no tomada\.UploadRequest"):
                await client.ask(Add(1, 2), upload=[])  # type: ignore[call-overload]
            client.stream(Count(1))  # nothing is asked before the loop begins
            assert client.statistics().own_requests == 0

    run(main())


def test_the_client_closes_while_streams_are_under_way(run: Run, address: str) -> None:
    async def loop(client: tomada.Connection) -> None:
        await taken(client.stream(Sit()))

    async def main() -> None:
        async with served(address) as (client, stage, _):
            tasks = [asyncio.create_task(loop(client)) for _ in range(5)]
            call = asyncio.create_task(client.ask(Sum(), upload=endless()))
            await stage.until("sits", 5)
            await client.close()
            for task in (*tasks, call):
                with pytest.raises(tomada.ConnectionLost, match="closed at this end"):
                    await task
            await stage.until("cancelled sit", 5)
            await stage.until("cancelled sum")

    async def endless() -> AsyncIterator[Tick]:
        while True:
            yield Tick(0)
            await asyncio.sleep(0.001)

    run(main())


def test_the_server_stops_when_its_streams_have_ended(run: Run, address: str) -> None:
    async def loop(client: tomada.Connection) -> list[int]:
        numbers = []
        async for tick in client.stream(Count(50_000)):
            numbers.append(tick.number)
            if len(numbers) % 1_000 == 0:
                await asyncio.sleep(0.001)
        return numbers

    async def main() -> None:
        async with served(address) as (client, stage, server):
            task = asyncio.create_task(loop(client))
            while not stage.made:  # noqa: ASYNC110 - for a turn or two
                await asyncio.sleep(0)
            await server.close()
            assert await task == list(range(50_000))

    run(main())
