"""A client that comes back to another worker than its own: its connection is handed over to the one that keeps it."""

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
from tests.sessions.callers import NOWHERE, Caller, answer_to
from tomada.connection import Connection
from tomada.protocol import Goodbye, GoodbyeCode, State
from tomada.protocol.handshake import Resume
from tomada.sessions.registry import UNKNOWN

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
async def bystander(address: str, *, beside: int = 0) -> AsyncIterator[None]:
    """A client of another worker than `beside`, that nobody attacks, keeps its worker and its connection."""
    while True:
        async with tomada.connect(address) as client:
            own = await client.ask(Pid())
            if own == beside:
                continue
            yield
            assert await client.ask(Pid(), timeout=10) == own
            assert client.statistics().resumed == 0
            return


async def busy(address: str, place: Path, name: str, *, messages: int, every: int) -> int:
    """Send and receive while the connection is cut again and again; how often the session went on."""
    async with tomada.connect(address) as client:
        own = await client.ask(Pid())
        heard: list[int] = []

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


def test_in_memory_a_session_ends_with_its_worker_and_both_sides_of_that_are_told(place: Path, ledger: str) -> None:
    async def run(where: str) -> None:
        client = await tomada.connect(where)
        own = await client.ask(Pid())
        async with bystander(where, beside=own):
            asked = asyncio.create_task(client.ask(Slow(60)))
            await client.ask(Pid())
            os.kill(own, signal.SIGKILL)
            with pytest.raises(tomada.OutcomeUnknown, match="there is no such session here"):
                await asyncio.wait_for(asked, 30)
            with pytest.raises(tomada.ConnectionLost):
                await client.ask(Pid())
            assert len(client.undelivered()) == 1

    with Supervised(place, ledger, *WORKERS, "--bind", HERE) as server:
        asyncio.run(run(server.listening()))
        assert "Traceback" not in server.errors


def test_in_a_file_a_session_outlives_its_worker_and_goes_on_in_the_next_one_at_its_place(
    place: Path, ledger: str
) -> None:
    async def run(where: str) -> None:
        async with tomada.connect(where) as client:
            owners = [await client.ask(Pid())]
            for turn in range(3):
                async with bystander(where, beside=owners[-1]):
                    for number in range(10 * turn, 10 * turn + 10):
                        await client.send(Entry("c", number))
                    os.kill(await client.ask(Pid(), timeout=30), signal.SIGKILL)
                    for _ in range(4):
                        cut(client)
                        owners.append(await client.ask(Pid(), timeout=30))
            assert len(set(owners)) == 4
            assert client.statistics().resumed >= 3
            heard = [await client.receive(timeout=10) for _ in range(30)]
            assert [message.number for message in heard if isinstance(message, Echo)] == list(range(30))
            # What was under way when its worker was killed may have been handled again; nothing is out of order else.
            assert sorted(set(written(place, "c"))) == list(range(30))

    with Supervised(place, ledger, *WORKERS, "--bind", HERE, "--store", f"sqlite://{place}/sessions.db") as server:
        asyncio.run(run(server.listening()))
        assert "Traceback" not in server.errors


def test_who_names_the_session_of_another_gets_the_same_answer_everywhere_and_does_nothing(
    place: Path, ledger: str
) -> None:
    async def run(where: str) -> None:
        async with tomada.connect(where) as victim:
            own = await victim.ask(Pid())
            async with bystander(where, beside=own):
                session = victim._link.engine.session
                assert session is not None
                guesses = [Resume(session.id, bytes(32), 0, 1 << 40, NOWHERE) for _ in range(6)]
                guesses += [Resume(begin + bytes(14), b"", 0, 1, NOWHERE) for begin in (b"\0\1", b"\0\2", b"\xff\xff")]
                guesses.append(Resume(b"", b"", 0, 1, NOWHERE))
                for guess in guesses:
                    assert await asyncio.wait_for(answer_to(where, guess), 20) == Goodbye(
                        GoodbyeCode.SESSION_LOST, UNKNOWN
                    )
                assert await victim.ask(Pid()) == own
                assert victim.statistics().resumed == 0
                cut(victim)
                assert await victim.ask(Pid(), timeout=20) == own

    with Supervised(place, ledger, *WORKERS, "--bind", HERE) as server:
        asyncio.run(run(server.listening()))
        assert "Traceback" not in server.errors


def test_a_connection_with_layers_is_not_handed_over_and_its_client_tries_until_it_meets_its_worker(
    place: Path, ledger: str
) -> None:
    pytest.importorskip("websockets")

    async def run(where: str) -> None:
        async with tomada.connect(where) as client:
            own = await client.ask(Pid())
            async with bystander(where, beside=own):
                for number in range(4):
                    await client.send(Entry("ws", number))
                    cut(client)
                    assert await client.ask(Pid(), timeout=60) == own
                heard = [await client.receive(timeout=10) for _ in range(4)]
                assert [message.number for message in heard if isinstance(message, Echo)] == list(range(4))
                assert written(place, "ws") == list(range(4))

    with Supervised(place, ledger, *WORKERS, "--bind", "ws://127.0.0.1:0") as server:
        asyncio.run(run(server.listening()))
        assert "Traceback" not in server.errors


def test_without_sessions_a_cut_is_the_end(place: Path, ledger: str) -> None:
    async def run(where: str) -> None:
        client = await tomada.connect(where)
        await client.ask(Pid())
        assert client._link.engine.session is None
        cut(client)
        with pytest.raises(tomada.ConnectionLost):
            await client.ask(Pid(), timeout=20)

    with Supervised(place, ledger, *WORKERS, "--bind", HERE, "--no-sessions") as server:
        asyncio.run(run(server.listening()))


def test_those_who_are_paused_are_handed_over_to_when_they_go_on(place: Path, ledger: str) -> None:
    async def run(where: str) -> None:
        async with tomada.connect(where) as client:
            own = await client.ask(Pid())
            async with bystander(where, beside=own):
                os.kill(own, signal.SIGSTOP)
                try:
                    cut(client)
                    asked = asyncio.create_task(client.ask(Pid()))
                    await asyncio.wait([asked], timeout=1)
                    assert not asked.done()
                finally:
                    os.kill(own, signal.SIGCONT)
                assert await asyncio.wait_for(asked, 30) == own

    with Supervised(place, ledger, *WORKERS, "--bind", HERE) as server:
        asyncio.run(run(server.listening()))
        assert "Traceback" not in server.errors


@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_a_session_that_waits_for_its_client_outlives_a_reload_where_it_is_in_a_file(
    place: Path, ledger: str, store: str
) -> None:
    async def run(server: Supervised, where: str) -> None:
        caller = await Caller(where).connect()
        caller.lose()
        server.signal(signal.SIGHUP)
        for _ in range(3):
            await asyncio.to_thread(server.said, "worker_ended")
        await asyncio.wait_for(caller.connect(), 20)
        caller.transport.abort()
        assert (caller.engine.state is State.OPEN) is (store == "sqlite")
        assert store == "sqlite" or UNKNOWN in caller.engine.reason

    url = store if store == "memory" else f"sqlite://{place}/sessions.db"
    with Supervised(place, ledger, *WORKERS, "--bind", HERE, "--store", url) as server:
        asyncio.run(run(server, server.listening()))
        assert "Traceback" not in server.errors
