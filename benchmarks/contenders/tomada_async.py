"""tomada's asyncio server and client, as the tutorial writes them."""

import asyncio
from collections.abc import Awaitable, Callable

import tomada
from benchmarks.load import Plan, rate_of_workers, run
from benchmarks.payload import TEXT


class Pong(tomada.Message):
    """The reply, with the fields of every contender's."""

    number: int
    text: str


class Ping(tomada.Request[Pong]):
    """The request, with the fields of every contender's."""

    number: int
    text: str


app = tomada.App("bench")


@app.on
async def ping(request: Ping) -> Pong:
    """Answer as every server does."""
    return Pong(request.number, request.text)


def serve(announce: Callable[[int], None], sessions: tomada.Sessions | None = tomada.Sessions()) -> None:  # noqa: B008 - it is frozen
    """Serve the app over TCP."""

    async def main() -> None:
        async with tomada.serve(app, "tcp://127.0.0.1:0", sessions=sessions) as server:
            announce(int(str(server.addresses[0]).rpartition(":")[2]))
            await asyncio.Event().wait()

    run(main())


def measure(port: int, plan: Plan, *, sessions: bool = True) -> float:
    """``plan.load`` workers ask over one connection."""

    async def main() -> float:
        async with tomada.connect(f"tcp://127.0.0.1:{port}", sessions=sessions) as connection:

            def ask(number: int) -> Awaitable[Pong]:
                return connection.ask(Ping(number, TEXT))

            return await rate_of_workers(ask, plan)

    return run(main())
