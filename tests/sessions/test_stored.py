"""A server that is killed and started anew goes on with its sessions, where a store outlives it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import tomada
from tests.integration.conftest import Run
from tests.integration.processes import environment
from tests.sessions.stored_server import Count, Note, Slow

PROGRAM = Path(__file__).with_name("stored_server.py")


@asynccontextmanager
async def stored(folder: Path) -> AsyncIterator[Stored]:
    server = Stored(folder)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()


class Stored:
    """The server, in a process of its own, again and again on the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = "0"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, *extra: str) -> None:
        files = (str(self.folder / "sessions.db"), str(self.folder / "journal"))
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, str(PROGRAM), self.port, *files, *extra, stdout=asyncio.subprocess.PIPE, env=environment()
        )
        assert self._process.stdout is not None
        self.port = (await self._process.stdout.readline()).decode().strip()

    async def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        await self._process.communicate()

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    @property
    def notes(self) -> list[int]:
        return [int(line.split()[1]) for line in (self.folder / "journal").read_text().splitlines()]


def test_killed_again_and_again_nothing_is_lost(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with stored(tmp_path) as server, tomada.connect(server.address) as client:
            slow = [asyncio.create_task(client.ask(Slow(number, 0.3))) for number in range(20)]
            for turn in range(4):
                for number in range(50):
                    await client.send(Note(50 * turn + number))
                await client.ask(Slow(0))
                await server.kill()
                await server.start()
            came = [(await client.receive(timeout=20)) for _ in range(200)]
            assert await asyncio.gather(*slow) == list(range(20))
            assert came == [Note(number) for number in range(200)]
            # What was under way when it was killed is handled again: at least once each, the first time in order.
            assert list(dict.fromkeys(server.notes)) == list(range(200))
            await client.ask(Slow(0))  # all may have come before the last kill, which has not been noticed yet
            assert client.statistics().resumed >= 4
            await client.close()
            assert client.undelivered() == {}

    run(main())


def test_a_stream_in_the_middle_ends_with_outcome_unknown(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with stored(tmp_path) as server, tomada.connect(server.address) as client:
            came: list[int] = []

            async def watch() -> None:
                async for number in client.stream(Count(0.01)):
                    came.append(number)
                    if number == 5:
                        await client.ask(Slow(1))
                        await server.kill()
                        await server.start()

            with pytest.raises(tomada.OutcomeUnknown, match="started anew"):
                await watch()
            assert came == list(range(len(came)))
            assert await client.ask(Slow(7)) == 7

    run(main())


def test_a_server_with_other_types_does_not_go_on(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with stored(tmp_path) as server, tomada.connect(server.address) as client:
            waiting = asyncio.create_task(client.ask(Slow(1, 60)))
            await client.ask(Slow(2))
            await server.kill()
            await server.start("extra")
            with pytest.raises(tomada.OutcomeUnknown, match="types of this server have changed"):
                await waiting
            assert client.state is tomada.ConnectionState.CLOSED
            assert [type(message) for message in client.undelivered().values()] == [Slow]
            async with tomada.connect(server.address) as other:
                assert await other.ask(Slow(3)) == 3

    run(main())
