"""Two attempts to go on with a session that is being loaded: the second comes again."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from tests.protocol.pairs import Room, exchange
from tomada.protocol import Engine, Hello, Resuming, Role, State, Welcome
from tomada.protocol.handshake import SESSION
from tomada.sessions.registry import Registry
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
    registry = Registry(endpoint, Sessions())
    registry._loading.add(event.hello.session.id)
    store: Any = None
    asyncio.run(registry._load(caller, event.hello.session, store))
    client.receive(bytes(reader.take()), 0.0)
    assert client.state is State.LOST, "it tries again"
    assert "another caller goes on with it just now" in client.reason
