"""One-way messages over tomada, with sessions, the other way: the server sends, and the client takes them by `receive`.

As one takes them from a pyzmq PULL socket: without a handler.
"""

import asyncio
import itertools
from collections.abc import Callable

import tomada
from benchmarks.load import Plan, rate_of_messages, run
from benchmarks.payload import TEXT


class Note(tomada.Message):
    """The message, with the fields of every contender's."""

    number: int
    text: str


class Begin(tomada.Message):
    """From now on."""


app = tomada.App("one-way")


@app.on
async def begin(_: Begin, connection: tomada.Connection) -> None:
    """Send one after the other, as fast as `send` lets, until nobody is there."""
    for number in itertools.count(1):
        await connection.send(Note(number, TEXT))


def serve(announce: Callable[[int], None]) -> None:
    """Serve the app over TCP."""

    async def main() -> None:
        async with tomada.serve(app, "tcp://127.0.0.1:0") as server:
            announce(server.addresses[0].port or 0)
            await asyncio.Event().wait()

    run(main())


def measure(port: int, plan: Plan) -> float:
    """Receive them, and see that none is lost, doubled or out of order."""
    received = 0

    async def main() -> float:
        soon = tomada.Deadlines(drain=0.1)  # the server would go on for ever
        async with tomada.connect(f"tcp://127.0.0.1:{port}", deadlines=soon) as connection:

            async def receive(first: int, count: int) -> None:
                nonlocal received
                for number in range(first, first + count):
                    message = await connection.receive()
                    if not isinstance(message, Note) or message.number != number:
                        raise ValueError(f"{message} came in the place of {number}")
                    received += 1

            async def finish() -> int:
                return received

            await connection.send(Begin())
            return await rate_of_messages(receive, finish, plan)

    return run(main())
