from __future__ import annotations

import asyncio
import signal

import pytest

import tomada
from tests.integration.conftest import Run
from tests.integration.house import (
    HERE,
    Back,
    Echo,
    Hold,
    Make,
    Note,
    Sit,
    Stage,
    frame,
    house,
    serving,
    turns_until,
    wire,
)
from tests.integration.processes import process
from tomada.protocol import HEADER_BYTES, Kind

HASTY = tomada.Deadlines(handshake=0.2, frame=0.2, drain=0.2)


def test_when_the_server_is_killed_every_pending_call_fails_at_once(run: Run) -> None:
    async def main() -> None:
        async with serving() as (other, _), process("serve", HERE) as server:
            client = await tomada.connect(await server.line(), sessions=False)
            calls = [asyncio.create_task(client.ask(Hold("60"))) for _ in range(100)]
            waits = [asyncio.create_task(client.receive()), asyncio.create_task(client.ping())]
            for _ in calls:
                assert await server.line() == "began 60"
            server.signal(signal.SIGKILL)
            outcomes = await asyncio.gather(*calls, *waits[:1], return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} == {tomada.ConnectionLost}
            (reason,) = {str(outcome) for outcome in outcomes}
            assert reason == client.end_reason != ""
            await asyncio.wait(waits)
            waits[1].exception()  # the pong may have come before the kill, or not
            for call in (client.ask(Echo(b"")), client.send(Note("")), client.receive(), client.ping()):
                with pytest.raises(tomada.ConnectionLost):
                    await call
            assert not client.is_open
            assert "closed" in repr(client)
            assert client.peer.port
            await client.close()
            assert other.connections

    run(main())


def test_more_calls_than_the_peer_takes_all_fail_when_it_goes(run: Run) -> None:
    """Also those that still waited for their turn."""

    async def main() -> None:
        stage = Stage()
        server = await tomada.serve(house(stage), HERE, limits=tomada.Limits(requests=2), deadlines=HASTY)
        client = await tomada.connect(server.addresses[0], sessions=False)
        calls = [asyncio.create_task(client.ask(Hold(str(number)))) for number in range(20)]
        await stage.until("began 0", "began 1")
        server.connections[0]._link.cut("the test")
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {tomada.ConnectionLost}
        await stage.until("cancelled 0", "cancelled 1")
        await client.close()
        await server.close()

    run(main())


def test_a_server_that_closes_answers_what_is_under_way_and_refuses_what_is_new(run: Run) -> None:
    async def main() -> None:
        stage = Stage()
        server = await tomada.serve(house(stage), HERE)
        address = server.addresses[0]
        async with tomada.connect(address) as client:
            calls = [asyncio.create_task(client.ask(Hold(name))) for name in "abc"]
            await client.send(Note("hold d"))
            await stage.until("began a", "began b", "began c", "note hold d")
            closing = [asyncio.create_task(server.close()) for _ in range(2)]
            assert [message async for message in client] == [] or client.end_reason
            assert not client.is_open
            assert "going away" in client.end_reason
            with pytest.raises(tomada.ConnectionLost, match="going away"):
                await client.ask(Echo(b"new"))
            with pytest.raises(tomada.ConnectFailed):
                await tomada.connect(address)
            stage.open("a", "b", "c", "hold d")
            assert await asyncio.gather(*calls) == ["a", "b", "c"]
            await asyncio.gather(*closing)
            await server.close()
            assert server.connections == ()
            assert server.addresses == ()
            assert "done hold d" in stage.events

    run(main())


def test_what_does_not_end_within_the_drain_deadline_is_cut(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        stage = Stage()
        server = await tomada.serve(house(stage), HERE, deadlines=HASTY)
        client = await tomada.connect(server.addresses[0], sessions=False)
        call = asyncio.create_task(client.ask(Hold("a")))
        plain = asyncio.create_task(client.ask(Sit("b")))
        await client.send(Note("hold c"))
        await stage.until("began a", "began b", "note hold c")
        await server.close()
        for one in (call, plain):
            with pytest.raises(tomada.ConnectionLost, match="going away"):
                await one
        assert "cancelled a" in stage.events
        assert "not closed within 0.2 s" in caplog.text
        stage.open("b")
        await stage.until("ended b")
        await client.close()

    run(main())


def test_a_close_that_nobody_answers_ends_at_the_drain_deadline(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, stage):
            client = await tomada.connect(server.addresses[0], deadlines=HASTY)
            call = asyncio.create_task(client.ask(Sit("a")))
            await stage.until("began a")
            other = next(c for c in server.connections if c._link._busy)
            other._link.transport.pause_reading()  # type: ignore[union-attr]
            await client.close()
            assert client.end_reason == "not closed within 0.2 s"
            with pytest.raises(tomada.ConnectionLost, match="closed at this end"):
                await call

    run(main())


def test_a_peer_that_does_not_read_cannot_keep_a_connection_that_has_ended(run: Run) -> None:
    async def main() -> None:
        async with serving(deadlines=HASTY) as (server, _), wire(server) as peer:
            await peer.hello()
            peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
            peer.say(peer.ask(Make(16_000_000), 1))
            peer.say(frame(Kind.HELLO))  # what it may not say now
            hostile = next(c for c in server.connections if str(c.peer) == peer.address)
            await hostile._link.ended
            assert len(server.connections) == 1

    run(main())


def test_close_may_be_called_twice_and_at_once(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, stage):
            client = await tomada.connect(server.addresses[0])
            call = asyncio.create_task(client.ask(Hold("a")))
            await stage.until("began a")
            await asyncio.gather(client.close(), client.close())
            await client.close()
            with pytest.raises(tomada.ConnectionLost, match="closed at this end"):
                await call
            await stage.until("cancelled a")

    run(main())


@pytest.mark.parametrize("pause", [True, False])
def test_a_handler_may_close_its_own_connection_and_its_reply_still_comes(run: Run, *, pause: bool) -> None:
    async def main() -> None:
        def app(stage: Stage) -> tomada.App:
            made = house(stage)
            made.handlers.pop(Hold)

            @made.on
            async def hold(_: Hold, peer: tomada.Connection) -> str:
                if pause:
                    await asyncio.sleep(0)
                await peer.close()
                return "bye"

            return made

        async with serving(app) as (server, _), tomada.connect(server.addresses[0]) as client:
            assert await client.ask(Hold("a")) == "bye"
            with pytest.raises(tomada.ConnectionLost):
                await client.ask(Hold("a"))

    run(main())


def test_a_call_cancelled_in_the_moment_the_connection_ends_leaves_no_complaint(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, stage):
            client = await tomada.connect(server.addresses[0])
            calls = [asyncio.create_task(client.ask(Hold(str(number)))) for number in range(3)]
            await stage.until("began 2")
            closing = asyncio.create_task(client.close())
            await asyncio.sleep(0)  # the calls have their error and have not run yet
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
            await closing

    run(main())


def test_a_connect_that_is_cancelled_leaves_nothing(run: Run) -> None:
    async def main() -> None:
        async def deaf(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted.set_result(writer)

        accepted: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()
        server = await asyncio.start_server(deaf, "127.0.0.1", 0)
        address = f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        connecting = asyncio.ensure_future(tomada.connect(address))
        writer = await accepted
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        writer.transport.abort()
        server.close()
        waiting = asyncio.ensure_future(tomada.connect(address, wait=30))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    run(main())


def test_a_body_that_raises_closes_server_and_client(run: Run) -> None:
    async def main() -> None:
        stage = Stage()
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the body is what raises
            async with tomada.serve(house(stage), HERE) as server, tomada.connect(server.addresses[0]) as client:
                call = asyncio.create_task(client.ask(Hold("a")))
                await stage.until("began a")
                raise ZeroDivisionError
        with pytest.raises(tomada.ConnectionLost):
            await call
        assert server.connections == ()

    run(main())


@pytest.mark.parametrize("kept", [1, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + 3])
def test_a_frame_that_stops_half_way_ends_the_connection_at_its_deadline(
    run: Run, caplog: pytest.LogCaptureFixture, kept: int
) -> None:
    async def main() -> None:
        async with serving(deadlines=HASTY) as (server, stage), wire(server) as peer:
            await peer.hello()
            peer.say(peer.ask(Hold("a long name"), 1)[:kept])
            kind, _, _ = await peer.hear()
            assert kind == Kind.GOODBYE
            assert await peer.until_closed() == b""
            assert f"{peer.address}: closed: a frame was begun and not finished within 0.2 s" in caplog.text
            assert stage.count("began") == 0

    run(main())


@pytest.mark.parametrize("kept", [1, HEADER_BYTES, HEADER_BYTES + 3])
def test_a_frame_cut_by_the_end_of_input_ends_the_connection_at_once(
    run: Run, caplog: pytest.LogCaptureFixture, kept: int
) -> None:
    async def main() -> None:
        async with serving() as (server, stage), wire(server) as peer:
            await peer.hello()
            peer.say(peer.ask(Hold("a long name"), 1)[:kept])
            peer.writer.write_eof()
            assert await peer.until_closed() == b""
            assert f"the peer went away in the middle of a frame, after {kept} of" in caplog.text
            assert stage.count("began") == 0

    run(main())


def test_single_bytes_do_not_renew_the_deadline_of_the_handshake(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with serving(deadlines=HASTY) as (server, _), wire(server) as peer:

            async def trickle() -> None:
                for byte in frame(Kind.HELLO, bytes(60_000)):
                    peer.say(bytes([byte]))
                    await asyncio.sleep(0.01)

            trickling = asyncio.create_task(trickle())
            await peer.until_closed()
            trickling.cancel()
            await asyncio.wait([trickling])
            assert f"{peer.address}: refused: no handshake within 0.2 s" in caplog.text

    run(main())


def test_a_client_gives_up_on_a_server_that_does_not_greet(run: Run) -> None:
    async def main() -> None:
        server = await asyncio.start_server(lambda _, writer: writers.append(writer), "127.0.0.1", 0)
        writers: list[asyncio.StreamWriter] = []
        address = f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(tomada.HandshakeFailed, match=r"was reached, but .*: no handshake within 0.2 s"):
            await tomada.connect(address, deadlines=HASTY)
        for writer in writers:
            writer.close()
        server.close()

    run(main())


def test_a_server_that_closes_does_not_wait_for_those_who_never_said_hello(run: Run) -> None:
    async def main() -> None:
        server = await tomada.serve(house(Stage()), HERE, deadlines=tomada.Deadlines(handshake=60, drain=60))
        async with wire(server) as silent, wire(server) as late:
            await turns_until(lambda: len(server.connections) == 2)
            late.say(b"\0")
            await server.close()
            assert await silent.until_closed() == b""

    run(main())


def test_a_connection_that_comes_up_while_the_server_closes_is_told_so(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, _):
            server._endpoint.is_closing = True  # it was accepted in the moment before the listener closed
            with pytest.raises(tomada.ConnectFailed, match=r"was reached, but .*going away.*the server stops"):
                await tomada.connect(server.addresses[0])
            assert len(server.connections) == 1

    run(main())


def test_a_handler_that_finds_its_peer_gone_is_no_fault(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        app = tomada.App()
        stage = Stage()

        @app.on
        async def note(_: Note, peer: tomada.Connection) -> None:
            stage.mark("note")
            try:
                await peer.ask(Back(1))
            finally:
                stage.mark("gone")

        async with tomada.serve(app, HERE) as server, wire(server) as peer:
            await peer.hello()
            peer.say(peer.send(Note("a")))
            await stage.until("note")
            peer.writer.transport.abort()
            await stage.until("gone")
        assert [record for record in caplog.records if record.exc_info] == []

    run(main())


@pytest.mark.parametrize("program_ends", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_calls_under_way_end(run: Run, program_ends: signal.Signals) -> None:
    async def main() -> None:
        async with process("serve", HERE) as server:
            async with tomada.connect(await server.line()) as client:
                call = asyncio.create_task(client.ask(Hold("0.3")))
                plain = asyncio.create_task(client.ask(Sit("0.2")))
                assert {await server.line(), await server.line()} == {"began 0.3", "began 0.2"}
                server.signal(program_ends)
                assert await call == "0.3"
                assert await plain == "0.2"
            code, said = await server.end()
            assert (code, said.split()) == (0, ["gone", "stopped", "left"])

    run(main())
