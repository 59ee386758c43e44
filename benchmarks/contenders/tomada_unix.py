"""tomada over a Unix socket: the same server and client as over TCP."""

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import tomada
from benchmarks.contenders.tomada_async import Ping, Pong, app
from benchmarks.load import Plan, rate_of_workers, run
from benchmarks.payload import TEXT


def _address(server: int) -> str:
    return f"unix://{Path(tempfile.gettempdir()) / f'tomada-bench-{server}.sock'}"


def serve(announce: Callable[[int], None]) -> None:
    """Serve the app at a socket file named for this process, whose number stands for the port."""

    async def main() -> None:
        async with tomada.serve(app, _address(os.getpid())):
            announce(os.getpid())
            await asyncio.Event().wait()

    run(main())


def measure(port: int, plan: Plan) -> float:
    """``plan.load`` workers ask over one connection."""
    path = Path(_address(port).removeprefix("unix://"))

    async def main() -> float:
        async with tomada.connect(_address(port)) as connection:

            def ask(number: int) -> Awaitable[Pong]:
                return connection.ask(Ping(number, TEXT))

            return await rate_of_workers(ask, plan)

    try:
        return run(main())
    finally:
        path.unlink(missing_ok=True)  # the server is killed, and cannot
