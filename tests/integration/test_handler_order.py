"""Who goes on when, with whose context, and who does not: the handlers and senders of one connection."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import tomada
from tests.integration.conftest import Run

TCP = "tcp://127.0.0.1:0"
USER: ContextVar[str] = ContextVar("USER", default="nobody")


class Take(tomada.Request[str]):
    what: str


class Poke(tomada.Message):
    what: str


class Login(tomada.Request[str]):
    name: str


class Who(tomada.Request[str]):
    pass


class Load(tomada.Message):
    number: int
    data: bytes


def test_a_connection_that_is_refused_has_nothing_handled_urgent_or_not(run: Run) -> None:
    async def main() -> None:
        app = tomada.App()
        gate = asyncio.Event()
        handled: list[str] = []

        @app.on_connect
        async def check() -> None:
            await gate.wait()
            raise PermissionError("not you")

        @app.on
        async def take(request: Take) -> str:
            handled.append(request.what)
            return "gold"

        @app.on
        async def poke(message: Poke) -> None:
            handled.append(message.what)

        async with tomada.serve(app, TCP) as server, tomada.connect(server.addresses[0]) as client:
            for urgent in (False, True):
                await client.send(Poke("poke"), urgent=urgent)
            asked = [asyncio.create_task(client.ask(Take("take"), urgent=urgent)) for urgent in (False, True)]
            while not any(one.statistics().peer_requests == 2 for one in server.connections):  # noqa: ASYNC110 - soon
                await asyncio.sleep(0.01)
            gate.set()
            for error in await asyncio.gather(*asked, return_exceptions=True):
                assert isinstance(error, tomada.RemoteError | tomada.ConnectionLost)
            assert handled == []

    run(main())


def test_a_handler_that_had_to_wait_begins_with_nobody_elses_context(run: Run) -> None:
    """What wakes it was set off by the one that filled the connection, in that one's context."""

    async def main() -> None:
        app = tomada.App()

        @app.on
        async def login(request: Login, connection: tomada.Connection) -> str:
            USER.set(request.name)
            for number in range(100):
                await connection.send(Load(number, bytes(60_000)))
            return USER.get()

        @app.on
        async def who(_: Who) -> str:
            return USER.get()

        small = tomada.Limits(buffer_bytes=65_536)
        large = tomada.Limits(buffer_bytes=50_000_000)
        async with (
            tomada.serve(app, TCP, limits=small) as server,
            tomada.connect(server.addresses[0], limits=large, sessions=False) as client,
        ):
            (there,) = server.connections
            transport = client._link.transport
            assert transport is not None
            login_task = asyncio.create_task(client.ask(Login("ana")))
            while there.statistics().handlers == 0:  # noqa: ASYNC110 - soon
                await asyncio.sleep(0)
            transport.pause_reading()
            while not there._link.engine.stuffed:  # noqa: ASYNC110 - soon
                await asyncio.sleep(0.01)
            asked = [asyncio.create_task(client.ask(Who())) for _ in range(3)]
            while there.statistics().peer_requests < 4:  # noqa: ASYNC110 - soon
                await asyncio.sleep(0.01)
            transport.resume_reading()
            assert await asyncio.gather(*asked) == ["nobody"] * 3
            assert await login_task == "ana"

    run(main())


def test_tasks_that_wait_to_send_go_on_in_their_order(run: Run) -> None:
    async def main() -> None:
        app = tomada.App()
        numbers: list[int] = []

        @app.on
        async def load(message: Load) -> None:
            await asyncio.sleep(0.001)
            numbers.append(message.number)

        limits = tomada.Limits(buffer_bytes=4_096, handlers=1)
        async with tomada.serve(app, TCP, limits=limits) as server, tomada.connect(server.addresses[0]) as client:
            sending = [asyncio.create_task(client.send(Load(number, bytes(2_000)))) for number in range(30)]
            await asyncio.sleep(0)
            sending[20].cancel()
            await asyncio.gather(*sending, return_exceptions=True)
            await client.close()
        assert numbers == [number for number in range(30) if number != 20]

    run(main())
