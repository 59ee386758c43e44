"""What has arrived when the peer says goodbye, and nobody has received."""

from __future__ import annotations

import asyncio

import pytest

import tomada
from tests.integration.conftest import Run


class Begin(tomada.Request[None]):
    pass


class Tick(tomada.Message):
    number: int


def test_it_is_given_out_after_the_end_and_its_sender_knows_no_more_than_that_it_was_sent(run: Run) -> None:
    async def main() -> None:
        app = tomada.App()
        there: list[tomada.Connection] = []

        @app.on
        async def begin(_: Begin, connection: tomada.Connection) -> None:
            there.append(connection)
            for number in range(3):
                await connection.send(Tick(number))

        server = await tomada.serve(app, "tcp://127.0.0.1:0")
        client = await tomada.connect(server.addresses[0])
        await client.ask(Begin())
        first = await client.receive(timeout=5)
        assert isinstance(first, Tick)
        await asyncio.wait_for(server.close(), 5)  # it does not wait for who does not receive
        assert [tick.number for tick in there[0].undelivered().values() if isinstance(tick, Tick)] == [1, 2]
        rest = [await client.receive(timeout=5) for _ in range(2)]
        assert [tick.number for tick in rest if isinstance(tick, Tick)] == [1, 2]
        with pytest.raises(tomada.ConnectionLost):
            await client.receive(timeout=5)

    run(main())
