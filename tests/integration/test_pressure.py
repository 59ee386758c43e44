from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

import tomada
from tests.integration.conftest import Run
from tests.integration.house import Echo, Make, Note, Push, Wire, frame, house, serving, turns_until, wire
from tomada.protocol import Kind, PeerLimits, Welcome, encode

SMALL = tomada.Limits(buffer_bytes=65_536)
BIG = 4_000_000


def waiting_bytes(connection: tomada.Connection) -> int:
    """What one end holds for a peer that does not read."""
    link = connection._link
    assert link.transport is not None
    return link.engine.kept + link.transport.get_write_buffer_size()


def is_blocked(connection: tomada.Connection) -> bool:
    return connection._link.engine.full


def other_end(server: tomada.Server, client: tomada.Connection) -> tomada.Connection:
    """The server's end of a client's connection."""
    assert client._link.transport is not None
    _, port = client._link.transport.get_extra_info("sockname")
    return next(other for other in server.connections if other.peer.port == port)


@asynccontextmanager
async def deaf_server() -> AsyncIterator[tuple[str, asyncio.Future[Wire]]]:
    """A server that completes the handshake and does not read on by itself."""
    accepted: asyncio.Future[Wire] = asyncio.get_running_loop().create_future()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Wire(reader, writer)
        await peer.hear()
        peer.say(frame(Kind.WELCOME, encode(Welcome(limits=PeerLimits(buffer_bytes=1_000_000_000)))))
        accepted.set_result(peer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=1024)
    try:
        yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}", accepted
    finally:
        server.close()
        (await accepted).writer.transport.abort()


@pytest.mark.parametrize("size", [10, 50_000, 1_000_000])
def test_send_waits_for_a_peer_that_does_not_read_and_memory_is_bounded(run: Run, size: int) -> None:
    async def main() -> None:
        async with deaf_server() as (address, _):
            client = await tomada.connect(address, limits=SMALL, deadlines=tomada.Deadlines(drain=0.1))
            note = Note("x" * size)

            async def flood() -> None:
                while True:
                    await client.send(note)

            # One that never waits for anything else, and many at once.
            tasks = [asyncio.create_task(flood()) for _ in range(20)]
            await turns_until(lambda: is_blocked(client))
            assert waiting_bytes(client) <= 2 * (SMALL.buffer_bytes + size + 100)
            await client.close()
            for task in tasks:
                with pytest.raises(tomada.ConnectionLost):
                    await task

    run(main())


def test_a_sender_that_is_cancelled_while_it_waits_takes_no_other_along(run: Run) -> None:
    async def main() -> None:
        async with deaf_server() as (address, accepted):
            client = await tomada.connect(address, limits=SMALL, deadlines=tomada.Deadlines(drain=0.1))
            while not is_blocked(client):
                await client.send(Note("x" * 10_000))
                await asyncio.sleep(0)
            first, second = (asyncio.create_task(client.send(Note(name))) for name in ("first", "second"))
            with pytest.raises(tomada.TimedOut):
                await client.ask(Echo(b"third"), timeout=0.01)
            first.cancel()
            await asyncio.wait([first])
            assert not second.done()
            peer = await accepted
            peer.reader._limit = 2**20  # type: ignore[attr-defined]
            reading = asyncio.create_task(peer.reader.read(-1))
            await second
            await client.close()
            await reading

    run(main())


def test_a_peer_that_asks_and_never_reads_starts_few_handlers(run: Run) -> None:
    async def main() -> None:
        async with serving(limits=SMALL) as (server, stage), wire(server) as peer:
            await peer.hello()
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
            for number in range(1_000):
                peer.say(peer.ask(Make(1_000_000), 2 * number + 1))
            hostile = next(other for other in server.connections if str(other.peer) == peer.address)
            await turns_until(lambda: is_blocked(hostile))
            await turns_until(lambda: len(hostile._link._waiting or ()) > 500)
            assert stage.count("made") < 30
            assert waiting_bytes(hostile) < 10_000_000
            peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
            for _ in range(1_000):
                kind, _, data = await peer.hear()
                assert (kind, len(data)) == (Kind.REPLY, 65_536) or kind == Kind.REPLY

    run(main())


def test_two_ends_that_both_send_a_lot_do_not_wait_for_each_other(run: Run) -> None:
    async def main() -> None:
        async with serving(limits=SMALL) as (server, stage):
            app = house(stage)
            async with tomada.connect(server.addresses[0], app=app, limits=SMALL) as client:
                other = other_end(server, client)
                data = bytes(BIG)
                replies = await asyncio.gather(
                    *[client.ask(Echo(data)) for _ in range(4)],
                    *[other.ask(Echo(data)) for _ in range(4)],
                    *[client.ask(Make(BIG)) for _ in range(4)],
                    *[other.ask(Make(BIG)) for _ in range(4)],
                )
                assert all(len(reply) == BIG for reply in replies)

    run(main())


def test_two_ends_that_answer_every_message_with_another_do_not_wait_for_each_other(run: Run) -> None:
    async def main() -> None:
        limits = tomada.Limits(buffer_bytes=65_536, handlers=4)
        count = 3_000

        async with serving(limits=limits) as (server, _):
            heard = 0
            async with tomada.connect(server.addresses[0], limits=limits) as client:

                async def receive() -> None:
                    nonlocal heard
                    async for _ in client:
                        heard += 1
                        if heard == count:
                            return

                receiving = asyncio.create_task(receive())
                await asyncio.sleep(0)
                for _ in range(count):
                    await client.send(Note("echo " + "x" * 1_000))
                await receiving

    run(main())


def test_who_receives_may_ask_meanwhile_although_more_comes_than_may_wait(run: Run) -> None:
    async def main() -> None:
        limits = tomada.Limits(buffer_bytes=1_024)
        async with serving() as (server, _), tomada.connect(server.addresses[0], limits=limits) as client:
            pushing = asyncio.create_task(client.ask(Push(2_000)))
            for number in range(2_000):
                assert await client.receive() == Note(str(number))
                if number % 100 == 0:
                    assert await client.ask(Echo(b"between")) == b"between"
                    await client.ping()
            assert await pushing == 2_000

    run(main())


def test_a_sender_waits_while_too_much_waits_to_be_received(run: Run) -> None:
    async def main() -> None:
        limits = tomada.Limits(buffer_bytes=200_000)
        async with serving() as (server, _):
            client = await tomada.connect(server.addresses[0], limits=limits)
            other = other_end(server, client)
            receiving = asyncio.create_task(client.receive())
            await asyncio.sleep(0)

            async def flood() -> None:
                while True:
                    await other.send(Note("x" * 60_000))

            flooding = asyncio.create_task(flood())
            assert await receiving == Note("x" * 60_000)
            await turns_until(lambda: is_blocked(other))
            with pytest.raises(tomada.BufferFull, match="has not handled"):
                other.send_nowait(Note("one more"))
            assert client.statistics().held_bytes < 300_000
            assert other.statistics().credit_bytes == 0
            # A call needs no room where messages wait, and neither does the end; what is urgent has room of its own.
            assert await client.ping() > 0
            other.send_nowait(Note("urgent"), urgent=True)
            await client.close()
            with pytest.raises(tomada.ConnectionLost):
                await flooding

    run(main())


def test_messages_that_nobody_receives_wait_and_stop_nobody_else(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, _), tomada.connect(server.addresses[0]) as client:
            assert await client.ask(Push(10)) == 10
            assert client.statistics().held_bytes > 0
            assert [(await client.receive()) for _ in range(10)] == [Note(str(number)) for number in range(10)]
            assert client.statistics().held_bytes == 0

    run(main())


def test_who_only_sends_lets_others_have_their_turn(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, _), tomada.connect(server.addresses[0], limits=SMALL) as client:
            turns = 0

            async def others() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            others_turn = asyncio.create_task(others())
            for _ in range(20_000):
                await client.send(Note("x" * 100))
            assert turns > 10
            others_turn.cancel()
            await asyncio.wait([others_turn])

    run(main())
