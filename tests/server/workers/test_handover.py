"""A client that comes back to another worker than its own: its connection is handed over to the worker that keeps it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import tomada
from tests.server.workers.ledger import Echo, Entry, Pid, Slow
from tests.server.workers.supervised import HERE, Supervised
from tomada.connection import Connection

LEDGER = Path(__file__).with_name("ledger.py")
WORKERS = ("--workers", "3")


@pytest.fixture
def ledger(place: Path) -> str:
    """A copy of the application, beside which it writes."""
    return str(shutil.copy(LEDGER, place / "ledger.py"))


def cut(client: Connection) -> None:
    """Pull the cable."""
    transport = client._link.transport
    if transport is not None:
        transport.abort()


def written(place: Path, client: str) -> list[int]:
    """What the server has handled of a client, in its order."""
    return [int(line) for line in (place / f"{client}.txt").read_text().split()]


@asynccontextmanager
async def bystander(address: str) -> AsyncIterator[None]:
    """A client that nobody attacks keeps its worker, its connection and its answers."""
    async with tomada.connect(address) as client:
        own = await client.ask(Pid())
        yield
        assert await client.ask(Pid(), timeout=10) == own
        assert client.statistics().resumed == 0


async def busy(address: str, place: Path, name: str, *, messages: int, every: int) -> int:
    """Send and receive while the connection is cut again and again; how often the session went on."""
    async with tomada.connect(address) as client:
        own = await client.ask(Pid())
        heard = []

        async def listen() -> None:
            while len(heard) < messages:
                message = await client.receive()
                assert isinstance(message, Echo)
                heard.append(message.number)

        listening = asyncio.create_task(listen())
        for number in range(messages):
            await client.send(Entry(name, number))
            if number % every == 0:
                cut(client)
                assert await client.ask(Pid(), timeout=20) == own
        await asyncio.wait_for(listening, 20)
        assert heard == list(range(messages))
        assert written(place, name) == heard
        return client.statistics().resumed


@pytest.mark.parametrize("address", [HERE, "unix"])
@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_clients_that_land_anywhere_lose_nothing(place: Path, ledger: str, address: str, store: str) -> None:
    bind = f"unix://{place}/ledger.sock" if address == "unix" else address
    url = store if store == "memory" else f"sqlite://{place}/sessions.db"

    async def run(where: str) -> None:
        async with bystander(where):
            counts = await asyncio.gather(*[busy(where, place, f"c{n}", messages=60, every=6) for n in range(6)])
        assert sum(counts) >= 60

    with Supervised(place, ledger, *WORKERS, "--bind", bind, "--store", url) as server:
        asyncio.run(run(server.listening()))
        assert "Traceback" not in server.errors
