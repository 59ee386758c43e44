from __future__ import annotations

import asyncio

import pytest

import tomada
from tests.integration.conftest import Run
from tests.integration.house import (
    HERE,
    Back,
    Echo,
    Hold,
    Note,
    Stage,
    house,
    serving,
    wire,
)
from tomada.protocol import Kind


def test_on_connect_comes_first_and_on_disconnect_last(run: Run) -> None:
    async def main() -> None:
        def app(stage: Stage) -> tomada.App:
            made = house(stage)

            @made.on_start
            async def start() -> Ledger:
                stage.mark("start")
                return Ledger()

            @made.on_connect
            async def connected(ledger: Ledger, peer: tomada.Connection) -> None:
                stage.mark(f"connect {ledger.number} {peer.is_open}")
                await stage.gate("connected").wait()
                stage.mark("connected")

            @made.on_disconnect
            def disconnected(ledger: Ledger, peer: tomada.Connection) -> None:
                stage.mark_from_thread(f"disconnect {ledger.number} {peer.is_open} {peer.end_reason}")

            @made.on_stop
            async def stop(ledger: Ledger) -> None:
                stage.mark(f"stop {ledger.number}")

            return made

        stage = Stage()
        address = "tcp://127.0.0.1:0"
        async with tomada.serve(app(stage), address) as server, tomada.connect(server.addresses[0]) as client:
            await client.send(Note("one"))
            call = asyncio.create_task(client.ask(Echo(b"two")))
            await client.ping()
            assert not call.done()
            stage.open("connected")
            await call
        assert stage.events == [
            "start",
            "connect 7 True",
            "connected",
            "note one",
            "disconnect 7 False the peer said goodbye (closed)",
            "stop 7",
        ]

    run(main())


class Ledger:
    number = 7


def test_a_connection_that_ends_during_on_connect_is_told_of_its_end_afterwards(run: Run) -> None:
    async def main() -> None:
        def app(stage: Stage) -> tomada.App:
            made = house(stage)

            @made.on_connect
            async def connected() -> None:
                if stage.events:
                    stage.mark("bystander")
                    return
                stage.mark("connect")
                await stage.gate("connected").wait()
                stage.mark("connected")

            @made.on_disconnect
            async def disconnected() -> None:
                stage.mark("disconnect")

            return made

        stage = Stage()
        async with tomada.serve(app(stage), "tcp://127.0.0.1:0") as server:
            async with wire(server) as peer:
                await peer.hello()
                peer.say(peer.send(Note("left")))
                await stage.until("connect")
                (connection,) = server.connections
            async with tomada.connect(server.addresses[0]) as client:
                while connection.is_open:
                    await client.ping()
                stage.open("connected")
                await stage.until("disconnect")
        assert [event for event in stage.events if event != "bystander"][:2] == ["connect", "connected"]
        assert "note left" in stage.events

    run(main())


def test_a_connection_that_on_connect_refuses_gets_nothing_handled(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        def app(stage: Stage) -> tomada.App:
            made = house(stage)

            @made.on_connect
            async def connected() -> None:
                stage.mark("connect")
                if stage.count("connect") == 2:
                    await stage.gate("refuse").wait()
                    raise PermissionError("not you")

            return made

        async with serving(app) as (server, stage), tomada.connect(server.addresses[0]) as client:
            await stage.until_true(lambda: stage.count("connect") == 2)
            call = asyncio.create_task(client.ask(Hold("a")))
            await client.send(Note("no"))
            await client.ping()
            stage.open("refuse")
            with pytest.raises(tomada.RemoteError, match="the application refused the connection"):
                await call
            with pytest.raises(tomada.ConnectionLost, match="refused"):
                await client.ask(Echo(b""))
            await client.close()
            assert stage.count("note") == stage.count("began") == 0
            assert "not you" in caplog.text

    run(main())


def test_what_comes_after_a_refusal_is_refused_too(run: Run) -> None:
    async def main() -> None:
        def app(stage: Stage) -> tomada.App:
            made = house(stage)

            @made.on_connect
            async def connected() -> None:
                stage.mark("connect")
                if stage.count("connect") == 2:
                    raise PermissionError("not you")

            return made

        async with serving(app) as (server, stage), wire(server) as peer:
            await peer.hello()
            assert (await peer.hear())[0] == Kind.GOODBYE
            peer.say(peer.ask(Hold("a"), 1), peer.send(Note("no")))
            assert (await peer.hear())[:2] == (Kind.ERROR, 1)
            assert (await peer.hear())[:2] == (Kind.ERROR, 0)
            assert stage.count("note") == stage.count("began") == 0

    run(main())


def test_an_on_connect_of_the_client_that_raises_fails_the_connect(run: Run) -> None:
    async def main() -> None:
        app = tomada.App()
        ended = []

        @app.on_connect
        async def connected() -> None:
            raise PermissionError("not this server")

        @app.on_disconnect
        def disconnected() -> None:
            ended.append("disconnect")

        @app.on_stop
        def stop() -> None:
            ended.append("stop")

        async with serving() as (server, _):
            with pytest.raises(tomada.HandshakeFailed, match="the application refused the connection"):
                await tomada.connect(server.addresses[0], app=app)
            assert ended == ["disconnect", "stop"]

    run(main())


def test_the_hooks_of_a_client_have_run_when_it_has_closed(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, stage):
            app = house(stage)

            @app.on_disconnect
            async def disconnected() -> None:
                await asyncio.sleep(0)
                stage.mark("disconnect")

            @app.on_stop
            def stop() -> None:
                stage.mark_from_thread("stop")

            async with tomada.connect(server.addresses[0], app=app) as client:
                assert await client.ask(Back(1)) == 1
            assert stage.events == ["disconnect", "stop"]

    run(main())


def test_hooks_that_raise_are_told_and_keep_nobody_from_ending(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        app = tomada.App()
        stage = Stage()

        @app.on_disconnect
        def first() -> None:
            raise KeyError("first")

        @app.on_disconnect
        def second() -> None:
            stage.mark_from_thread("second")

        @app.on_stop
        def third() -> None:
            raise KeyError("third")

        @app.on_stop
        def fourth() -> None:
            raise KeyError("fourth")

        @app.on_stop
        def fifth() -> None:
            stage.mark_from_thread("fifth")

        server = await tomada.serve(app, HERE)
        async with tomada.connect(server.addresses[0]):
            pass
        with pytest.raises(KeyError, match="third"):
            await server.close()
        await stage.until("second", "fifth")
        assert "first" in caplog.text
        assert "fourth" in caplog.text

    run(main())


def test_an_on_start_that_raises_keeps_the_server_from_starting(run: Run) -> None:
    async def main() -> None:
        app = tomada.App()

        @app.on_start
        def start() -> None:
            raise KeyError("no ledger")

        with pytest.raises(KeyError, match="no ledger"):
            await tomada.serve(app, HERE)
        async with serving() as (server, _):
            with pytest.raises(KeyError, match="no ledger"):
                await tomada.connect(server.addresses[0], app=app)

    run(main())
