"""How long connections live."""

from __future__ import annotations

import asyncio

import tomada
from tomada.protocol import State

app = tomada.App("lifetime")


class Add(tomada.Request[int]):
    """A sum."""

    left: int
    right: int


@app.on
async def add(request: Add) -> int:
    return request.left + request.right


def test_a_session_is_not_given_up_between_its_loss_and_the_loops_word_of_it() -> None:
    async def main() -> int:
        async with (
            tomada.serve(app, "tcp://127.0.0.1:0") as server,
            tomada.connect(server.addresses[0]) as connection,
        ):
            link = connection._link
            link.eof_received()  # the transport is being closed; `connection_lost` comes in the next turn of the loop
            assert link.engine.state is State.LOST
            link.sweep(link.loop.time())
            assert not link.ended.done()
            return await connection.ask(Add(1, 2))

    assert asyncio.run(main()) == 3
