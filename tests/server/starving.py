"""A server whose process may open few files, and whose application opens them all when asked to."""

# ruff: noqa: T201 - it tells its test on standard output what happens

from __future__ import annotations

import asyncio
import logging
import os
import resource
import sys
import time

import uvloop

import tomada
from tomada.transports import acceptor

FILES = 60
PAUSE, CALM = 0.3, 0.6
"""In place of a second, and of three: the test has not so much time."""


class Take(tomada.Request[int]):
    """All descriptors that are left."""


class Give(tomada.Request[float]):
    """Them all back; how much processor time was used meanwhile."""


class Ping(tomada.Request[int]):
    number: int


def app() -> tomada.App:
    app = tomada.App("starving")
    held: list[int] = []
    used = 0.0

    @app.on
    async def take(_: Take) -> int:
        nonlocal used
        used = time.process_time()
        while True:
            try:
                held.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                return len(held)

    @app.on
    async def give(_: Give) -> float:
        while held:
            os.close(held.pop())
        return time.process_time() - used

    @app.on
    async def ping(request: Ping) -> int:
        return request.number

    return app


async def main(address: str) -> None:
    async with tomada.serve(app(), address) as server:
        print(*server.addresses, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    acceptor._PAUSE, acceptor._CALM = PAUSE, CALM  # type: ignore[misc] # see above
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, hard))
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    factory = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}[sys.argv[1]]
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main(sys.argv[2]))
