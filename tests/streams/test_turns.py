from __future__ import annotations

import asyncio
import socket
from collections import Counter
from contextlib import suppress

import tomada
from tests.integration.conftest import Run
from tests.streams.pairs import HERE
from tomada import Stream

ONE_READ = 262_144
"""What either loop takes from the kernel at once, at most."""


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
