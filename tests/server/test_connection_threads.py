from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

import tomada
import tomada.sync
from tests.authority import Authority
from tests.integration.conftest import Run
from tests.integration.house import HERE
from tomada.server.server import Server
from tomada.telemetry import LimitStruck, Outcome

LONGEST = 30


class Where(tomada.Request[int]):
    """The number of the thread that answers."""


class WhereAwait(tomada.Request[int]):
    """The same, in an ``async def`` handler."""


class Block(tomada.Request[str]):
    """Blocks its thread, not by ``await``, until it is let go."""


class Leave(tomada.Request[str]):
    """Waits, by ``await``, until the connection ends."""


class Shared:
    def __init__(self) -> None:
        self.blocked = threading.Event()
        self.go_on = threading.Event()
        self.connected: list[int] = []
        self.left: list[int] = []


def application(shared: Shared) -> tomada.App:
    app = tomada.App("threads")

    @app.on_start
    def start() -> Shared:
        return shared

    @app.on_connect
    async def connected(peer: tomada.Connection, shared: Shared) -> None:
        assert peer.is_open
        shared.connected.append(threading.get_ident())

    @app.on_disconnect
    async def left(_: tomada.Connection, shared: Shared) -> None:
        shared.left.append(threading.get_ident())

    @app.on
    def where(_: Where) -> int:
        return threading.get_ident()

    @app.on
    async def where_await(_: WhereAwait) -> int:
        return threading.get_ident()

    @app.on
    async def block(_: Block, shared: Shared) -> str:
        shared.blocked.set()
        assert shared.go_on.wait(LONGEST)
        return "free"

    @app.on
    async def leave(_: Leave) -> str:
        await asyncio.sleep(LONGEST)
        return "too late"

    @app.stream("tcp://127.0.0.1:0")
    def shout(stream: tomada.sync.Stream) -> None:
        for line in stream.lines():
            stream.send(line.upper() + b"\n")

    return app


def threaded(shared: Shared, *addresses: str, **settings: Any) -> Any:
    return tomada.serve(application(shared), *(addresses or (HERE,)), isolation="thread", **settings)


def busy(server: Server) -> int:
    assert server._threads is not None
    return len(server._threads._threads)


async def until(condition: Any) -> None:
    async with asyncio.timeout(LONGEST):
        while not condition():  # noqa: ASYNC110 - what other threads do is looked at from here
            await asyncio.sleep(0.005)


def test_each_connection_has_a_thread_and_another_for_its_plain_handlers(run: Run) -> None:
    async def main() -> None:
        shared = Shared()
        async with threaded(shared) as server:
            here = server.addresses[0]
            async with tomada.connect(here) as one, tomada.connect(here) as other:
                plain = [await one.ask(Where()), await one.ask(Where()), await other.ask(Where())]
                awaiting = [await one.ask(WhereAwait()), await one.ask(WhereAwait()), await other.ask(WhereAwait())]
            assert plain[0] == plain[1] != plain[2]
            assert awaiting[0] == awaiting[1] != awaiting[2]
            assert len({*plain, *awaiting, threading.get_ident()}) == 5
            assert set(shared.connected) == set(awaiting)
            await until(lambda: len(shared.left) == 2)
            assert set(shared.left) == set(awaiting)

    run(main())


def test_a_handler_that_blocks_keeps_nobody_else_waiting(run: Run) -> None:
    async def main() -> None:
        shared = Shared()
        async with (
            threaded(shared) as server,
            tomada.connect(server.addresses[0]) as one,
            tomada.connect(server.addresses[0]) as bystander,
        ):
            blocked = asyncio.ensure_future(one.ask(Block()))
            await until(shared.blocked.is_set)
            assert await bystander.ask(WhereAwait(), timeout=LONGEST)
            assert not blocked.done()
            shared.go_on.set()
            assert await blocked == "free"

    run(main())


def test_streams_have_threads_too(run: Run) -> None:
    async def main() -> None:
        async with (
            threaded(Shared()) as server,
            tomada.connect_stream(server.addresses[1]) as one,
            tomada.connect_stream(server.addresses[1]) as two,
        ):
            for stream in (one, two, one):
                await stream.send(b"ola\n")
                assert await stream.receive_until(b"\n", timeout=LONGEST) == b"OLA"

    run(main())


@pytest.mark.parametrize("scheme", ["unix", "tls", "ws", "wss"])
def test_all_transports_can_be_served_in_threads(run: Run, folder: Path, authority: Authority, scheme: str) -> None:
    async def main() -> None:
        address = f"unix://{folder}/app.sock" if scheme == "unix" else f"{scheme}://127.0.0.1:0"
        tls = None if scheme in ("unix", "ws") else authority.client
        async with threaded(Shared(), address, tls=authority.server) as server:
            async with tomada.connect(server.addresses[0], tls=tls) as client:
                assert await client.ask(Where()) != threading.get_ident()
            await until(lambda: not busy(server))

    run(main())


def test_when_all_threads_are_taken_callers_wait(run: Run) -> None:
    async def main() -> None:
        struck: list[LimitStruck] = []
        limits = tomada.Limits(connection_threads=2)
        with tomada.telemetry.subscribe(struck.append, LimitStruck):
            async with threaded(Shared(), limits=limits) as server:
                here = server.addresses[0]
                async with tomada.connect(here) as one, tomada.connect(here) as two:
                    third = asyncio.ensure_future(tomada.connect(here)._begin())
                    assert await one.ask(Where())
                    assert await two.ask(Where())
                    assert not third.done()
                    await one.close()
                    client = await third
                    assert await client.ask(Where())
                    await client.close()
                await until(lambda: not busy(server))
        assert next((event.limit, event.allowed, event.outcome) for event in struck) == (
            "connection_threads",
            2,
            Outcome.PAUSED,
        )

    run(main())


def test_over_the_limit_of_connections_a_caller_is_refused_with_the_reason(run: Run) -> None:
    async def main() -> None:
        async with threaded(Shared(), limits=tomada.Limits(connections=1)) as server:
            async with tomada.connect(server.addresses[0]) as one:
                with pytest.raises(tomada.HandshakeFailed, match="the server has 1 connection, and takes no more"):
                    await tomada.connect(server.addresses[0])
                assert await one.ask(Where())
            await until(lambda: not busy(server))
            async with tomada.connect(server.addresses[0]) as again:
                assert await again.ask(Where())

    run(main())


def test_a_server_that_closes_says_goodbye_in_all_threads(run: Run) -> None:
    async def main() -> None:
        shared = Shared()
        async with threaded(shared) as server:
            one, two = await tomada.connect(server.addresses[0]), await tomada.connect(server.addresses[0])
            blocked = asyncio.ensure_future(one.ask(Block()))
            await until(shared.blocked.is_set)
            closing = asyncio.ensure_future(server.close())
            await until(lambda: not two.is_open)
            assert "going away" in two.end_reason
            assert not closing.done()
            shared.go_on.set()
            assert await blocked == "free"
            await closing
        assert busy(server) == 0
        await one.close()
        await two.close()

    run(main())


def test_a_thread_that_blocks_for_ever_does_not_keep_the_server(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        shared = Shared()
        deadlines = tomada.Deadlines(drain=0.1)
        server = await threaded(shared, deadlines=deadlines)
        client = await tomada.connect(server.addresses[0], deadlines=deadlines)
        blocked = asyncio.ensure_future(client.ask(Block()))
        await until(shared.blocked.is_set)
        await server.close()
        assert "1 threads of connections have not ended: their handlers block" in caplog.text
        shared.go_on.set()
        await until(lambda: not busy(server))
        await asyncio.gather(blocked, return_exceptions=True)
        await client.close()

    run(main())


def test_a_peer_that_says_nothing_leaves_no_thread(run: Run) -> None:
    async def main() -> None:
        async with threaded(Shared(), deadlines=tomada.Deadlines(handshake=0.1)) as server:
            address = server.addresses[0]
            _, silent = await asyncio.open_connection(address.host, address.port)
            await until(lambda: busy(server))
            async with tomada.connect(address) as bystander:
                assert await bystander.ask(Where())
            await until(lambda: not busy(server))
            silent.close()

    run(main())


def test_an_unknown_isolation_is_refused() -> None:
    with pytest.raises(ValueError, match="isolation is 'fibre', it must be one of task, thread, process"):
        tomada.serve(tomada.App(), HERE, isolation="fibre")  # type: ignore[arg-type] # what is under test
