"""The deadline of a call travels with it: the handler ends even if its caller says nothing more."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf
from typing import Any

import msgspec
import pytest

import tomada
import tomada.sync
from tests.integration.conftest import Run
from tests.integration.house import CATALOGUE, Echo, Hold, Note, Sit, Stage, Wire, house, payload, serving, wire
from tomada.handling import Handling
from tomada.protocol import Engine, Kind
from tomada.protocol.frames import HEADER, METADATA, NORMAL


def ask_within(peer: Wire, milliseconds: Any, request: tomada.Message, id_: int) -> bytes:
    metadata = msgspec.msgpack.encode({"d": milliseconds})
    whole = len(metadata).to_bytes(2, "big") + metadata + payload(request)
    peer.sequence += 1
    type_ = CATALOGUE.numbers[type(request)]
    return HEADER.pack(len(whole), Kind.ASK, NORMAL | METADATA, type_, id_, peer.sequence) + whole


@asynccontextmanager
async def served(**limits: int) -> AsyncIterator[tuple[tomada.Server, Stage, Wire]]:
    async with (
        serving(limits=tomada.Limits(**limits)) as (server, stage),
        wire(server) as peer,
    ):
        await peer.hello()
        yield server, stage, peer


async def failure(peer: Wire, id_: int) -> tuple[str, str]:
    """Code and text of the failure that comes next, which is the answer to `id_`."""
    kind, answered, data = await peer.hear()
    assert (kind, answered) == (Kind.ERROR, id_)
    code, _, text = msgspec.msgpack.decode(data)
    return code, text


def test_a_handler_is_cancelled_when_the_deadline_of_a_silent_caller_passes(run: Run) -> None:
    async def main() -> None:
        async with served() as (_, stage, peer):
            peer.say(ask_within(peer, 60, Hold("a"), 1), peer.ask(Hold("b"), 3))
            await stage.until("began a", "began b", "cancelled a")
            assert await failure(peer, 1) == ("deadline", "no reply within the 0.06 s that its caller gave it")
            stage.open("b")
            assert await peer.hear() == (Kind.REPLY, 3, msgspec.msgpack.encode("b"))

    run(main())


def test_one_that_waits_for_its_turn_is_not_started(run: Run) -> None:
    async def main() -> None:
        async with served(handlers=1) as (_, stage, peer):
            peer.say(peer.ask(Hold("a"), 1), ask_within(peer, 60, Hold("b"), 3), ask_within(peer, 60_000, Hold("c"), 5))
            await stage.until("began a")
            assert (await failure(peer, 3))[0] == "deadline"
            stage.open("a", "b", "c")
            assert [(await peer.hear())[1] for _ in range(2)] == [1, 5]
            assert "began b" not in stage.events

    run(main())


def test_one_whose_turn_comes_too_late_is_not_started(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The turn comes before anybody has looked whether the deadline has passed."""
    monkeypatch.setattr(Handling, "expire", lambda *_: inf)

    async def main() -> None:
        async with served(handlers=1) as (_, stage, peer):
            peer.say(peer.ask(Hold("a"), 1), ask_within(peer, 1, Hold("b"), 3))
            await stage.until("began a")
            await asyncio.sleep(0.01)
            stage.open("a", "b")
            assert (await peer.hear())[:2] == (Kind.REPLY, 1)
            assert await failure(peer, 3) == ("deadline", "its deadline passed while it waited for its turn")
            assert "began b" not in stage.events

    run(main())


def test_a_plain_handler_is_answered_for_and_keeps_its_place(run: Run) -> None:
    async def main() -> None:
        async with served(handlers=1) as (_, stage, peer):
            peer.say(ask_within(peer, 60, Sit("a"), 1))
            await stage.until("began a")
            assert (await failure(peer, 1))[0] == "deadline"
            peer.say(peer.ask(Hold("b"), 3), frame_of_ping())
            assert (await peer.hear())[0] == Kind.PONG
            assert "began b" not in stage.events
            stage.open("a", "b")
            assert await peer.hear() == (Kind.REPLY, 3, msgspec.msgpack.encode("b"))
            assert stage.events.index("ended a") < stage.events.index("began b")

    run(main())


def frame_of_ping() -> bytes:
    return HEADER.pack(0, Kind.PING, 0, 0, 0, 0)


@pytest.mark.parametrize("late", ["reply", "error"])
def test_what_a_thread_that_was_given_up_says_answers_nobody_else(run: Run, late: str) -> None:
    """Its caller may use the id again at once."""

    def app(stage: Stage) -> tomada.App:
        made = house(stage)

        @made.on
        def failing(_: Failing) -> int:
            stage.mark_from_thread("began failing")
            stage.thread_gate("failing").wait(30)
            raise tomada.RemoteError("Late", "")

        return made

    async def main() -> None:
        async with serving(app) as (server, stage), wire(server) as peer:
            types = {**CATALOGUE.numbers, Failing: len(CATALOGUE.entries) + 1}
            await peer.hello(hello_with(Failing))
            request, name = (Sit("failing"), "began failing") if late == "reply" else (Failing(), "began failing")
            metadata = b"\x00\x04\x81\xa1d\x3c"
            whole = metadata + payload(request)
            peer.sequence += 1
            flags = NORMAL | METADATA
            peer.say(HEADER.pack(len(whole), Kind.ASK, flags, types[type(request)], 1, peer.sequence) + whole)
            await stage.until(name)
            assert (await failure(peer, 1))[0] == "deadline"
            peer.say(peer.ask(Hold("b"), 1))
            await stage.until("began b")
            stage.open("failing")
            peer.say(peer.ask(Echo(b"x"), 3))
            assert await peer.hear() == (Kind.REPLY, 3, msgspec.msgpack.encode(b"x"))
            stage.open("b")
            assert await peer.hear() == (Kind.REPLY, 1, msgspec.msgpack.encode("b"))

    run(main())


class Failing(tomada.Request[int]):
    pass


def hello_with(*more: type[tomada.Message]) -> Any:
    from tomada.catalogue import Catalogue  # noqa: PLC0415 - only here
    from tomada.protocol import Hello  # noqa: PLC0415 - only here

    return Hello(catalogue=(*CATALOGUE.entries, *Catalogue(more).entries))


def test_a_deadline_that_has_passed_on_arrival_starts_nothing(run: Run) -> None:
    async def main() -> None:
        async with served() as (_, stage, peer):
            peer.say(ask_within(peer, 0, Hold("a"), 1))
            assert await failure(peer, 1) == ("deadline", "its deadline had passed when it came")
            assert "began a" not in stage.events

    run(main())


@pytest.mark.parametrize("absurd", [2**32 - 1, 2**64 - 1, None])
def test_a_deadline_that_nobody_lives_to_see_is_as_good_as_none(run: Run, absurd: int | None) -> None:
    async def main() -> None:
        async with served() as (_, _, peer):
            peer.say(ask_within(peer, absurd, Echo(b"x"), 1))
            assert await peer.hear() == (Kind.REPLY, 1, msgspec.msgpack.encode(b"x"))

    run(main())


def test_a_handler_that_has_been_cancelled_is_not_disturbed_a_second_time(run: Run) -> None:
    async def main() -> None:
        def app(stage: Stage) -> tomada.App:
            made = tomada.App()

            @made.on
            async def echo(request: Echo) -> bytes:
                return request.data

            @made.on
            async def hold(request: Hold) -> str:
                try:
                    await asyncio.Event().wait()
                    return request.name
                finally:
                    stage.mark("cancelled")
                    await stage.gate("in order").wait()
                    stage.mark("in order")

            return made

        async with serving(app) as (server, stage), wire(server) as peer:
            await peer.hello()
            peer.say(ask_within(peer, 60, Hold("a"), 1))
            await stage.until("cancelled")
            peer.say(peer.cancel(1), ask_within(peer, 60, Hold("b"), 3))
            await stage.until_true(lambda: stage.events.count("cancelled") == 2)
            stage.open("in order")
            await stage.until("in order")
            assert [(await failure(peer, id_))[0] for id_ in (1, 3)] == ["deadline", "deadline"]

    run(main())


@pytest.fixture
def _no_cancel(monkeypatch: pytest.MonkeyPatch) -> None:
    """No word of a caller's time-out arrives, as where its process stands still."""
    monkeypatch.setattr(Engine, "cancel", lambda *_: None)


@pytest.mark.usefixtures("_no_cancel")
def test_ask_tells_the_server_how_long_it_waits(run: Run) -> None:
    async def main() -> None:
        async with (
            serving() as (server, stage),
            tomada.connect(server.addresses[0]) as client,
        ):
            with pytest.raises(tomada.TimedOut, match=r"no reply to Hold from tcp://127.0.0.1:\d+ within 0.05 s"):
                await client.ask(Hold("a"), timeout=0.05)
            await stage.until("cancelled a")
            assert await client.ask(Echo(b"on"), timeout=5) == b"on"

    run(main())


@pytest.mark.usefixtures("_no_cancel")
def test_the_blocking_ask_tells_it_too(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, stage):

            def call() -> None:
                with tomada.sync.connect(server.addresses[0]) as client:
                    with pytest.raises(tomada.TimedOut, match=r"no reply to Hold from tcp://.* within 0.05 s"):
                        client.ask(Hold("a"), timeout=0.05)
                    assert client.ask(Echo(b"on"), timeout=5) == b"on"

            await asyncio.gather(asyncio.to_thread(call), stage.until("cancelled a"))

    run(main())


def test_late_by_the_clock_of_the_server_is_late_as_well(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tomada.asking.milliseconds", lambda _: 1)
    monkeypatch.setattr("tomada.client.blocking_asking.milliseconds", lambda _: 1)

    async def main() -> None:
        async with serving() as (server, _), tomada.connect(server.addresses[0]) as client:
            with pytest.raises(tomada.TimedOut, match=r"no reply to Hold from tcp://.* within 30 s"):
                await client.ask(Hold("a"), timeout=30)

            def call() -> None:
                with (
                    tomada.sync.connect(server.addresses[0]) as blocking,
                    pytest.raises(tomada.TimedOut, match=r"no reply to Hold from tcp://.* within 30 s"),
                ):
                    blocking.ask(Hold("a"), timeout=30)

            await asyncio.to_thread(call)

    run(main())


@pytest.mark.parametrize("timeout", [0, -1, -inf])
def test_no_time_at_all_asks_nothing(run: Run, timeout: float) -> None:
    async def main() -> None:
        async with serving() as (server, stage), tomada.connect(server.addresses[0]) as client:
            with pytest.raises(tomada.TimedOut):
                await client.ask(Hold("a"), timeout=timeout)

            def call() -> None:
                with tomada.sync.connect(server.addresses[0]) as blocking, pytest.raises(tomada.TimedOut):
                    blocking.ask(Hold("a"), timeout=timeout)

            await asyncio.to_thread(call)
            assert await client.ask(Echo(b"on")) == b"on"
            assert "began a" not in stage.events

    run(main())


@pytest.mark.parametrize("timeout", [inf, 1e12])
def test_all_the_time_of_the_world(run: Run, timeout: float) -> None:
    async def main() -> None:
        async with serving() as (server, _), tomada.connect(server.addresses[0]) as client:
            assert await client.ask(Echo(b"on"), timeout=timeout) == b"on"

    run(main())


def test_a_time_out_while_the_call_waits_for_its_turn_leaves_the_turn_to_others(run: Run) -> None:
    async def main() -> None:
        limits = tomada.Limits(requests=1)
        async with serving(limits=limits) as (server, stage), tomada.connect(server.addresses[0]) as client:
            first = asyncio.create_task(client.ask(Hold("a")))
            await stage.until("began a")
            with pytest.raises(tomada.TimedOut):
                await client.ask(Hold("b"), timeout=0.02)
            third = asyncio.create_task(client.ask(Hold("c")))
            stage.open("a", "b", "c")
            assert [await first, await third] == ["a", "c"]
            assert "began b" not in stage.events

    run(main())


def test_a_blocking_client_does_not_start_what_is_late(run: Run) -> None:
    """Its handlers run in threads; one whose turn comes too late is answered for."""

    async def main() -> None:
        started: list[str] = []
        clients: list[tomada.sync.Connection] = []
        gate, begun = threading.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        theirs = tomada.App()

        @theirs.on
        def sit(request: Sit) -> str:
            started.append(request.name)
            loop.call_soon_threadsafe(begun.set)
            gate.wait(30)
            return request.name

        def app(stage: Stage) -> tomada.App:
            made = tomada.App()

            @made.on
            async def echo(request: Echo) -> bytes:
                return request.data

            @made.on
            async def note(_: Note, peer: tomada.Connection) -> None:
                first = asyncio.create_task(peer.ask(Sit("a")))
                await begun.wait()
                with pytest.raises(tomada.TimedOut):
                    await peer.ask(Sit("b"), timeout=0.02)
                while not clients[0]._pump.engine.is_late(4, time.monotonic()):  # noqa: ASYNC110 - of another thread
                    await asyncio.sleep(0.001)
                gate.set()
                assert await first == "a"
                assert await peer.ask(Sit("c"), timeout=30) == "c"
                stage.mark("done")

            return made

        async with serving(app) as (server, stage):

            def call() -> None:
                limits = tomada.Limits(threads=1)
                with tomada.sync.connect(server.addresses[0], app=theirs, limits=limits) as client:
                    clients.append(client)
                    client.send(Note(""))
                    client.ask(Echo(b""))
                    gate.wait(30)
                    with pytest.raises(tomada.TimedOut):
                        client.receive(timeout=0.2)

            await asyncio.gather(asyncio.to_thread(call), stage.until("done"))
        assert started == ["a", "c"]

    run(main())
