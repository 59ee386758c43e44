"""Typed messages and byte streams over ``memory://``, on the loops of every day and on one without sockets."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

import tomada
from tests.integration.conftest import settled
from tests.integration.house import Back, Broke, Echo, Fail, Hold, Make, Note, Push, Stage, house, turns_until
from tests.timeless import TimelessLoop
from tomada.testing import in_pieces
from tomada.transports import memory

HERE = "memory://house"
Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(
    params=[asyncio.new_event_loop, uvloop.new_event_loop, TimelessLoop], ids=["asyncio", "uvloop", "timeless"]
)
def run(request: pytest.FixtureRequest) -> Run:
    def run_on_loop(main: Coroutine[Any, Any, None]) -> None:
        complaints: list[dict[str, Any]] = []
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(settled(main, complaints))
        assert complaints == []
        assert memory._listening == {}

    return run_on_loop


def test_messages_go_both_ways(run: Run) -> None:
    async def main() -> None:
        stage = Stage()
        async with tomada.serve(house(stage), HERE) as server, tomada.connect(HERE, app=house(stage)) as client:
            assert [str(address) for address in server.addresses] == [HERE]
            assert str(client.peer) == str(server.connections[0].peer) == HERE
            assert await client.ask(Back(10)) == 10
            assert await server.connections[0].ask(Echo(b"back")) == b"back"
            await client.send(Note("one"))
            await stage.until("note one")
            with pytest.raises(Broke, match="cents=12"):
                await client.ask(Fail("typed"))
            assert await client.ping(timeout=5) >= 0

    run(main())


def test_many_clients_ask_at_once(run: Run) -> None:
    async def one(number: int) -> None:
        async with tomada.connect(HERE) as client:
            for turn in range(20):
                data = b"%d %d" % (number, turn)
                assert await client.ask(Echo(data)) == data

    async def main() -> None:
        async with tomada.serve(house(Stage()), HERE):
            await asyncio.gather(*map(one, range(20)))

    run(main())


def test_large_messages_arrive_whole_in_pieces_of_any_size(run: Run) -> None:
    async def main() -> None:
        with in_pieces(random.Random(7)):
            async with tomada.serve(house(Stage()), HERE), tomada.connect(HERE) as client:
                data = random.Random(8).randbytes(1_000_000)
                echoes = await asyncio.gather(*[client.ask(Echo(data)) for _ in range(4)])
                assert echoes == [data] * 4

    run(main())


def test_a_client_that_does_not_receive_makes_the_server_wait(run: Run) -> None:
    async def main() -> None:
        limits = tomada.Limits(buffer_bytes=1_024)
        async with tomada.serve(house(Stage()), HERE, limits=limits), tomada.connect(HERE, limits=limits) as client:
            pushed = asyncio.create_task(client.ask(Push(2_000)))
            for number in range(2_000):
                assert await client.receive() == Note(str(number))
            assert await pushed == 2_000

    run(main())


def test_hooks_run_and_what_is_under_way_ends_before_the_server(run: Run) -> None:
    async def main() -> None:
        stage = Stage()
        app = house(stage)

        @app.on_connect
        async def connected(peer: tomada.Connection) -> None:
            stage.mark(f"connect {peer.peer}")

        @app.on_disconnect
        async def disconnected(peer: tomada.Connection) -> None:
            stage.mark(f"disconnect {peer.end_reason}")

        server = await tomada.serve(app, HERE)
        client = await tomada.connect(HERE)
        call = asyncio.create_task(client.ask(Hold("a")))
        await stage.until("began a")
        closing = asyncio.create_task(server.close())
        await turns_until(lambda: not client.is_open)
        with pytest.raises(tomada.ConnectFailed, match="nothing in this process listens there"):
            await tomada.connect(HERE)
        stage.open("a")
        assert await call == "a"
        await closing
        await client.close()
        assert stage.events[0] == f"connect {HERE}"
        assert stage.events[-1].startswith("disconnect")

    run(main())


def test_a_cut_fails_every_pending_call_and_cancels_its_handler(run: Run) -> None:
    async def main() -> None:
        stage = Stage()
        async with tomada.serve(house(stage), HERE) as server, tomada.connect(HERE, sessions=False) as client:
            calls = [asyncio.create_task(client.ask(Hold("a"))), asyncio.create_task(client.ask(Make(5_000_000)))]
            await stage.until("began a")
            server.connections[0]._link.cut("the test")
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} == {tomada.ConnectionLost}
            assert "Connection reset by peer" in client.end_reason
            await stage.until("cancelled a")

    run(main())


def test_with_a_session_a_cut_fails_no_call(run: Run) -> None:
    async def main() -> None:
        stage = Stage()
        async with tomada.serve(house(stage), HERE) as server, tomada.connect(HERE) as client:
            calls = [asyncio.create_task(client.ask(Hold("a"))), asyncio.create_task(client.ask(Make(5_000_000)))]
            await stage.until("began a")
            server.connections[0]._link.cut("the test")
            await turns_until(lambda: client.state is tomada.ConnectionState.RESUMING)
            stage.open("a")
            held, made = await asyncio.gather(*calls)
            assert (held, len(made)) == ("a", 5_000_000)
            assert stage.events.count("began a") == stage.events.count("made") == 1
            assert client.state is tomada.ConnectionState.OPEN
            assert client.statistics().resumed == 1

    run(main())


def test_a_client_may_wait_for_a_server_that_starts_later(run: Run) -> None:
    async def main() -> None:
        async def connect() -> tomada.Connection:
            return await tomada.connect(HERE, wait=30)

        connecting = asyncio.create_task(connect())
        await asyncio.sleep(0)
        async with tomada.serve(house(Stage()), HERE):
            client = await connecting
            assert await client.ask(Echo(b"late")) == b"late"
            await client.close()

    run(main())


def test_a_name_is_served_once(run: Run) -> None:
    async def main() -> None:
        async with tomada.serve(house(Stage()), HERE):
            with pytest.raises(tomada.AddressInUse, match="take another name"):
                await tomada.serve(house(Stage()), HERE)

    run(main())


def test_byte_streams_end_one_direction_and_then_the_other(run: Run) -> None:
    async def main() -> None:
        app = tomada.App()

        @app.stream(HERE)
        async def reverse(stream: tomada.Stream) -> None:
            received = b"".join([chunk async for chunk in stream])
            await stream.send(received[::-1])

        data = random.Random(1).randbytes(500_000)
        async with tomada.serve(app), tomada.connect_stream(HERE) as stream:
            assert str(stream.peer) == HERE
            await stream.send(data)
            await stream.shutdown()
            assert await stream.receive_exactly(len(data)) == data[::-1]
            assert await stream.receive() == b""

    run(main())


def test_on_simulated_time_an_hour_passes_at_once() -> None:
    async def main() -> None:
        stage = Stage()
        async with tomada.serve(house(stage), HERE), tomada.connect(HERE) as client:
            with pytest.raises(tomada.TimedOut, match="within 3600 s"):
                await client.ask(Hold("a"), timeout=3600)
            await stage.until("cancelled a")

    with asyncio.Runner(loop_factory=TimelessLoop) as runner:
        runner.run(main())
