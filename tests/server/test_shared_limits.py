"""What all connections of a server share: places for handlers, and room for bytes; and that nobody else notices."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest

import tomada
from tests.integration.conftest import Run
from tests.integration.house import (
    CATALOGUE,
    Echo,
    Hold,
    Make,
    Note,
    Stage,
    Wire,
    house,
    keep_asking,
    serving,
    turns_until,
)
from tests.server.telling import telling
from tomada.protocol import Kind
from tomada.telemetry import LimitStruck, Outcome

# Handlers of all connections.


def test_no_connection_takes_the_places_of_others(run: Run) -> None:
    async def main() -> None:
        async with serving(limits=tomada.Limits(all_handlers=4)) as (server, stage), telling(LimitStruck) as told:
            address = server.addresses[0]
            async with tomada.connect(address) as greedy, tomada.connect(address) as modest:
                first = [asyncio.ensure_future(greedy.ask(Hold(f"g{number}"))) for number in range(12)]
                await stage.until(*(f"began g{number}" for number in range(4)))
                last = [asyncio.ensure_future(modest.ask(Hold(f"m{number}"))) for number in range(2)]
                await greedy.ping()
                await modest.ping()
                assert stage.count("began") == 4
                for number in range(4):
                    stage.open(f"g{number}")
                await stage.until("began m0", "began m1")
                assert stage.count("began g") == 6, "they took turns"
                assert stage.most == 4
                stage.open(*(f"g{number}" for number in range(12)), "m0", "m1")
                assert await asyncio.gather(*last) == ["m0", "m1"]
                assert await asyncio.gather(*first) == [f"g{number}" for number in range(12)]
                assert stage.most == 4
            await turns_until(lambda: server._endpoint.places.taken == 0)
        assert {(event.limit, event.outcome) for event in told} == {("all_handlers", Outcome.PAUSED)}

    run(main())


def test_one_way_messages_wait_for_a_place_and_so_does_their_sender(run: Run) -> None:
    async def main() -> None:
        limits = tomada.Limits(all_handlers=1, buffer_bytes=1_024)
        stage = Stage()
        async with (
            tomada.serve(house(stage), "tcp://127.0.0.1:0", limits=limits) as server,
            tomada.connect(server.addresses[0]) as holder,
            tomada.connect(server.addresses[0]) as client,
        ):
            held = asyncio.ensure_future(holder.ask(Hold("place")))
            await stage.until("began place")

            async def send() -> None:
                for number in range(200):
                    await client.send(Note(str(number)))

            sending = asyncio.ensure_future(send())
            await turns_until(lambda: client._link.senders)
            assert max(link.engine.held_bytes for link in server._endpoint.connections) < 1_100
            assert stage.count("note") == 0
            stage.open("place")
            assert await held == "place"
            await sending
            await stage.until(*(f"note {number}" for number in range(200)))
            assert [event for event in stage.events if event.startswith("note")] == [
                f"note {number}" for number in range(200)
            ]

    run(main())


@pytest.mark.parametrize("how", ["cancelled", "gone"])
def test_who_no_longer_waits_for_a_place_takes_none(run: Run, how: str) -> None:
    async def main() -> None:
        stage = Stage()
        limits = tomada.Limits(all_handlers=1)
        async with (
            tomada.serve(house(stage), "tcp://127.0.0.1:0", limits=limits) as server,
            tomada.connect(server.addresses[0]) as holder,
            tomada.connect(server.addresses[0]) as other,
        ):
            held = asyncio.ensure_future(holder.ask(Hold("place")))
            await stage.until("began place")
            client = await tomada.connect(server.addresses[0], sessions=False)
            given_up = asyncio.ensure_future(client.ask(Hold("never")))
            await client.ping()
            if how == "cancelled":
                given_up.cancel()
                await client.ping()
            else:
                client._link.cut("for the test")
                await turns_until(lambda: len(server.connections) == 2)
            waits = asyncio.ensure_future(other.ask(Hold("next")))
            await other.ping()
            stage.open("place", "next")
            assert (await held, await waits) == ("place", "next")
            assert "began never" not in stage.events
            await asyncio.wait([given_up])
            if given_up.cancelled():
                await client.close()
            else:
                assert isinstance(given_up.exception(), tomada.ConnectionLost)

    run(main())


def test_a_server_that_stops_lets_those_who_wait_for_a_place_have_it(run: Run) -> None:
    async def main() -> None:
        stage = Stage()
        limits = tomada.Limits(all_handlers=2)
        server = await tomada.serve(house(stage), "tcp://127.0.0.1:0", limits=limits)
        async with tomada.connect(server.addresses[0]) as client:
            asked = [asyncio.ensure_future(client.ask(Hold(str(number)))) for number in range(7)]
            await stage.until("began 1")
            closing = asyncio.ensure_future(server.close())
            await asyncio.sleep(0)
            stage.open(*(str(number) for number in range(7)))
            assert await asyncio.gather(*asked) == [str(number) for number in range(7)]
            await closing

    run(main())


# Bytes of all connections.


@asynccontextmanager
async def deaf(server: tomada.Server) -> AsyncIterator[Wire]:
    """A peer that reads nothing but what it must."""
    address = server.addresses[0]
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, (address.host, address.port))
    reader, writer = await asyncio.open_connection(sock=raw, limit=4_096)
    peer = Wire(reader, writer)
    try:
        await peer.hello()
        yield peer
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


def test_above_the_limit_those_who_do_not_read_are_not_read(run: Run) -> None:
    async def main() -> None:
        limits = tomada.Limits(all_buffer_bytes=30_000_000)
        async with (
            serving(limits=limits) as (server, stage),
            telling(LimitStruck) as told,
            deaf(server) as one,
            deaf(server) as two,
            deaf(server) as three,
        ):
            room, peers = server._endpoint.room, (one, two, three)
            for peer in peers:
                peer.say(peer.ask(Make(15_000_000), 1))
            await turns_until(lambda: sum(link.paused for link in server._endpoint.connections) == 3)
            assert 30_000_000 < room.total < 60_000_000
            assert [(event.limit, event.outcome) for event in told] == [("all_buffer_bytes", Outcome.PAUSED)]
            for peer in peers:
                peer.say(peer.ask(Make(10), 3))
            async with tomada.connect(server.addresses[0]) as client:
                assert await client.ask(Echo(b"y" * 1_000_000)) == b"y" * 1_000_000
            assert stage.count("made") == 3, "nobody has read the second ones"
            answered = [await one.hear() for _ in range(230)]
            assert (len(answered[-1][2]), stage.count("made")) == (12, 4), "it has read the first, in its fragments"

    run(main())


def test_at_twice_the_limit_who_holds_the_most_is_cut(run: Run) -> None:
    async def main() -> None:
        limits = tomada.Limits(all_buffer_bytes=5_000_000)
        async with (
            serving(limits=limits) as (server, _),
            telling(LimitStruck) as told,
            deaf(server) as small,
            deaf(server) as large,
        ):
            small.say(small.ask(Make(6_000_000), 1))
            await turns_until(lambda: server._endpoint.room.total)
            large.say(large.ask(Make(15_000_000), 1))
            await large.until_closed()
            assert server._endpoint.room.total < 10_000_000
            assert told[-1].outcome is Outcome.REFUSED
            assert (await small.hear())[0] == Kind.REPLY

    run(main())


def test_who_is_cut_at_twice_the_limit_has_no_session_that_holds_it_on(run: Run) -> None:
    async def main() -> None:
        limits = tomada.Limits(all_buffer_bytes=5_000_000)
        async with serving(limits=limits) as (server, _):
            client = await tomada.connect(server.addresses[0])
            assert client._link.transport is not None
            asked = [asyncio.ensure_future(client.ask(Make(12_000_000))) for _ in range(2)]
            await client.ping()
            client._link.transport.pause_reading()
            await turns_until(lambda: len(server.connections) == 1)
            assert server._endpoint.room.total < 10_000_000
            assert server._endpoint.sessions.lost == 0
            client._link.transport.resume_reading()
            for outcome in await asyncio.gather(*asked, return_exceptions=True):
                assert isinstance(outcome, tomada.OutcomeUnknown)
            assert "there is no such session here" in client.end_reason
            await client.close()

    run(main())


def test_a_lost_connection_gives_its_place_to_whoever_comes(run: Run) -> None:
    """Else no client could come back to a server that is full."""

    async def main() -> None:
        stage = Stage()
        limits = tomada.Limits(connections=1)
        async with (
            tomada.serve(house(stage), "tcp://127.0.0.1:0", limits=limits) as server,
            tomada.connect(server.addresses[0]) as client,
        ):
            for number in range(3):
                server.connections[0]._link.cut("for the test")
                assert await client.ask(Echo(b"back")) == b"back"
                assert client.statistics().resumed == number + 1
            with pytest.raises(tomada.HandshakeFailed, match="the server has 1 connection,"):
                await tomada.connect(server.addresses[0])

    run(main())


def test_messages_that_never_end_count_too(run: Run) -> None:
    async def main() -> None:
        limits = tomada.Limits(all_buffer_bytes=1_000_000, message_bytes=900_000, frame_bytes=900_000)
        async with (
            serving(limits=limits) as (server, _),
            telling(LimitStruck) as told,
            AsyncExitStack() as peers,
        ):
            for _ in range(3):
                peer = await peers.enter_async_context(deaf(server))
                peer.say(peer.message(Kind.ASK, CATALOGUE.numbers[Echo], 99, bytes(800_000))[:700_000])
            await turns_until(lambda: [event.outcome for event in told] == [Outcome.PAUSED, Outcome.REFUSED])
            await turns_until(lambda: len(server.connections) == 3)
            assert server._endpoint.room.total <= 1_400_000

    run(main())


def test_a_long_message_that_comes_whole_is_counted_no_more(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, _), tomada.connect(server.addresses[0]) as client:
            data = bytes(3_000_000)
            assert await client.ask(Echo(data)) == data
            await turns_until(lambda: server._endpoint.room.total == 0)

    run(main())


def test_streams_that_nobody_receives_are_not_read(run: Run) -> None:
    async def main() -> None:
        app = tomada.App("streams")
        go = asyncio.Event()

        @app.stream("tcp://127.0.0.1:0")
        async def handle(stream: tomada.Stream) -> None:
            first = await stream.receive_exactly(1)
            if first == b"w":
                await go.wait()
            async for data in stream:
                await stream.send(data)

        limits = tomada.Limits(all_buffer_bytes=400_000, receive_bytes=262_144)
        async with tomada.serve(app, limits=limits) as server, telling(LimitStruck) as told:
            address = server.addresses[0]
            waiting = [await tomada.connect_stream(address) for _ in range(4)]
            sending = [asyncio.ensure_future(stream.send(b"w" + bytes(200_000))) for stream in waiting]
            await turns_until(lambda: server._endpoint.room.total > 400_000)
            assert server._endpoint.room.total <= 800_000
            async with tomada.connect_stream(address) as good:
                await good.send(b"x" + b"good")
                assert await good.receive() == b"good"
            assert all(flow.is_paused for flow in server._endpoint.flows if flow.buffer.size)
            go.set()
            for stream in waiting:
                assert await stream.receive_exactly(200_000) == bytes(200_000)
            await asyncio.gather(*sending)
            assert server._endpoint.room.total <= 200_000, "as counted last"
            assert [event.outcome for event in told] == [Outcome.PAUSED]
            for stream in waiting:
                await stream.close()

    run(main())


def test_a_piece_that_is_waited_for_comes_whole_above_the_limit_too(run: Run) -> None:
    async def main() -> None:
        app = tomada.App("streams")
        got: asyncio.Queue[int] = asyncio.Queue()

        @app.stream("tcp://127.0.0.1:0")
        async def handle(stream: tomada.Stream) -> None:
            got.put_nowait(len(await stream.receive_exactly(150_000)))

        limits = tomada.Limits(all_buffer_bytes=100_000)
        async with tomada.serve(app, limits=limits) as server, tomada.connect_stream(server.addresses[0]) as stream:
            await stream.send(bytes(120_000))
            await turns_until(lambda: server._endpoint.room.total > 100_000)
            await stream.send(bytes(30_000))
            assert await got.get() == 150_000

    run(main())


def test_streams_to_peers_that_do_not_read_are_cut_at_twice_the_limit(run: Run) -> None:
    async def main() -> None:
        app = tomada.App("streams")
        lost: asyncio.Queue[str] = asyncio.Queue()

        @app.stream("tcp://127.0.0.1:0")
        async def handle(stream: tomada.Stream) -> None:
            try:
                await stream.send(bytes(30_000_000))
                await stream.send(b"more")
            except tomada.ConnectionLost as error:
                lost.put_nowait(str(error))

        @app.stream("tcp://127.0.0.1:0")
        async def echo(stream: tomada.Stream) -> None:
            async for data in stream:
                await stream.send(data)

        limits = tomada.Limits(all_buffer_bytes=10_000_000)
        async with tomada.serve(app, limits=limits) as server, tomada.connect_stream(server.addresses[1]) as good:
            leaving = asyncio.Event()
            asked = asyncio.create_task(keep_echoing(good, leaving))
            async with tomada.connect_stream(server.addresses[0], limits=tomada.Limits(receive_bytes=1_000)):
                assert "more than twice the server's limit of 10,000,000 bytes" in await lost.get()
            leaving.set()
            await asked
            await turns_until(lambda: server._endpoint.room.total == 0)

    run(main())


async def keep_echoing(stream: tomada.Stream, leaving: asyncio.Event) -> None:
    while not leaving.is_set():
        await stream.send(b"well")
        assert await stream.receive_exactly(4) == b"well"
        await asyncio.sleep(0.002)


def test_a_client_is_bounded_by_its_connection_s_own_limits_alone(run: Run) -> None:
    async def main() -> None:
        async with (
            serving() as (server, _),
            tomada.connect(server.addresses[0], limits=tomada.Limits(all_buffer_bytes=1_000)) as client,
        ):
            leaving = asyncio.Event()
            asked = asyncio.create_task(keep_asking(client, leaving))
            assert await client.ask(Echo(bytes(2_000_000))) == bytes(2_000_000)
            leaving.set()
            await asked

    run(main())
