"""A server whose sessions are in a file, to be killed: ``stored_server.py PORT DATABASE JOURNAL [extra]``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import tomada


class Note(tomada.Message):
    number: int


class Slow(tomada.Request[int]):
    number: int
    seconds: float = 0


class Count(tomada.StreamRequest[int]):
    pause: float


class Extra(tomada.Request[int]):
    """In the catalogue of a later version of the server only."""


def application(journal: Path, *, extra: bool) -> tomada.App:
    app = tomada.App("stored")

    @app.on
    async def note(message: Note, peer: tomada.Connection) -> None:
        with journal.open("a") as file:
            file.write(f"note {message.number}\n")
        await peer.send(Note(message.number))

    @app.on
    async def slow(request: Slow) -> int:
        await asyncio.sleep(request.seconds)
        return request.number

    @app.on
    async def count(request: Count) -> AsyncIterator[int]:
        for number in range(1_000):
            yield number
            await asyncio.sleep(request.pause)

    if extra:

        @app.on
        async def more(_: Extra) -> int:
            return 1

    return app


async def main(port: str, database: str, journal: str, *extra: str) -> None:
    app = application(Path(journal), extra=bool(extra))
    async with tomada.serve(app, f"tcp://127.0.0.1:{port}", store=f"sqlite://{database}") as server:
        sys.stdout.write(f"{server.addresses[0].port}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
