"""One-way messages over tomada, with sessions: each is handed to a handler, and kept until that has ended."""

import asyncio
from collections.abc import Callable

import tomada
from benchmarks.load import Plan, rate_of_messages, run
from benchmarks.payload import TEXT


class Note(tomada.Message):
    """The message, with the fields of every contender's."""

    number: int
    text: str


class Handled(tomada.Request[int]):
    """How many have been handled; it comes behind them."""


app = tomada.App("one-way")
handled = 0


@app.on
async def note(message: Note) -> None:
    """Count, and see that none is lost, doubled or out of order."""
    global handled  # noqa: PLW0603 - the handler's state, as short as that of the peers
    handled += 1
    if message.number != handled:
        raise ValueError(f"{message.number} came in the place of {handled}")


@app.on
async def how_many(_: Handled) -> int:
    """Tell the count."""
    return handled


def serve(announce: Callable[[int], None], sessions: tomada.Sessions | None = tomada.Sessions()) -> None:  # noqa: B008 - it is frozen
    """Serve the app over TCP."""

    async def main() -> None:
        async with tomada.serve(app, "tcp://127.0.0.1:0", sessions=sessions) as server:
            announce(server.addresses[0].port or 0)
            await asyncio.Event().wait()

    run(main())


def measure(port: int, plan: Plan, *, sessions: bool = True) -> float:
    """Send one after the other, as fast as `send` lets."""

    async def main() -> float:
        async with tomada.connect(f"tcp://127.0.0.1:{port}", sessions=sessions) as connection:

            async def flood(first: int, count: int) -> None:
                for number in range(first, first + count):
                    await connection.send(Note(number, TEXT))

            async def finish() -> int:
                return await connection.ask(Handled())

            return await rate_of_messages(flood, finish, plan)

    return run(main())
