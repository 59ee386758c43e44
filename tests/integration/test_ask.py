from __future__ import annotations

import asyncio

import pytest

import tomada
from tests.integration.conftest import Run
from tests.integration.house import (
    Back,
    Echo,
    Hold,
    house,
    serving,
)


def test_calls_share_a_connection_and_end_in_any_order(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, stage), tomada.connect(server.addresses[0]) as client:
            names = [str(number) for number in range(200)]
            calls = [asyncio.create_task(client.ask(Hold(name))) for name in names]
            await stage.until(*[f"began {name}" for name in names])
            assert [event for event in stage.events if event.startswith("began")] == [f"began {n}" for n in names]
            for name, call in reversed(list(zip(names, calls, strict=True))):
                stage.open(name)
                assert await call == name
            assert stage.most == 200

    run(main())


def test_a_cancelled_call_cancels_its_handler(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, stage), tomada.connect(server.addresses[0]) as client:
            call = asyncio.create_task(client.ask(Hold("a")))
            await stage.until("began a")
            call.cancel()
            await stage.until("cancelled a")
            with pytest.raises(asyncio.CancelledError):
                await call
            assert await client.ask(Echo(b"on")) == b"on"

    run(main())


def test_a_call_that_takes_too_long_times_out_and_its_handler_is_cancelled(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, stage), tomada.connect(server.addresses[0]) as client:
            with pytest.raises(tomada.TimedOut, match=r"no reply to Hold from tcp://127.0.0.1:\d+ within 0.05 s"):
                await client.ask(Hold("a"), timeout=0.05)
            await stage.until("cancelled a")

    run(main())


def test_both_ends_ask_inside_handlers(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, stage), tomada.connect(server.addresses[0], app=house(stage)) as client:
            assert await asyncio.gather(*[client.ask(Back(depth)) for depth in range(20)]) == list(range(20))

    run(main())


def test_nested_calls_pass_where_only_one_handler_waits_at_each_end(run: Run) -> None:
    """More calls than handlers, in both directions: answers are read although requests wait."""

    async def main() -> None:
        limits = tomada.Limits(handlers=8)
        async with (
            serving(limits=limits) as (server, stage),
            tomada.connect(server.addresses[0], app=house(stage)) as client,
        ):
            assert await asyncio.gather(*[client.ask(Back(1)) for _ in range(100)]) == [1] * 100

    run(main())
