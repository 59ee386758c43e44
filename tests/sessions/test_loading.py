"""Sessions that are loaded from the store: by whom, and when not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import tomada
from tests.deadlines.virtual import until
from tests.integration.conftest import Run
from tests.protocol.pairs import Room, exchange
from tests.sessions.callers import Caller, House, answer_to
from tomada.protocol import Engine, Goodbye, GoodbyeCode, Hello, Resuming, Role, State, Welcome
from tomada.protocol.handshake import SESSION
from tomada.sessions import Change, registry
from tomada.sessions.registry import Registry
from tomada.sessions.sqlite import SqliteStore
from tomada.settings import Sessions


def test_who_comes_back_twice_while_the_session_is_loaded_has_not_lost_it() -> None:
    client = Engine(Role.CONNECTING, Hello(software="test", features=(SESSION,)), 0.0)
    server = Engine(Role.ACCEPTING, Welcome(software="test"), 0.0)
    server.admission = Room()
    exchange(client, server)
    client.lose("cut")
    client.hello(0.0)
    reader = Engine(Role.ACCEPTING, Welcome(software="test"), 0.0)
    (event,) = reader.receive(bytes(client.take()), 0.0)
    assert isinstance(event, Resuming)
    assert event.hello.session is not None
    caller: Any = SimpleNamespace(engine=reader, peer="caller", transport=object(), write=bool, settle=bool)
    endpoint: Any = SimpleNamespace()
    sessions = Registry(endpoint, Sessions())
    sessions._loading.add(event.hello.session.id)
    store: Any = None
    asyncio.run(sessions._load(caller, event.hello.session, store))
    client.receive(bytes(reader.take()), 0.0)
    assert client.state is State.LOST, "it tries again"
    assert "another caller goes on with it just now" in client.reason


class Gated(SqliteStore):
    """Commits nothing while its gate is closed."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), Sessions())
        self.gate = asyncio.Event()
        self.gate.set()

    async def commit(self, changes: Sequence[Change]) -> None:
        await self.gate.wait()
        await super().commit(changes)


UNKNOWN = Goodbye(GoodbyeCode.SESSION_LOST, registry.UNKNOWN)


def test_a_session_that_has_ended_does_not_come_back_while_its_removal_is_not_committed(
    run: Run, tmp_path: Path
) -> None:
    async def main() -> None:
        store = Gated(tmp_path / "sessions.db")
        async with tomada.serve(House().app, "tcp://127.0.0.1:0", store=store) as server:
            address = str(server.addresses[0])
            caller = await Caller(address).connect()
            identity = caller.session.id
            (connection,) = server.connections
            caller.lose()
            sessions = server._endpoint.sessions
            await until(lambda: sessions.lost == 1)

            store.gate.clear()
            connection._link.end("no room for it")
            assert await store.load(identity) is not None
            assert await answer_to(address, caller.resume()) == UNKNOWN
            assert len(sessions) == 0

            store.gate.set()
            assert sessions._journal is not None
            await sessions._journal.flush()
            assert sessions._removed == set()
            assert await store.load(identity) is None
            assert await answer_to(address, caller.resume()) == UNKNOWN

    run(main())


def test_who_has_no_right_token_does_not_learn_why_a_session_cannot_go_on(run: Run, tmp_path: Path) -> None:
    """The server was started anew with other types, and one of its sessions cannot be read."""
    path = str(tmp_path / "sessions.db")

    async def main() -> None:
        async with tomada.serve(House().app, "tcp://127.0.0.1:0", store=f"sqlite://{path}") as server:
            caller = await Caller(str(server.addresses[0])).connect()
            caller.lose()
            await until(lambda: server._endpoint.sessions.lost == 1)
        store = SqliteStore(path, Sessions())
        async with tomada.serve(tomada.App("other"), "tcp://127.0.0.1:0", store=store) as server:
            address = str(server.addresses[0])
            broken = bytes(16)
            await store.commit([Change(broken, b"rubbish", whole=True)])
            for guess in (caller.resume(token=bytes(32)), caller.resume(id=broken)):
                assert await answer_to(address, guess) == UNKNOWN
            told = await answer_to(address, caller.resume())
            assert isinstance(told, Goodbye)
            assert told.reason == "the types of this server have changed since the session was stored"

    run(main())


def test_a_session_that_was_loaded_and_found_no_room_waits_for_its_client_as_any_other(
    run: Run, tmp_path: Path
) -> None:
    async def main() -> None:
        url = f"sqlite://{tmp_path}/sessions.db"
        async with tomada.serve(House().app, "tcp://127.0.0.1:0", store=url) as server:
            caller = await Caller(str(server.addresses[0])).connect()
            caller.lose()
            await until(lambda: server._endpoint.sessions._lost)
        limits = tomada.Limits(connections=1)
        short = tomada.Sessions(keep=0.5)
        async with tomada.serve(House().app, "tcp://127.0.0.1:0", store=url, limits=limits, sessions=short) as server:
            sessions = server._endpoint.sessions
            async with tomada.connect(server.addresses[0]):
                refused = await answer_to(str(server.addresses[0]), caller.resume())
                assert isinstance(refused, Goodbye)
                assert refused.code is GoodbyeCode.REFUSED
                assert len(sessions._lost) == 1
                (link,) = sessions._lost
            caller.address = str(server.addresses[0])
            await caller.connect()
            assert caller.engine.state is State.OPEN
            assert sessions._links[caller.session.id] is link
            caller.transport.abort()

    run(main())
