"""tomada's asyncio server and client over WebSocket; the handlers are those of the TCP contender."""

import asyncio
from collections.abc import Awaitable, Callable

import tomada
from benchmarks.contenders.tomada_async import Ping, Pong, app
from benchmarks.load import Plan, rate_of_workers, run
from benchmarks.payload import TEXT


def serve(announce: Callable[[int], None]) -> None:
    """Serve the app at ``ws://``."""

    async def main() -> None:
        async with tomada.serve(app, "ws://127.0.0.1:0") as server:
            announce(server.addresses[0].port or 0)
            await asyncio.Event().wait()

    run(main())


def measure(port: int, plan: Plan) -> float:
    """``plan.load`` workers ask over one connection."""

    async def main() -> float:
        async with tomada.connect(f"ws://127.0.0.1:{port}") as connection:

            def ask(number: int) -> Awaitable[Pong]:
                return connection.ask(Ping(number, TEXT))

            return await rate_of_workers(ask, plan)

    return run(main())
