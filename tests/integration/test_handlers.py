from __future__ import annotations

import asyncio
import threading

import pytest

import tomada
from tests.integration.conftest import Run
from tests.integration.house import (
    Echo,
    Hold,
    Note,
    Sit,
    Stage,
    frame,
    house,
    mood,
    serving,
    wire,
)
from tomada.handling import Handling
from tomada.protocol import Kind


def test_a_call_cancelled_while_it_waits_for_the_handler_cap_never_starts(run: Run) -> None:
    async def main() -> None:
        limits = tomada.Limits(handlers=1)
        async with serving(limits=limits) as (server, stage), tomada.connect(server.addresses[0]) as client:
            first = asyncio.create_task(client.ask(Hold("a")))
            waiting = asyncio.create_task(client.ask(Hold("b")))
            last = asyncio.create_task(client.ask(Hold("c")))
            await stage.until("began a")
            waiting.cancel()
            await asyncio.wait([waiting])
            stage.open("a", "b", "c")
            assert (await first, await last) == ("a", "c")
            assert "began b" not in stage.events

    run(main())


def test_a_second_cancel_does_not_disturb_a_handler_that_puts_things_in_order(run: Run) -> None:
    async def main() -> None:
        def app(stage: Stage) -> tomada.App:
            made = tomada.App()

            @made.on
            async def echo(request: Echo) -> bytes:
                return request.data

            @made.on
            async def hold(request: Hold) -> str:
                try:
                    stage.mark("began")
                    await asyncio.Event().wait()
                    return request.name
                finally:
                    stage.mark("cancelled")
                    await stage.gate("in order").wait()
                    stage.mark("in order")

            return made

        async with serving(app) as (server, stage), wire(server) as peer:
            await peer.hello()
            peer.say(peer.ask(Hold("a"), 1))
            await stage.until("began")
            peer.say(peer.cancel(1))
            await stage.until("cancelled")
            peer.say(peer.cancel(1), frame(Kind.PING, b"x"))
            assert await peer.hear() == (Kind.PONG, 0, b"x")
            stage.open("in order")
            await stage.until("in order")

    run(main())


def test_a_plain_handler_keeps_its_place_until_its_thread_is_free(run: Run) -> None:
    async def main() -> None:
        limits = tomada.Limits(handlers=1)
        async with serving(limits=limits) as (server, stage), tomada.connect(server.addresses[0]) as client:
            call = asyncio.create_task(client.ask(Sit("a")))
            await stage.until("began a")
            call.cancel()
            await asyncio.wait([call])
            second = asyncio.create_task(client.ask(Sit("b")))
            await client.ping()
            assert "began b" not in stage.events
            stage.open("a", "b")
            assert await second == "b none"
            assert stage.events.index("ended a") < stage.events.index("began b")

    run(main())


def test_plain_handlers_run_in_threads_with_the_context_of_their_connection(run: Run) -> None:
    async def main() -> None:
        def app(stage: Stage) -> tomada.App:
            made = house(stage)

            @made.on_start
            def start() -> list[str]:
                stage.mark_from_thread(threading.current_thread().name.rpartition(" ")[0])
                return []

            return made

        token = mood.set("happy")
        try:
            async with serving(app) as (server, stage), tomada.connect(server.addresses[0]) as client:
                stage.open("a")
                assert await client.ask(Sit("a")) == "a happy"
                await stage.until("tomada handler")
        finally:
            mood.reset(token)

    run(main())


def test_the_handler_cap_holds_and_handlers_start_in_order(run: Run) -> None:
    async def main() -> None:
        limits = tomada.Limits(handlers=3)
        async with serving(limits=limits) as (server, stage), tomada.connect(server.addresses[0]) as client:
            names = [str(number) for number in range(50)]
            calls = [asyncio.create_task(client.ask(Hold(name))) for name in names]
            await stage.until("began 2")
            for name in names:
                stage.open(name)
                await stage.until(f"ended {name}")
                # A newcomer does not overtake those who wait.
                names_late = f"late {name}"
                stage.open(names_late)
                calls.append(asyncio.create_task(client.ask(Hold(names_late))))
            await asyncio.gather(*calls)
            began = [event[6:] for event in stage.events if event.startswith("began")]
            assert began == [*names, *[f"late {name}" for name in names]]
            assert stage.most == 3

    run(main())


def test_a_message_that_comes_while_others_wait_does_not_overtake_them(run: Run) -> None:
    """Also in the turn of the loop in which a place becomes free."""

    async def main() -> None:
        limits = tomada.Limits(handlers=1)
        async with serving(limits=limits) as (server, stage), wire(server) as peer:
            await peer.hello()
            for number in range(20):
                peer.say(peer.send(Note(f"hold {number}")))
                stage.open(f"hold {number}")
            peer.say(frame(Kind.PING))
            await peer.hear()
            await stage.until("done hold 19")
            assert [event for event in stage.events if event.startswith("note")] == [
                f"note hold {n}" for n in range(20)
            ]

    run(main())


def test_calls_beyond_the_limit_of_the_peer_wait_at_their_own_end(run: Run) -> None:
    async def main() -> None:
        limits = tomada.Limits(requests=2)
        async with serving(limits=limits) as (server, stage), tomada.connect(server.addresses[0]) as client:
            calls = [asyncio.create_task(client.ask(Hold(str(number)))) for number in range(10)]
            await stage.until("began 0", "began 1")
            await client.ping()
            assert stage.count("began") == 2
            stage.open(*[str(number) for number in range(10)])
            assert await asyncio.gather(*calls) == [str(number) for number in range(10)]
            assert [event for event in stage.events if event.startswith("began")] == [f"began {n}" for n in range(10)]

    run(main())


@pytest.mark.parametrize("way", ["cancelled", "wrong"])
def test_a_turn_that_is_given_up_goes_to_the_next_in_line(run: Run, way: str) -> None:
    async def main() -> None:
        limits = tomada.Limits(requests=1, message_bytes=2_000)
        async with serving(limits=limits) as (server, stage), tomada.connect(server.addresses[0]) as client:
            first = asyncio.create_task(client.ask(Hold("first")))
            await stage.until("began first")
            second = asyncio.create_task(client.ask(Hold("x" * (3_000 if way == "wrong" else 1))))
            third = asyncio.create_task(client.ask(Echo(b"third")))
            await client.ping()
            stage.open("first")
            # The first is told in the turn that gives its place to the second, whose task runs after this one.
            await first
            if way == "cancelled":
                second.cancel()
            await asyncio.wait([second])
            assert second.cancelled() or isinstance(second.exception(), tomada.InvalidMessage)
            assert await third == b"third"

    run(main())


def test_messages_that_wait_for_a_handler_cost_nothing_meanwhile(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = 0
    start_waiting = Handling._start_waiting

    def counted(self: Handling) -> None:
        nonlocal turns
        turns += 1
        start_waiting(self)

    monkeypatch.setattr(Handling, "_start_waiting", counted)

    async def main() -> None:
        limits = tomada.Limits(handlers=1)
        async with serving(limits=limits) as (server, stage), tomada.connect(server.addresses[0]) as client:
            held = [asyncio.create_task(client.ask(Hold(name))) for name in "ab"]
            await stage.until("began a")
            for _ in range(100):
                await asyncio.sleep(0)
                await client.ping()
            assert turns < 10
            stage.open("a", "b")
            assert await asyncio.gather(*held) == ["a", "b"]

    run(main())
