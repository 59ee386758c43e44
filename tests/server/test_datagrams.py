"""Handlers of datagrams."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

import tomada
from tests.datagrams.ends import HERE, SOON, received, until
from tests.integration.conftest import Run

mood: ContextVar[str] = ContextVar("mood", default="none")


class Hello(tomada.Request[str]):
    """Answered."""


class Ledger:
    """What an application has."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []


def only(server: tomada.Server) -> tomada.DatagramStatistics:
    (statistics,) = server.datagram_statistics.values()
    return statistics


def test_echo_in_the_loop_and_in_a_thread(run: Run) -> None:
    app = tomada.App()

    @app.datagram(HERE)
    async def echo(datagram: bytes, peer: tomada.DatagramPeer) -> None:
        peer.reply(datagram)

    @app.datagram(HERE)
    def shout(peer: tomada.DatagramPeer, datagram: bytes) -> None:
        peer.reply(bytearray(datagram.upper()))

    async def main() -> None:
        async with tomada.serve(app) as server, tomada.bind(HERE) as one:
            for address, answer in zip(server.addresses, [b"hello", b"HELLO"], strict=True):
                await one.send(b"hello", address)
                assert await one.receive(timeout=SOON) == tomada.Datagram(answer, address)

    run(main())


def test_they_are_given_what_on_start_returned(run: Run) -> None:
    app = tomada.App()
    stopped: list[str] = []

    @app.on_start
    async def start() -> Ledger:
        return Ledger()

    @app.on_stop
    async def stop(ledger: Ledger) -> None:
        stopped.append(f"{ledger.seen}")

    @app.datagram(HERE)
    async def note(ledger: Ledger, datagram: bytes, peer: tomada.DatagramPeer) -> None:
        ledger.seen.append(datagram)
        peer.reply(str(peer.address.port).encode())
        assert repr(peer) == f"<DatagramPeer {peer.address}>"

    @app.datagram(HERE)
    async def bare(datagram: bytes) -> None:
        assert datagram

    async def main() -> None:
        async with tomada.serve(app) as server, tomada.bind(HERE) as one:
            await one.send(b"padded", server.addresses[0])
            assert await received(one, 1) == [str(one.address.port).encode()]
            await one.send(b"x", server.addresses[1])
            await until(lambda: sum(each.received for each in server.datagram_statistics.values()) == 2)

    run(main())
    assert stopped == ["[b'padded']"]


def test_messages_and_datagrams_of_one_application(run: Run) -> None:
    app = tomada.App()

    @app.on
    async def hello(_: Hello) -> str:
        return "hello"

    @app.datagram(HERE)
    async def echo(datagram: bytes, peer: tomada.DatagramPeer) -> None:
        peer.reply(datagram)

    async def main() -> None:
        async with tomada.serve(app, "tcp://127.0.0.1:0", HERE) as server:
            tcp, messages, datagrams = server.addresses
            async with tomada.connect(tcp) as over_tcp, tomada.connect_datagram(messages) as over_udp:
                assert await over_tcp.ask(Hello()) == await over_udp.ask(Hello()) == "hello"
            async with tomada.bind(HERE, peer=datagrams) as one:
                await one.send(b"x")
                assert await received(one, 1) == [b"x"]

    run(main())


def test_one_that_raises_is_named_in_the_log_and_the_next_is_handled(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    app = tomada.App()

    @app.datagram(HERE)
    async def choosy(datagram: bytes, peer: tomada.DatagramPeer) -> None:
        if datagram == b"late":
            await asyncio.sleep(0)
        if datagram != b"good":
            raise ZeroDivisionError(datagram)
        peer.reply(datagram)

    async def main() -> None:
        async with tomada.serve(app) as server, tomada.bind(HERE, peer=server.addresses[0]) as one:
            for datagram in (b"bad!", b"late", b"good"):
                await one.send(datagram)
            assert await received(one, 1) == [b"good"]
            await until(lambda: only(server).failed == 2)

    run(main())
    texts = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(texts) == 2
    assert all("choosy() (" in text and text.endswith("raised") for text in texts)


def test_handlers_that_do_not_wait_cost_no_task_and_those_that_do_overlap(run: Run) -> None:
    app = tomada.App()
    tasks: set[asyncio.Task[object] | None] = set()
    gate: list[asyncio.Event] = []

    @app.datagram(HERE)
    async def handle(datagram: bytes, peer: tomada.DatagramPeer) -> None:
        tasks.add(asyncio.current_task())
        if datagram == b"wait":
            await gate[0].wait()
        elif datagram == b"open":
            gate[0].set()
        peer.reply(datagram)

    async def main() -> None:
        gate.append(asyncio.Event())
        async with tomada.serve(app) as server, tomada.bind(HERE, peer=server.addresses[0]) as one:
            for _ in range(50):
                one.send_nowait(b"quick")
            assert await received(one, 50) == [b"quick"] * 50
            assert len(tasks) == 1
            for datagram in (b"wait", b"wait", b"fast", b"open"):
                one.send_nowait(datagram)
            assert sorted(await received(one, 4)) == [b"fast", b"open", b"wait", b"wait"]
            assert len(tasks) == 3

    run(main())


def test_no_handler_finds_what_another_has_left(run: Run) -> None:
    app = tomada.App()
    moods: list[str] = []

    @app.datagram(HERE)
    async def handle(datagram: bytes, peer: tomada.DatagramPeer) -> None:
        moods.append(mood.get())
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()
        if datagram == b"moody":
            mood.set("grim")
        elif datagram == b"leave":
            task.cancel()
        elif datagram == b"raise":
            raise asyncio.CancelledError
        peer.reply(datagram)

    async def main() -> None:
        async with tomada.serve(app) as server, tomada.bind(HERE, peer=server.addresses[0]) as one:
            for datagram in (b"moody", b"after", b"leave", b"later", b"raise", b"still"):
                one.send_nowait(datagram)
            assert await received(one, 5) == [b"moody", b"after", b"leave", b"later", b"still"]
            assert only(server).failed == 1

    run(main())
    assert moods == ["none"] * 6


def test_too_many_at_once_are_dropped_and_counted(run: Run) -> None:
    app = tomada.App()
    gate: list[asyncio.Event] = []

    @app.datagram(HERE)
    async def slow(datagram: bytes, peer: tomada.DatagramPeer) -> None:
        await gate[0].wait()
        peer.reply(datagram)

    async def main() -> None:
        gate.append(asyncio.Event())
        limits = tomada.Limits(handlers=3)
        async with tomada.serve(app, limits=limits) as server, tomada.bind(HERE, peer=server.addresses[0]) as one:
            for number in range(10):
                one.send_nowait(b"%d" % number)
            await until(lambda: only(server).dropped == 7)
            gate[0].set()
            assert sorted(await received(one, 3)) == [b"0", b"1", b"2"]
            one.send_nowait(b"again")
            assert await received(one, 1) == [b"again"]

    run(main())


def test_an_answer_is_at_most_three_times_what_came(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    app = tomada.App()
    refused: list[str] = []

    @app.datagram(HERE)
    async def careful(datagram: bytes, peer: tomada.DatagramPeer) -> None:
        try:
            peer.reply(b"x" * int(datagram))
        except tomada.UnverifiedPeer as error:
            refused.append(str(error))
            peer.reply(b"no")

    @app.datagram(HERE, trusted=True)
    async def open_handed(datagram: bytes, peer: tomada.DatagramPeer) -> None:
        peer.reply(b"x" * int(datagram))

    async def main() -> None:
        async with tomada.serve(app) as server, tomada.bind(HERE) as one, tomada.bind(HERE) as other:
            address, trusting = server.addresses
            await one.send(b"009", address)
            assert len((await received(one, 1))[0]) == 9
            await one.send(b"010", address)
            assert await received(one, 1) == [b"no"]
            await one.send(b"016", address)  # 7 are left of the last, and 9 more
            assert len((await received(one, 1))[0]) == 16
            await other.send(b"016", address)  # who has sent little is not owed what another is
            assert await received(other, 1) == [b"no"]
            await other.send(b"60000", trusting)
            assert len((await received(other, 1))[0]) == 60_000
            assert server.datagram_statistics[address].withheld == 2

    run(main())
    assert len(refused) == 2
    assert "may still be sent 9: at most 3 times what a peer has sent" in refused[0]
    assert caplog.records == [] or all(record.levelno < logging.ERROR for record in caplog.records)


def test_through_a_socket_file_every_sender_is_known(run: Run, folder: Path) -> None:
    app = tomada.App()

    @app.datagram(f"unixgram://{folder}/house")
    async def long(datagram: bytes, peer: tomada.DatagramPeer) -> None:
        try:
            peer.reply(datagram * 1_000)
        except tomada.DatagramError as error:
            nameless.append(str(error))

    nameless: list[str] = []

    async def main() -> None:
        async with tomada.serve(app) as server, tomada.bind(f"unixgram://{folder}/one") as one:
            await one.send(b"x", server.addresses[0])
            assert await received(one, 1) == [b"x" * 1_000]
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"x", f"{folder}/house")
            await until(lambda: bool(nameless))

    run(main())
    assert nameless == ["cannot send to a peer without a name: it must bind a path to be answered"]


def test_answers_that_cannot_be_sent(run: Run) -> None:
    app = tomada.App()
    errors: list[Exception] = []
    peers: list[tomada.DatagramPeer] = []

    @app.datagram(HERE, trusted=True)
    def handle(datagram: bytes, peer: tomada.DatagramPeer) -> None:
        peers.append(peer)
        try:
            peer.reply(b"x" * int(datagram))
        except tomada.TomadaError as error:
            errors.append(error)
            peer.reply(b"no")

    async def main() -> None:
        limits = tomada.Limits(buffer_bytes=1_024)
        async with tomada.serve(app, limits=limits) as server, tomada.bind(HERE, peer=server.addresses[0]) as one:
            await one.send(b"70000")
            assert await received(one, 1) == [b"no"]
            assert type(errors[0]) is tomada.DatagramTooLong
            for size in (900, 901):
                peers[0].reply(b"x" * size)
            with pytest.raises(tomada.BufferFull, match="bytes wait to be sent"):
                peers[0].reply(b"z")
        with pytest.raises(tomada.TransportError, match="has been closed"):
            peers[0].reply(b"x")

    run(main())


def test_closing_lets_handlers_answer(run: Run) -> None:
    app = tomada.App()
    began: list[asyncio.Event] = []

    @app.datagram(HERE)
    async def slow(datagram: bytes, peer: tomada.DatagramPeer) -> None:
        began[0].set()
        await asyncio.sleep(0.05)
        peer.reply(datagram)

    async def main() -> None:
        began.append(asyncio.Event())
        server = await tomada.serve(app)
        async with tomada.bind(HERE, peer=server.addresses[0]) as one:
            await one.send(b"work")
            await began[0].wait()
            closing = asyncio.create_task(server.close())
            await asyncio.sleep(0)
            await one.send(b"too late")
            assert await received(one, 1) == [b"work"]
            await closing
            assert only(server).received == 1

    run(main())


def test_what_does_not_end_is_cut(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    app = tomada.App()
    began: list[asyncio.Event] = []

    @app.datagram(HERE)
    async def endless(datagram: bytes) -> None:
        assert datagram
        began[0].set()
        await asyncio.Event().wait()

    async def main() -> None:
        began.append(asyncio.Event())
        deadlines = tomada.Deadlines(drain=0.01)
        async with tomada.serve(app, deadlines=deadlines) as server, tomada.bind(HERE) as one:
            await one.send(b"work", server.addresses[0])
            await began[0].wait()

    run(main())
    assert "endless() (" in caplog.text
    assert "was cancelled" in caplog.text


def test_an_address_in_use_closes_the_others(run: Run) -> None:
    app = tomada.App()

    async def main() -> None:
        async with tomada.bind(HERE) as busy:
            for address in (HERE, busy.address):

                @app.datagram(address)
                async def handle(datagram: bytes) -> None:
                    assert datagram

            with pytest.raises(tomada.AddressInUse):
                await tomada.serve(app)

    run(main())


def test_what_is_written_wrongly() -> None:
    app = tomada.App()

    async def nothing() -> None: ...

    async def text(datagram: str) -> None: ...

    async def twice(one: bytes, other: bytes) -> None: ...

    async def bare(datagram) -> None: ...  # type: ignore[no-untyped-def] # noqa: ANN001 - which is the case

    async def fine(datagram: bytes) -> None: ...

    async def connected(datagram: bytes, connection: tomada.Connection) -> None: ...

    async def stateful(datagram: bytes, ledger: Ledger) -> None: ...

    for wrong_one in (nothing, text, twice):
        with pytest.raises(tomada.DeclarationError, match=r"must take one datagram.*write `async def handler"):
            app.datagram(HERE)(wrong_one)
    with pytest.raises(tomada.DeclarationError, match="nobody knows what to give its parameter datagram"):
        app.datagram(HERE)(bare)
    with pytest.raises(tomada.DeclarationError, match="tcp://:1 carries no datagrams: write a udp or unixgram address"):
        app.datagram("tcp://:1")(fine)
    with pytest.raises(tomada.AddressError):
        app.datagram("nonsense")
    with pytest.raises(ValueError, match="needs an address"):
        tomada.serve(tomada.App())
    wrongs: list[tuple[Callable[..., Any], str]] = [
        (connected, "datagrams come over none"),
        (stateful, "which no @app.on_start function"),
    ]
    for function, text_ in wrongs:
        wrong = tomada.App()
        wrong.datagram(HERE)(function)
        with pytest.raises(tomada.DeclarationError, match=text_):
            wrong.check(tomada.Connection)


def test_more_senders_than_are_remembered(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tomada.server.datagrams.KEPT", 2)
    monkeypatch.setattr("tomada.datagrams.directory.KEPT", 2)
    app = tomada.App()

    @app.datagram(HERE)
    async def echo(datagram: bytes, peer: tomada.DatagramPeer) -> None:
        peer.reply(datagram + bytes([peer.address.port is not None]))

    async def main() -> None:
        async with tomada.serve(app) as server:
            for _ in range(2):
                for _ in range(5):
                    async with tomada.bind(HERE) as one:
                        await one.send(b"x", server.addresses[0])
                        assert await received(one, 1) == [b"x\1"]
            (service,) = server._datagrams._services
            assert len(service._peers) <= 2  # type: ignore[union-attr] # it is the handlers'
            assert len(service._directory) <= 2  # type: ignore[union-attr] # it is the handlers'

    run(main())
