"""What is sent to sessions that have no connection just now counts in the bounds of all that have none."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

import tomada
from tests.deadlines.virtual import until
from tests.integration.conftest import Run
from tests.sessions.callers import Caller, House, Note
from tomada.protocol import Received, State
from tomada.telemetry import Event, LimitStruck

LARGE = Note(6_000 * "x")
BOUND = 10_000


def is_lost(connection: tomada.Connection) -> bool:
    return connection.state is tomada.ConnectionState.RESUMING and connection._link.transport is None


@pytest.mark.parametrize("is_stored", [False, True])
def test_what_is_sent_to_lost_sessions_counts_and_the_longest_lost_ends(
    run: Run, tmp_path: Path, *, is_stored: bool
) -> None:
    struck: list[Event] = []
    store = f"sqlite://{tmp_path}/sessions.db" if is_stored else "memory"

    async def main() -> None:
        sessions = tomada.Sessions(most_bytes=BOUND)
        async with tomada.serve(House().app, "tcp://127.0.0.1:0", sessions=sessions, store=store) as server:
            registry = server._endpoint.sessions
            callers: list[Caller] = []
            connections: list[tomada.Connection] = []
            for _ in range(3):
                before = set(server.connections)
                callers.append(await Caller(str(server.addresses[0])).connect())
                connections += set(server.connections) - before
            for caller, connection in zip(callers, connections, strict=True):
                caller.lose()
                await until(partial(is_lost, connection))

            oldest, middle = connections[:2]
            middle.send_nowait(LARGE)
            await until(lambda: registry._lost_bytes > 6_000)
            assert registry.lost == 3
            oldest.send_nowait(LARGE)  # it has been lost the longest, whenever something was sent to it
            await until(lambda: registry.lost == 2)
            assert [each.state for each in connections] == [
                tomada.ConnectionState.CLOSED,
                tomada.ConnectionState.RESUMING,
                tomada.ConnectionState.RESUMING,
            ]
            assert 6_000 < registry._lost_bytes == middle._link.engine.kept <= BOUND

            for caller in callers[1:]:
                await caller.connect()
                assert caller.engine.state is State.OPEN
            await callers[1].until(lambda: any(isinstance(event, Received) for event in callers[1].told))
            assert (registry.lost, registry._lost_bytes) == (0, 0)
            for caller in callers[1:]:
                caller.transport.abort()

    with tomada.subscribe(struck.append, LimitStruck):
        run(main())
    assert [(each.limit, each.allowed) for each in struck if isinstance(each, LimitStruck)] == [
        ("sessions.most_bytes", BOUND)
    ]


def test_one_that_holds_too_much_by_itself_ends(run: Run) -> None:
    async def main() -> None:
        sessions = tomada.Sessions(most_bytes=BOUND)
        async with tomada.serve(House().app, "tcp://127.0.0.1:0", sessions=sessions) as server:
            registry = server._endpoint.sessions
            caller = await Caller(str(server.addresses[0])).connect()
            (connection,) = server.connections
            caller.lose()
            await until(lambda: registry.lost == 1)
            connection.send_nowait(LARGE)
            connection.send_nowait(LARGE)
            await until(lambda: registry.lost == 0)
            assert registry._lost_bytes == len(registry) == 0
            assert list(connection.undelivered().values()) == [LARGE, LARGE]
            with pytest.raises(tomada.ConnectionLost, match="most_bytes"):
                await connection.send(LARGE)

    run(main())
