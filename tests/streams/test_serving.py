from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import tomada
import tomada.sync
from tests.integration.conftest import Run
from tests.streams.pairs import HERE, echoing, paired
from tomada import App, ConnectionLost, Deadlines, DeclarationError, Stream


class Ledger:
    lines = 0


class Ask(tomada.Request[str]):
    name: str


def test_a_handler_is_given_what_the_application_made(run: Run) -> None:
    async def main() -> None:
        app = App()

        @app.on_start
        async def start() -> Ledger:
            return Ledger()

        @app.stream(HERE)
        async def count(stream: Stream, ledger: Ledger) -> None:
            async for _ in stream.lines():
                ledger.lines += 1
            await stream.send(b"%d" % ledger.lines)

        async with tomada.serve(app) as server:
            for total in (b"2", b"4"):
                async with tomada.connect_stream(server.addresses[0]) as stream:
                    await stream.send(b"one\ntwo\n")
                    await stream.shutdown()
                    assert await stream.receive() == total

    run(main())


def test_streams_and_messages_in_one_server(run: Run, folder: Path) -> None:
    async def main() -> None:
        app = App()

        @app.on
        async def answer(ask: Ask) -> str:
            return ask.name

        @app.stream(f"unix://{folder}/raw.sock")
        async def raw(stream: Stream) -> None:
            await stream.send(b"raw")

        async with tomada.serve(app, HERE) as server:
            messages, bytes_ = server.addresses
            async with tomada.connect(messages) as connection:
                assert await connection.ask(Ask("x")) == "x"
            async with tomada.connect_stream(bytes_) as stream:
                assert await stream.receive() == b"raw"
                assert await stream.receive() == b""

    run(main())


def test_a_plain_function_has_a_stream_whose_calls_block(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"from a file")

    async def main() -> None:
        app = App()

        @app.stream(HERE)
        def talk(stream: tomada.sync.Stream) -> None:
            for line in stream.lines():
                stream.send(line.upper())
            stream.send_file(tmp_path / "file")

        async with tomada.serve(app) as server, tomada.connect_stream(server.addresses[0]) as stream:
            await stream.send(b"one\n")
            assert await stream.receive_exactly(3) == b"ONE"
            await stream.shutdown()
            assert await stream.receive_exactly(11) == b"from a file"
            assert await stream.receive() == b""

    run(main())


def test_a_handler_that_raises_is_told_to_the_log_and_its_peer_finds_no_end(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        app = App()

        @app.stream(HERE)
        async def fail(stream: Stream) -> None:
            await stream.send(b"half of ")
            if await stream.receive() == b"bad":
                raise ZeroDivisionError("it was me")
            await stream.receive_exactly(10)

        async with tomada.serve(app) as server:
            async with tomada.connect_stream(server.addresses[0]) as stream:
                await stream.send(b"bad")
                with pytest.raises(ConnectionLost, match="reset"):
                    await stream.receive_exactly(1_000)
            async with tomada.connect_stream(server.addresses[0]) as stream:
                await stream.send(b"x")
                await stream.shutdown()
                assert await stream.receive() == b"half of "
                assert await stream.receive() == b""

    caplog.set_level(logging.DEBUG, "tomada")
    run(main())
    assert "it was me" in caplog.text
    assert " ended: tcp://127.0.0.1:" in caplog.text
    assert "0 of 10 bytes came" in caplog.text


def test_one_that_hangs_does_not_keep_the_others(run: Run) -> None:
    async def main() -> None:
        async with echoing() as address:
            quiet = [await tomada.connect_stream(address) for _ in range(50)]
            async with tomada.connect_stream(address) as stream:
                await stream.send(b"x")
                assert await stream.receive() == b"x"
            for one in quiet:
                await one.close()

    run(main())


def test_a_server_that_stops_lets_what_moves_end_and_cuts_the_rest(run: Run) -> None:
    async def main() -> None:
        app = App()
        begun = asyncio.Event()

        @app.stream(HERE)
        async def busy(stream: Stream) -> None:
            begun.set()
            total = 0
            async for chunk in stream:
                total += len(chunk)
            await stream.send(b"%d" % total)

        @app.stream(HERE)
        async def stuck(_: Stream) -> None:
            await asyncio.Event().wait()

        server = await tomada.serve(app, deadlines=Deadlines(drain=0.3))
        address, other = server.addresses
        stream = await tomada.connect_stream(address)
        held = await tomada.connect_stream(other)
        await begun.wait()
        closing = asyncio.create_task(server.close())
        await asyncio.sleep(0)
        await stream.send(b"last")
        await stream.shutdown()
        assert await stream.receive() == b"4"
        with pytest.raises(ConnectionLost):
            await held.receive()
        await closing
        await stream.close()
        await held.close()
        with pytest.raises(tomada.ConnectFailed):
            await tomada.connect_stream(address)

    run(main())


def test_a_server_that_stops_does_not_wait_for_the_silent(run: Run) -> None:
    async def main() -> None:
        async with echoing() as address:
            first = await tomada.connect_stream(address)
            await first.send(b"x")
            await first.receive()
        assert await first.receive() == b""
        await first.close()

    run(main())


def test_closing_hears_the_peer_out(run: Run) -> None:
    """A reset would destroy the last words, which the peer has not read."""

    async def main() -> None:
        app = App()

        @app.stream(HERE)
        async def refuse(stream: Stream) -> None:
            await stream.receive(1)
            await stream.send(b"221 no")

        async with tomada.serve(app) as server:
            stream = await tomada.connect_stream(server.addresses[0])
            for _ in range(20):
                await stream.send(bytes(50_000))
                await asyncio.sleep(0.001)
            assert await stream.receive() == b"221 no"
            await stream.close()
            await stream.close()
            with pytest.raises(ConnectionLost, match="closed at this end"):
                await stream.receive()

    run(main())


def test_closing_gives_up_on_a_peer_that_does_not_take_the_rest(run: Run) -> None:
    async def main() -> None:
        async with paired(deadlines=Deadlines(drain=0.05)) as (near, far):
            while not far.flow.is_full:
                far.send_nowait(bytes(1_000_000))
            await far.close()
            assert not far.is_open
            assert near.is_open

    run(main())


def test_closing_can_be_cancelled_and_then_it_is_at_once(run: Run) -> None:
    async def main() -> None:
        async with paired() as (_, far):
            closing = asyncio.create_task(far.close())
            await asyncio.sleep(0)
            closing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await closing
            await far.close()

    run(main())


def test_leaving_the_block_with_an_error_aborts(run: Run) -> None:
    async def main() -> None:
        async with echoing() as address:
            stream = await tomada.connect_stream(address)
            with pytest.raises(KeyError):
                async with stream:
                    raise KeyError
            assert not stream.is_open

    run(main())


def test_connecting_says_why_it_failed_and_may_wait(run: Run) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        with pytest.raises(tomada.ConnectFailed, match="nothing listens there"):
            await tomada.connect_stream(f":{port}")
        with pytest.raises(tomada.AddressError):
            tomada.connect_stream("nowhere")
        with pytest.raises(tomada.ConnectFailed, match="carries no streams"):
            await tomada.connect_stream("udp://:1")
        waiting = asyncio.create_task(_connected(f":{port}"))
        await asyncio.sleep(0.03)
        app = App()

        @app.stream(f"tcp://127.0.0.1:{port}")
        async def greet(stream: Stream) -> None:
            await stream.send(b"hi")

        async with tomada.serve(app):
            assert await waiting == b"hi"

    run(main())


async def _connected(address: str) -> bytes:
    async with tomada.connect_stream(address, wait=10) as stream:
        return await stream.receive()


def declared(function: Callable[..., Any], address: str = HERE) -> None:
    App().stream(address)(function)


def test_what_is_no_handler_is_refused_at_once() -> None:
    async def nothing() -> None: ...
    async def bare(stream) -> None: ...  # type: ignore[no-untyped-def] # noqa: ANN001
    async def blocking(stream: tomada.sync.Stream) -> None: ...
    def asynchronous(stream: Stream) -> None: ...
    async def fine(stream: Stream) -> None: ...

    with pytest.raises(DeclarationError, match="annotate it"):
        declared(bare)
    for function in (nothing, blocking):
        with pytest.raises(DeclarationError, match=r"write `async def handler\(stream: tomada.Stream\)`"):
            declared(function)
    with pytest.raises(DeclarationError, match=r"write `def handler\(stream: tomada.sync.Stream\)`"):
        declared(asynchronous)
    with pytest.raises(DeclarationError, match="udp://:7000 carries datagrams, no streams"):
        declared(fine, "udp://:7000")
    with pytest.raises(tomada.AddressError):
        declared(fine, "7000")


def test_a_handler_that_asks_for_what_nobody_made_is_refused(run: Run) -> None:
    app = App()

    @app.stream(HERE)
    async def count(stream: Stream, ledger: Ledger) -> None: ...

    async def main() -> None:
        with pytest.raises(DeclarationError, match=r"asks for ledger: Ledger, which no @app.on_start function returns"):
            await tomada.serve(app)

    run(main())


def test_a_server_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="needs an address"):
        tomada.serve(App())


def test_the_blocking_face(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"from a file")

    def client(address: tomada.Address) -> None:
        with tomada.sync.connect_stream(address) as stream:
            assert stream.peer == address
            stream.send(b"hello")
            assert stream.receive() == b"hello"
            stream.send(b"a\r\nb\nexact")
            assert stream.receive_until(b"\r\n") == b"a"
            assert next(stream.lines()) == b"b"
            assert stream.receive_exactly(5) == b"exact"
            frames = stream.frames(tomada.u16)
            frames.send(b"one")
            assert frames.receive() == b"one"
            frames.send(b"two")
            assert next(iter(frames)) == b"two"
            assert stream.send_file(tmp_path / "file") == 11
            assert stream.receive_exactly(11) == b"from a file"
            with pytest.raises(tomada.TimedOut):
                stream.receive(timeout=0.01)
            with pytest.raises(tomada.TimedOut):
                stream.receive_out_of_band(timeout=0.01)
            stream.send_out_of_band(b"!")
            assert "open" in repr(stream)
            stream.shutdown()
            assert list(stream) == []
            assert list(stream.frames()) == []
        assert not stream.is_open
        with pytest.raises(KeyError), tomada.sync.connect_stream(address):
            raise KeyError
        with tomada.sync.connect_stream(address) as stream:
            stream.send(b"\x00\x00\x00\x05cut")
            stream.shutdown()
            with pytest.raises(tomada.StreamEnded):
                list(stream.frames())
        with pytest.raises(tomada.ConnectFailed):
            tomada.sync.connect_stream("tcp://127.0.0.1:1")

    async def main() -> None:
        async with echoing() as address:
            with ThreadPoolExecutor() as threads:
                await asyncio.get_running_loop().run_in_executor(threads, client, address)

    run(main())


def test_both_faces_have_the_same_calls() -> None:
    def names(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    assert names(Stream) - names(tomada.sync.Stream) == {"flow", "flush", "send_nowait"}
    assert names(tomada.sync.Stream) - names(Stream) == set()
    assert names(tomada.Frames) == names(tomada.sync.Frames)


def test_a_handler_that_is_cancelled_is_told_to_the_log(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    app = tomada.App()

    @app.stream(HERE)
    async def wait_for_what_is_cancelled(_: Stream) -> None:
        never = asyncio.get_running_loop().create_future()
        never.cancel()
        await never

    async def main() -> None:
        async with tomada.serve(app) as server, tomada.connect_stream(server.addresses[0]) as near:
            with pytest.raises(ConnectionLost):
                await near.receive()

    run(main())
    assert "wait_for_what_is_cancelled() " in caplog.text
    assert "was cancelled" in caplog.text
