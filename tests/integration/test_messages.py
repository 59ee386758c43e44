from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from typing import cast

import pytest

import tomada
from tests.integration.conftest import Run
from tests.integration.house import (
    Echo,
    Make,
    Note,
    Push,
    Stage,
    house,
    serving,
)


def test_one_way_messages_come_in_order_and_are_handled_after_their_sender_has_left(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, stage):
            async with tomada.connect(server.addresses[0]) as client:
                for number in range(5_000):
                    await client.send(Note(str(number)))
            await stage.until("note 4999")
            assert stage.events == [f"note {number}" for number in range(5_000)]

    run(main())


def test_messages_are_received_one_by_one_and_by_iteration(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, _):
            async with tomada.connect(server.addresses[0]) as client:
                assert await client.ask(Push(5)) == 5
                assert await client.receive() == Note("0")
                assert [await client.receive(timeout=0) for _ in range(4)] == [Note(str(n)) for n in (1, 2, 3, 4)]
                with pytest.raises(tomada.TimedOut, match="no message"):
                    await client.receive(timeout=0)
                two = [asyncio.create_task(client.receive()) for _ in range(2)]
                await client.ask(Push(3))
                assert await asyncio.gather(*two) == [Note("0"), Note("1")]
                iteration = cast("AsyncGenerator[tomada.Message, None]", aiter(client))
                assert await anext(iteration) == Note("2")
                last = asyncio.create_task(iteration.asend(None))
                await client.ping()
            with pytest.raises(StopAsyncIteration):
                await last
            with pytest.raises(tomada.ConnectionLost):
                await client.receive()

    run(main())


def test_a_cancelled_receive_loses_nothing(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, _), tomada.connect(server.addresses[0]) as client:
            for number in range(20):
                receiving = asyncio.create_task(client.receive())
                push = asyncio.create_task(client.ask(Push(1)))
                if number % 2:
                    await push
                receiving.cancel()
                await asyncio.wait([receiving, push])
                if receiving.cancelled():
                    assert await client.receive() == Note("0")

    run(main())


def test_the_accepting_end_has_handlers_and_no_receive(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, _):
            with pytest.raises(RuntimeError, match=r"write one with @app\.on"):
                await server.connections[0].receive()

    run(main())


def test_ping_tells_the_time_there_and_back(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, _), tomada.connect(server.addresses[0]) as client:
            assert all(seconds > 0 for seconds in await asyncio.gather(*[client.ping() for _ in range(20)]))
            assert await server.connections[0].ping() > 0
            with pytest.raises(tomada.TimedOut, match="no pong"):
                await client.ping(timeout=0)
            assert await client.ping(timeout=20) > 0
        with pytest.raises(tomada.ConnectionLost):
            await client.ping()

    run(main())


def test_big_messages_travel_both_ways(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, _), tomada.connect(server.addresses[0]) as client:
            data = os.urandom(5_000_000)
            replies = await asyncio.gather(*[client.ask(Echo(data)) for _ in range(3)], client.ask(Echo(b"small")))
            assert replies == [data, data, data, b"small"]

    run(main())


def test_a_message_longer_than_the_peer_takes_fails_at_its_own_end(run: Run) -> None:
    async def main() -> None:
        limits = tomada.Limits(message_bytes=10_000)
        async with serving(limits=limits) as (server, _), tomada.connect(server.addresses[0]) as client:
            with pytest.raises(tomada.InvalidMessage, match=r"is \d+ bytes long, the peer takes at most 10000"):
                await client.ask(Echo(bytes(20_000)))
            with pytest.raises(tomada.InvalidMessage):
                await client.send(Note("x" * 20_000))
            assert await client.ask(Echo(b"on")) == b"on"

    run(main())


def test_a_reply_longer_than_the_caller_takes_is_told_to_both(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with serving() as (server, _):
            limits = tomada.Limits(message_bytes=10_000)
            async with tomada.connect(server.addresses[0], limits=limits) as client:
                with pytest.raises(tomada.InternalError):
                    await client.ask(Make(20_000))
                assert "the peer takes at most 10000" in caplog.text
                assert await client.ask(Echo(b"on")) == b"on"

    run(main())


def test_a_connection_tells_what_its_peer_understands(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, _), tomada.connect(server.addresses[0]) as client:
            assert "Echo" in client.peer_types
            assert client.peer_type("Echo").__name__ == "Echo"
            with pytest.raises(tomada.UnknownType):
                client.peer_type("Nonsense")
            assert client.refusals == ()
            assert "open" in repr(client)

    run(main())


def test_iteration_raises_when_the_connection_is_lost(run: Run) -> None:
    async def main() -> None:
        stage = Stage()
        async with tomada.serve(house(stage), "tcp://127.0.0.1:0") as server:
            client = await tomada.connect(server.addresses[0], sessions=False)
            pinging = asyncio.create_task(client.ping())
            server.connections[0]._link.cut("for the test")
            with pytest.raises(tomada.ConnectionLost):
                async for _ in client:
                    pass
            pinging.cancel()
            await asyncio.wait([pinging])
            await client.close()

    run(main())


def test_a_ping_that_is_cancelled_leaves_nothing(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, _), tomada.connect(server.addresses[0]) as client:
            pinging = asyncio.create_task(client.ping())
            await asyncio.sleep(0)
            pinging.cancel()
            await asyncio.wait([pinging])
            assert client._link.pings == {}
            assert await client.ping() > 0

    run(main())
