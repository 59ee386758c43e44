"""Who may go on with a session: with real servers, and those who should not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from hmac import compare_digest
from pathlib import Path
from typing import Any

import pytest

import tomada
from tests.deadlines.virtual import now, until, virtually
from tests.sessions.callers import NOWHERE, Caller, House, Note, answer_to, bystander
from tomada.protocol import Goodbye, GoodbyeCode, Kind, Received, State, Welcome
from tomada.protocol.frames import HEADER
from tomada.protocol.handshake import Resume
from tomada.sessions import registry
from tomada.settings import Deadlines, Sessions
from tomada.telemetry import (
    ConnectionInterrupted,
    Event,
    LimitStruck,
    SessionEnded,
    SessionRefused,
    SessionResumed,
)

HERE = "memory://sessions"


@pytest.fixture
def told() -> Iterator[list[Event]]:
    """What is told of sessions."""
    events: list[Event] = []
    kinds: tuple[Any, ...] = (ConnectionInterrupted, LimitStruck, SessionEnded, SessionRefused, SessionResumed)
    with tomada.subscribe(events.append, *kinds):
        yield events


def of(told: list[Event], kind: type[Event]) -> list[Any]:
    return [event for event in told if isinstance(event, kind)]


def lost(server: tomada.Server) -> int:
    return server._endpoint.sessions.lost


def known(server: tomada.Server) -> int:
    return len(server._endpoint.sessions)


class TestTokens:
    def test_unknown_expired_and_wrong_are_one_and_the_same_answer(
        self, told: list[Event], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        compared: list[tuple[bytes, bytes]] = []

        def watched(mine: bytes, theirs: bytes) -> bool:
            compared.append((mine, theirs))
            return compare_digest(mine, theirs)

        monkeypatch.setattr(registry, "compare_digest", watched)

        async def main() -> None:
            house = House()
            async with (
                tomada.serve(house.app, HERE, sessions=Sessions(keep=60), deadlines=Deadlines(heartbeat=500)) as server,
                bystander(HERE),
            ):
                victim, expired = await Caller(HERE).connect(), await Caller(HERE).connect()
                expired.lose()
                old = expired.resume()
                await until(lambda: known(server) == 2)
                assert now() >= 60
                right = victim.session.token
                guesses = [
                    old,
                    Resume(bytes(16), bytes(32), 0, 1, NOWHERE),
                    Resume(b"", b"", 0, 1, NOWHERE),
                    victim.resume(token=bytes(32)),
                    victim.resume(token=right[:-1] + bytes([right[-1] ^ 1])),
                    victim.resume(token=right[:31]),
                    victim.resume(token=b""),
                ]
                answers = [await answer_to(HERE, guess) for guess in guesses]

                assert answers == [Goodbye(GoodbyeCode.SESSION_LOST, registry.UNKNOWN)] * len(guesses)
                assert [theirs for _, theirs in compared] == [guess.token for guess in guesses]
                assert {len(mine) for mine, _ in compared} == {32}
                victim.send("still mine")
                await until(lambda: house.notes == ["still mine"])
                victim.transport.abort()

        virtually(main())
        assert [event.reason for event in of(told, SessionRefused)] == ["unknown session or wrong token"] * 7

    def test_who_guesses_waits_longer_each_time_and_nobody_else_does(self) -> None:
        async def main() -> None:
            house = House()
            async with tomada.serve(house.app, HERE), bystander(HERE):
                victim = await Caller(HERE).connect()
                taken = []
                for _ in range(11):
                    begun = now()
                    await answer_to(HERE, victim.resume(token=bytes(32)))
                    taken.append(round(now() - begun, 6))
                assert taken == [0, 0, 0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 4.0, 4.0]

                begun = now()
                victim.lose()
                await victim.connect()
                assert now() == begun
                await asyncio.sleep(61)
                begun = now()
                await answer_to(HERE, victim.resume(token=bytes(32)))
                assert now() == begun
                victim.transport.abort()

        virtually(main())

    def test_guesses_are_counted_for_so_many_sources_and_no_more(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(registry, "_SOURCES", 0)

        async def main() -> None:
            async with tomada.serve(House().app, HERE) as server, bystander(HERE):
                for _ in range(5):
                    await answer_to(HERE, Resume(bytes(16), bytes(32), 0, 1, NOWHERE))
                assert len(server._endpoint.sessions._guesses) == 0

        virtually(main())

    def test_a_guesser_who_hangs_up_before_the_answer_leaves_nothing(self) -> None:
        async def main() -> None:
            async with tomada.serve(House().app, HERE) as server, bystander(HERE):
                for _ in range(6):
                    guess = asyncio.ensure_future(answer_to(HERE, Resume(bytes(16), bytes(32), 0, 1, NOWHERE)))
                    await asyncio.sleep(0.01)
                    guess.cancel()
                    await asyncio.wait([guess])
                await asyncio.sleep(5)
                assert len(server.connections) == 1

        virtually(main())

    def test_who_does_not_wait_for_the_answer_is_refused(self, told: list[Event]) -> None:
        """The session is not touched by what follows the hello."""

        async def main() -> None:
            house = House()
            async with tomada.serve(house.app, HERE), bystander(HERE):
                victim = await Caller(HERE).connect()
                impatient = HEADER.pack(0, Kind.PING, 0, 0, 0, 0)
                answer = await answer_to(HERE, victim.resume(), impatient)
                assert isinstance(answer, Goodbye)
                assert answer.code is GoodbyeCode.VIOLATION
                victim.send("still mine")
                await until(lambda: house.notes == ["still mine"])
                victim.transport.abort()

        virtually(main())
        assert of(told, SessionResumed) == []

    def test_there_are_none_where_the_server_keeps_none(self) -> None:
        async def main() -> None:
            async with tomada.serve(House().app, HERE, sessions=None), bystander(HERE):
                caller = await Caller(HERE).connect()
                assert caller.engine.session is None
                answer = await answer_to(HERE, Resume(bytes(16), bytes(32), 0, 1, NOWHERE))
                assert answer == Goodbye(GoodbyeCode.SESSION_LOST, registry.UNKNOWN)
                caller.transport.abort()

        virtually(main())


class TestAttempts:
    @pytest.mark.parametrize("ahead", [0, -1])
    def test_one_that_is_not_higher_than_the_last_is_refused(self, ahead: int, told: list[Event]) -> None:
        async def main() -> None:
            house = House()
            async with tomada.serve(house.app, HERE), bystander(HERE):
                victim = await Caller(HERE).connect()
                for _ in range(2):
                    victim.lose()
                    await victim.connect()
                answer = await answer_to(HERE, victim.resume(generation=2 + ahead))
                assert answer == Goodbye(GoodbyeCode.SESSION_LOST, f"attempt {2 + ahead} to go on comes after 2")
                victim.send("still mine")
                await until(lambda: house.notes == ["still mine"])
                victim.transport.abort()

        virtually(main())
        assert len(of(told, SessionRefused)) == 1

    def test_the_same_one_twice_at_once(self) -> None:
        async def main() -> None:
            async with tomada.serve(House().app, HERE), bystander(HERE):
                victim = await Caller(HERE).connect()
                victim.lose()
                answers = await asyncio.gather(*[answer_to(HERE, victim.resume()) for _ in range(2)])
                assert sorted(type(answer).__name__ for answer in answers) == ["Goodbye", "Welcome"]

        virtually(main())

    def test_a_server_that_is_older_than_what_was_seen_has_lost_the_session(self, told: list[Event]) -> None:
        """As one whose state came back from a backup."""

        async def main() -> None:
            house = House()
            async with tomada.serve(house.app, HERE) as server, bystander(HERE):
                caller = await Caller(HERE).connect()
                (connection,) = [each for each in server.connections if each.statistics().received_messages == 0]
                await connection.send(Note("never seen"))
                caller.lose()
                answer = await answer_to(HERE, caller.resume(epoch=1))
                assert isinstance(answer, Goodbye)
                assert answer.code is GoodbyeCode.SESSION_LOST
                assert answer.reason.startswith("epoch 1 is later than 0")
                assert known(server) == 1
                assert list(connection.undelivered().values()) == [Note("never seen")]
                assert await answer_to(HERE, caller.resume()) == Goodbye(GoodbyeCode.SESSION_LOST, registry.UNKNOWN)

        virtually(main())
        (ended,) = of(told, SessionEnded)
        assert ended.undelivered == 1
        assert len(of(told, SessionRefused)) == 2

    def test_positions_that_do_not_fit_end_it(self) -> None:
        async def main() -> None:
            async with tomada.serve(House().app, HERE) as server, bystander(HERE):
                caller = await Caller(HERE).connect()
                here = caller.engine.positions()
                wrong = type(here)(here.types, type(here.normal)(7, (), 1), here.urgent)
                answer = await answer_to(HERE, caller.resume(positions=wrong))
                assert isinstance(answer, Goodbye)
                assert "received up to 7" in answer.reason
                await until(lambda: known(server) == 1)

        virtually(main())


class TestFence:
    @pytest.mark.parametrize("scheme", ["tcp", "unix", "memory"])
    def test_the_older_connection_is_cut_and_its_late_bytes_do_nothing(
        self, scheme: str, tmp_path: Path, told: list[Event]
    ) -> None:
        address = {"tcp": "tcp://127.0.0.1:0", "unix": f"unix://{tmp_path}/s", "memory": HERE}[scheme]

        async def main() -> None:
            house = House()
            async with tomada.serve(house.app, address) as server:
                here = str(server.addresses[0])
                async with bystander(here):
                    victim = await Caller(here).connect()
                    victim.send("one")
                    older = victim.reader, victim.transport
                    victim.engine.lose("the client has changed networks")
                    await victim.connect()
                    assert victim.engine.state is State.OPEN
                    victim.send("two")
                    older[1].write(HEADER.pack(5, Kind.SEND, 2, 2, 0, 3) + b"\x91\xa3bad")
                    with suppress(ConnectionError):
                        await older[0].read()
                    older[1].abort()
                    victim.send("three")
                    await until(lambda: house.notes == ["one", "two", "three"])
                    assert lost(server) == 0
                    assert known(server) == 2
                    victim.transport.abort()
                    await asyncio.sleep(0)

        asyncio.run(asyncio.wait_for(main(), 20))
        (resumed,) = of(told, SessionResumed)
        assert resumed.epoch == 1
        assert resumed.seconds < 1
        assert of(told, ConnectionInterrupted)[0].reason == "the peer came back over another connection"

    def test_a_session_whose_end_is_decided_does_not_go_on(self) -> None:
        async def main() -> None:
            async with tomada.serve(House().app, HERE) as server, bystander(HERE):
                victim = await Caller(HERE).connect()
                (connection,) = [each for each in server.connections if each.statistics().received_messages == 0]
                connection._link.engine.end_session()

                assert await answer_to(HERE, victim.resume()) == Goodbye(GoodbyeCode.SESSION_LOST, registry.UNKNOWN)
                victim.transport.abort()

        virtually(main())


def _has_got_something(caller: Caller) -> bool:
    return any(isinstance(event, Received) for event in caller.told)


class TestBounds:
    def test_the_longest_lost_ends_where_there_are_too_many(self, told: list[Event]) -> None:
        async def main() -> None:
            house = House()
            async with (
                tomada.serve(house.app, HERE, sessions=Sessions(most=2)) as server,
                bystander(HERE),
            ):
                callers = [await Caller(HERE).connect() for _ in range(3)]
                for caller in callers:
                    caller.lose()
                    await asyncio.sleep(0.1)
                assert (lost(server), known(server)) == (2, 3)

                refused = await answer_to(HERE, callers[0].resume())
                assert refused == Goodbye(GoodbyeCode.SESSION_LOST, registry.UNKNOWN)
                for caller in callers[1:]:
                    await caller.connect()
                    assert caller.engine.state is State.OPEN
                assert lost(server) == 0
                for caller in callers[1:]:
                    caller.transport.abort()

        virtually(main())
        (struck,) = of(told, LimitStruck)
        assert (struck.limit, struck.allowed) == ("sessions.most", 2)
        assert len(of(told, SessionResumed)) == 2

    def test_the_longest_lost_ends_where_they_hold_too_much(self, told: list[Event]) -> None:
        async def main() -> None:
            house = House()
            async with (
                tomada.serve(house.app, HERE, sessions=Sessions(most_bytes=10_000)) as server,
                bystander(HERE),
            ):
                before = set(server.connections)
                callers = [await Caller(HERE).connect() for _ in range(3)]
                for connection in set(server.connections) - before:
                    await connection.send(Note(6_000 * "x"))
                for caller in callers:
                    await caller.until(partial(_has_got_something, caller))
                for caller in callers[:2]:
                    caller.lose()
                    await asyncio.sleep(0.1)

                assert (lost(server), known(server)) == (1, 3)
                answers = [await answer_to(HERE, caller.resume()) for caller in callers[:2]]
                assert [type(answer) for answer in answers] == [Goodbye, Welcome]
                callers[2].send("still here")
                await until(lambda: house.notes == ["still here"])
                callers[2].transport.abort()

        virtually(main())
        struck = of(told, LimitStruck)[0]
        assert (struck.limit, struck.allowed) == ("sessions.most_bytes", 10_000)
        ended = of(told, SessionEnded)[0]
        assert ended.undelivered == 1
        assert "most_bytes" in ended.reason
        assert len(of(told, ConnectionInterrupted)) >= 2


def test_a_client_that_is_cut_comes_back_and_both_ends_tell() -> None:
    events: list[Event] = []

    async def main() -> None:
        house = House()
        async with tomada.serve(house.app, HERE) as server, bystander(HERE):
            before = set(server.connections)
            async with tomada.connect(HERE) as client:
                (mine,) = set(server.connections) - before
                for text in ("one", "two"):
                    await client.send(Note(text))
                    link = mine._link
                    assert link.transport is not None
                    link.transport.abort()
                    await asyncio.sleep(1)
                await until(lambda: house.notes == ["one", "two"])
                assert client.statistics().resumed == mine.statistics().resumed == 2

    with tomada.subscribe(events.append, ConnectionInterrupted, SessionResumed, SessionEnded, SessionRefused):
        virtually(main())
    kinds = [type(event).__name__ for event in events]
    assert kinds.count("ConnectionInterrupted") == kinds.count("SessionResumed") == 4
    assert "SessionEnded" not in kinds
    assert "SessionRefused" not in kinds


def test_a_look_at_the_clock_between_the_end_of_the_bytes_and_that_of_the_transport_ends_no_session() -> None:
    async def main() -> None:
        house = House()
        async with tomada.serve(house.app, HERE, sessions=Sessions(keep=60)) as server, bystander(HERE):
            await asyncio.sleep(100)
            victim = await Caller(HERE).connect()
            link = next(one._link for one in server.connections if one._link.engine.session == victim.session)
            link.eof_received()
            assert link.engine.state is State.LOST
            link.sweep(now())
            assert not link.ended.done()
            victim.lose()
            await victim.connect()
            assert victim.engine.state is State.OPEN
            victim.transport.abort()

    virtually(main())
