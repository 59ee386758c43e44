from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

import tomada
from tests.integration.conftest import Run
from tests.streams.pairs import HERE
from tomada import Stream

ONE_READ = 262_144
"""What either loop takes from the kernel at once, at most."""

MOST = 1_000
"""Pieces in one turn of the test, which may be a few turns of the loop."""


def flood(address: tomada.Address) -> None:
    with socket.create_connection((address.host, address.port or 0)) as connected, suppress(ConnectionError):
        while True:
            connected.sendall(bytes(1_000_000))


def test_a_flood_leaves_a_turn_to_others_between_its_pieces(run: Run) -> None:
    async def main() -> None:
        app = tomada.App()
        turn = 0
        received: Counter[int] = Counter()

        @app.stream(HERE)
        async def swallow(stream: Stream) -> None:
            async for chunk in stream:
                received[turn] += len(chunk)
                if len(received) == 100:
                    stream.abort()

        async with tomada.serve(app) as server:
            flooding = asyncio.create_task(asyncio.to_thread(flood, server.addresses[0]))
            while not flooding.done():
                turn += 1
                await asyncio.sleep(0)
        assert max(received.values()) <= ONE_READ

    run(main())


@pytest.mark.parametrize("how", ["until", "exactly", "receive", "frames"])
def test_many_small_pieces_in_one_go_leave_a_turn_to_others(run: Run, how: str) -> None:
    async def main() -> None:
        app = tomada.App()
        turn = 0
        taken: Counter[int] = Counter()

        @app.stream(HERE)
        async def take_all(stream: Stream) -> None:
            frames = stream.frames(tomada.u8)
            calls: dict[str, Callable[[], Awaitable[bytes]]] = {
                "until": lambda: stream.receive_until(b"\n"),
                "exactly": lambda: stream.receive_exactly(2),
                "receive": lambda: stream.receive(2),
                "frames": frames.receive,
            }
            with suppress(tomada.StreamEnded):
                while await calls[how]():
                    taken[turn] += 1

        async with tomada.serve(app) as server, tomada.connect_stream(server.addresses[0]) as stream:
            await stream.send(b"\x01\n" * 20_000)
            await stream.shutdown()
            while sum(taken.values()) < 20_000:
                turn += 1
                await asyncio.sleep(0)
        assert max(taken.values()) <= MOST

    run(main())
