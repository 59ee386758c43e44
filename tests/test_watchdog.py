"""Who keeps the event loop to itself is found out, and nobody else is blamed."""

from __future__ import annotations

import asyncio
import functools
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from math import inf
from typing import Any

import pytest

import tomada
from tests.integration.conftest import Run, _loops_have_what_they_keep, run  # noqa: F401 - fixtures
from tests.timeless import TimelessLoop
from tomada import watchdog
from tomada.telemetry import LoopBlocked, subscribe
from tomada.watchdog import Watchdog, codes

TURN = 0.1
LONG = 3 * TURN


class Step(tomada.Request[None]):
    how: str
    seconds: float


class Told:
    """The events that have come, from whatever thread."""

    def __init__(self) -> None:
        self.events: list[LoopBlocked] = []

    async def until(self, count: int) -> list[LoopBlocked]:
        while len(self.events) < count:  # noqa: ASYNC110 - it comes from a thread
            await asyncio.sleep(0.005)
        return self.events

    @property
    def handlers(self) -> list[str]:
        return [event.handler.rpartition(".")[2] for event in self.events]


@pytest.fixture
def told() -> Iterator[Told]:
    told = Told()
    with subscribe(told.events.append, LoopBlocked):
        yield told


def busy(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def without_the_lock(seconds: float) -> None:
    """C code that keeps Python's lock."""
    end, count = time.monotonic() + seconds, 100_000
    while time.monotonic() < end:
        begun = time.monotonic()
        sum(range(count))
        if time.monotonic() - begun > seconds / 2:
            return
        count *= 2


WAYS: dict[str, Callable[[float], None]] = {"sleep": time.sleep, "busy": busy, "lock": without_the_lock}


def application() -> tomada.App:
    app = tomada.App()

    @app.on
    async def step(request: Step) -> None:
        if request.how.startswith("later "):
            await asyncio.sleep(0)
        WAYS[request.how.removeprefix("later ")](request.seconds)

    return app


@asynccontextmanager
async def asking(app: tomada.App, turn: float = TURN) -> AsyncIterator[tomada.Connection]:
    async with (
        tomada.serve(app, "tcp://127.0.0.1:0", deadlines=tomada.Deadlines(turn=turn)) as server,
        tomada.connect(server.addresses[0]) as client,
    ):
        yield client


@pytest.mark.parametrize("how", [*WAYS, "later sleep", "later busy"])
def test_a_handler_that_blocks_is_reported(run: Run, told: Told, how: str) -> None:  # noqa: F811 - the fixture
    async def main() -> None:
        async with asking(application()) as client:
            await client.ask(Step(how, LONG))
            (event,) = await told.until(1)
        assert told.handlers == ["step"]
        assert event.is_over
        assert event.place.rpartition(":")[0] == __file__
        assert event.seconds > TURN / 2
        if how == "sleep":
            assert event.seconds == pytest.approx(LONG, rel=0.3)

    run(main())


def test_a_hook_that_blocks_is_reported(run: Run, told: Told) -> None:  # noqa: F811 - the fixture
    async def main() -> None:
        app = application()

        @app.on_connect
        async def greet() -> None:
            time.sleep(LONG)  # noqa: ASYNC251 - that is what it is about

        async with asking(app) as client:
            await client.ask(Step("sleep", 0))
            await told.until(1)
        assert told.handlers == ["greet"]

    run(main())


@pytest.mark.parametrize("when", ["at once", "later"])
def test_the_handler_of_a_stream_is_reported(run: Run, told: Told, when: str) -> None:  # noqa: F811 - the fixture
    async def main() -> None:
        app = tomada.App()

        @app.stream("tcp://127.0.0.1:0")
        async def talk(stream: tomada.Stream) -> None:
            if when == "later":
                await stream.receive()
            time.sleep(LONG)  # noqa: ASYNC251 - that is what it is about
            await stream.send(b"x")

        async with tomada.serve(app, deadlines=tomada.Deadlines(turn=TURN)) as server:
            async with tomada.connect_stream(server.addresses[0]) as stream:
                await stream.send(b"x")
                assert await stream.receive() == b"x"
            await told.until(1)
        assert told.handlers == ["talk"]

    run(main())


def test_the_handler_of_datagrams_is_reported(run: Run, told: Told) -> None:  # noqa: F811 - the fixture
    async def main() -> None:
        app = tomada.App()

        @app.datagram("udp://127.0.0.1:0")
        async def take(_: bytes) -> None:
            time.sleep(LONG)  # noqa: ASYNC251 - that is what it is about

        async with (
            tomada.serve(app, deadlines=tomada.Deadlines(turn=TURN)) as server,
            tomada.bind("udp://127.0.0.1:0") as own,
        ):
            await own.send(b"x", server.addresses[0])
            await told.until(1)
        assert told.handlers == ["take"]

    run(main())


def test_what_is_no_handler_is_told_by_its_own_name(run: Run, told: Told) -> None:  # noqa: F811 - the fixture
    async def main() -> None:
        async def refresh() -> None:
            await asyncio.sleep(0.01)
            busy(LONG)

        async with asking(application()):
            await asyncio.create_task(refresh())
            (event,) = await told.until(1)
        assert event.handler.endswith("refresh")

    run(main())


def test_a_block_without_end_is_reported_while_it_lasts(
    run: Run,  # noqa: F811 - the fixture
    told: Told,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watchdog, "_STILL", 2 * TURN)
    seen = threading.Event()

    def wait_for(_: float) -> None:
        seen.wait(30)

    def look(event: LoopBlocked) -> None:
        if not event.is_over and event.seconds > 6 * TURN:
            seen.set()

    monkeypatch.setitem(WAYS, "wait", wait_for)

    async def main() -> None:
        with subscribe(look, LoopBlocked):
            async with asking(application()) as client:
                await client.ask(Step("wait", 0))
                while not told.events[-1].is_over:  # noqa: ASYNC110 - it comes from a thread
                    await asyncio.sleep(0.005)
        assert [event.is_over for event in told.events] == [False] * (len(told.events) - 1) + [True]
        assert len(told.events) in (3, 4)
        assert set(told.handlers) == {"step"}

    run(main())


def test_what_is_short_is_not_reported(run: Run, told: Told) -> None:  # noqa: F811 - the fixture
    async def main() -> None:
        async with asking(application(), turn=0.6) as client:
            for how in ("sleep", "busy", "later sleep"):
                await client.ask(Step(how, 0.15))

    run(main())
    assert told.events == []


def test_many_that_are_short_are_not_reported(run: Run, told: Told) -> None:  # noqa: F811 - the fixture
    """All in one turn of the loop, which is blocked; but not by one of them."""

    async def main() -> None:
        async with asking(application(), turn=0.3) as client:
            asked = [asyncio.create_task(client.ask(Step("busy", 0.005))) for _ in range(100)]
            await asyncio.sleep(0)
            begun = time.monotonic()
            await asyncio.wait(asked)
            assert time.monotonic() - begun > 0.4

    run(main())
    assert told.events == []


def test_one_report_in_a_while_and_the_rest_is_counted(
    run: Run,  # noqa: F811 - the fixture
    told: Told,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with asking(application()) as client:
            for _ in range(3):
                await client.ask(Step("sleep", LONG))
                await asyncio.sleep(TURN)
            assert len(told.events) == 1
            monkeypatch.setattr(watchdog, "_QUIET", 0)
            await client.ask(Step("sleep", LONG))
            await told.until(2)

    run(main())
    assert [event.unreported for event in told.events] == [0, 2]
    lines = [record.message for record in caplog.records if "kept the event loop" in record.message]
    assert len(lines) == 2
    assert "step kept the event loop to itself for 0." in lines[0]
    assert "and 2 times before" in lines[1]


def rests(dog: Watchdog) -> bool:
    return dog._is_resting


def test_a_server_without_callers_rests_and_still_sees_the_first_block(
    run: Run,  # noqa: F811 - the fixture
    told: Told,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watchdog, "_REST", 0.1)

    async def main() -> None:
        app = application()

        @app.on_connect
        async def greet() -> None:
            time.sleep(LONG)  # noqa: ASYNC251 - that is what it is about

        async with tomada.serve(app, "tcp://127.0.0.1:0", deadlines=tomada.Deadlines(turn=TURN)) as server:
            for count in (1, 2):
                while not rests(server._watchdog):  # noqa: ASYNC110 - it has no event
                    await asyncio.sleep(0.01)
                monkeypatch.setattr(watchdog, "_REST", 30)
                monkeypatch.setattr(watchdog, "_QUIET", 0)
                async with tomada.connect(server.addresses[0]) as client:
                    await client.ask(Step("sleep", 0))
                await told.until(count)
                assert told.handlers == ["greet"] * count
                monkeypatch.setattr(watchdog, "_REST", 0.1)

    run(main())


def test_one_that_rests_notices_what_nobody_told_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(watchdog, "_REST", 0.05)
    needed = False

    async def main() -> None:
        nonlocal needed
        dog = Watchdog(asyncio.get_running_loop(), TURN, {}, lambda: needed)
        dog.start()
        while not rests(dog):  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
        needed = True
        while rests(dog):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
        dog.stop()

    run(main())


def dogs() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "tomada watchdog"]


def test_it_ends_with_its_server(run: Run) -> None:  # noqa: F811 - the fixture
    async def main() -> None:
        async with asking(application()) as client:
            await client.ask(Step("sleep", 0))
            assert len(dogs()) == 1
        assert dogs() == []

    run(main())


def test_it_ends_with_its_loop(run: Run) -> None:  # noqa: F811 - the fixture
    async def main() -> None:
        Watchdog(asyncio.get_running_loop(), TURN, {}, lambda: True).start()

    run(main())
    end = time.monotonic() + 30
    while dogs() and time.monotonic() < end:
        time.sleep(0.005)
    assert dogs() == []
    watchdog._company.clear()


def test_it_keeps_no_process_from_ending() -> None:
    program = (
        "import asyncio; from tomada.watchdog import Watchdog\n"
        "async def main(): Watchdog(asyncio.get_running_loop(), 0.1, {}, lambda: True).start()\n"
        "loop = asyncio.new_event_loop(); loop.run_until_complete(main()); print('done')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "done\n"


def test_it_can_be_switched_off(run: Run) -> None:  # noqa: F811 - the fixture
    async def main() -> None:
        async with asking(application(), turn=inf) as client:
            await client.ask(Step("sleep", 0))
            assert dogs() == []

    run(main())


def test_a_simulation_is_not_watched() -> None:
    loop = TimelessLoop()

    async def main() -> None:
        dog = Watchdog(loop, TURN, {}, lambda: True)
        dog.start()
        await asyncio.sleep(1_000)
        assert dogs() == []
        dog.wake()
        dog.stop()

    loop.run_until_complete(main())
    loop.close()


def test_two_servers_on_one_loop_have_one_watchdog(run: Run, told: Told) -> None:  # noqa: F811 - the fixture
    async def main() -> None:
        async with asking(application()) as client:
            async with asking(application()) as other:
                assert len(dogs()) == 1
                await other.ask(Step("sleep", LONG))
                await told.until(1)
                assert told.handlers == ["step"]
            await client.ask(Step("sleep", 0))
            assert len(dogs()) == 1

    run(main())


def test_the_second_goes_on_when_the_first_has_closed(run: Run, told: Told) -> None:  # noqa: F811 - the fixture
    async def main() -> None:
        first = asking(application())
        await first.__aenter__()
        async with asking(application()) as client:
            await first.__aexit__(None, None, None)
            await client.ask(Step("later sleep", LONG))
            await told.until(1)
            assert told.handlers == ["step"]
        assert dogs() == []

    run(main())


def test_names_of_functions_that_are_wrapped() -> None:
    def checked(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*arguments: Any) -> Any:
            return function(*arguments)

        return wrapper

    def one() -> None: ...

    def two() -> None: ...

    wrapped = checked(one), checked(two)

    assert codes([(wrapped[0], "one"), (wrapped[1], "two"), (functools.partial(one), "a partial")]) == {
        one.__code__: "one",
        two.__code__: "two",
    }
    assert codes([(wrapped[0], "one")])[wrapped[0].__code__] == "one"


def test_a_loop_that_a_program_runs_by_itself(told: Told) -> None:
    """uvloop has no Python frame of its own: what has called it is no handler."""
    import uvloop  # noqa: PLC0415 - only here

    loop = uvloop.new_event_loop()

    async def main() -> None:
        dog = Watchdog(loop, LONG / 2, {}, lambda: True)
        dog.start()
        await asyncio.sleep(TURN / 2)
        for _ in range(60):
            loop.call_soon(busy, 0.005)
        await asyncio.sleep(TURN)
        time.sleep(LONG)  # noqa: ASYNC251 - that is what it is about
        await told.until(1)
        dog.stop()

    loop.run_until_complete(main())
    loop.close()
    assert told.handlers == ["main"]
