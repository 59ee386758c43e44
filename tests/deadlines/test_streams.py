"""The deadlines of byte streams, on a clock that jumps."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

import tomada
from tests.deadlines.virtual import HERE, SLACK, lasting, now, virtually
from tomada import ConnectionLost, Deadlines, Stream, TimedOut
from tomada.streams.flow import Flow
from tomada.streams.inflow import PARTS
from tomada.telemetry import DeadlineStruck

Struck = list[DeadlineStruck]
PART = 300 / PARTS
"""A wait that ends by `Deadlines.idle` is so late, at most."""


def names(struck: Struck) -> list[tuple[str, float]]:
    return [(event.deadline, event.seconds) for event in struck]


@asynccontextmanager
async def paired(deadlines: Deadlines | None = None) -> AsyncIterator[tuple[Stream, Stream]]:
    """The client's end and the server's, which is the one with these deadlines."""
    app = tomada.App()
    accepted: asyncio.Future[Stream] = asyncio.get_running_loop().create_future()
    done = asyncio.Event()

    @app.stream(HERE)
    async def hand_over(stream: Stream) -> None:
        accepted.set_result(stream)
        await done.wait()

    async with tomada.serve(app, deadlines=deadlines):
        near = await tomada.connect_stream(HERE, deadlines=Deadlines(idle=math.inf))
        far = await accepted
        try:
            yield near, far
        finally:
            done.set()
            near.abort()
            await near.close()
            await far.close()


def test_who_waits_and_nothing_is_exchanged_for_five_minutes_hears_of_it(struck: Struck) -> None:
    async def main() -> None:
        async with paired() as (near, far):
            for _ in range(3):
                with lasting(300, PART + SLACK), pytest.raises(TimedOut, match="within 300 s"):
                    await far.receive()
            await near.send(b"late")
            assert await far.receive() == b"late", "the stream is the handler's: it may go on"

    virtually(main())
    assert names(struck) == [("idle", 300)] * 3


def test_a_handler_that_does_not_catch_it_ends_its_stream(struck: Struck) -> None:
    async def main() -> None:
        app = tomada.App()

        @app.stream(HERE)
        async def echo(stream: Stream) -> None:
            async for chunk in stream:
                await stream.send(chunk)

        async with tomada.serve(app) as server:
            near = await tomada.connect_stream(HERE, deadlines=Deadlines(idle=math.inf))
            with lasting(300, PART + SLACK):
                assert await near.receive() == b""
            await near.close()
            await asyncio.sleep(1)
            assert (server.statistics().streams, server.statistics().opened, server.statistics().failed) == (0, 1, 0)

    virtually(main())
    assert names(struck) == [("idle", 300)]


def test_what_comes_renews_the_wait(struck: Struck) -> None:
    async def main() -> None:
        async with paired() as (near, far):
            for _ in range(10):
                await asyncio.sleep(299)
                await near.send(b"x")
                receiving = asyncio.create_task(far.receive())
                await asyncio.sleep(0)
                assert await receiving == b"x"

    virtually(main())
    assert struck == []


def test_what_is_sent_is_exchanged_too(struck: Struck) -> None:
    async def main() -> None:
        async with paired() as (near, far):
            receiving = asyncio.create_task(far.receive())
            for _ in range(10):
                await asyncio.sleep(200)
                await far.send(b"x")
                assert not receiving.done()
                await near.receive()
            with lasting(300, 300 + PART + SLACK), pytest.raises(TimedOut):
                await receiving

    virtually(main())
    assert names(struck) == [("idle", 300)]


def test_where_nobody_receives_a_stream_is_not_idle(struck: Struck) -> None:
    async def main() -> None:
        async with paired() as (near, far):
            await asyncio.sleep(100_000)
            await near.send(b"still there")
            assert await far.receive() == b"still there"

    virtually(main())
    assert struck == []


def test_a_wait_that_begins_late_has_all_of_its_time(struck: Struck) -> None:
    async def main() -> None:
        async with paired() as (_, far):
            for pause in (299, 301, 44.4):
                await asyncio.sleep(pause)
                with lasting(300, PART + SLACK), pytest.raises(TimedOut):
                    await far.receive()

    virtually(main())
    assert names(struck) == [("idle", 300)] * 3


def test_what_is_begun_must_be_whole_after_thirty_seconds(struck: Struck) -> None:
    async def main() -> None:
        async with paired() as (near, far):
            in_frames = far.frames(tomada.u16)

            async def trickle() -> None:
                for _ in range(1_000):
                    await near.send(b"\1")
                    await asyncio.sleep(0.3)

            for call in (partial(far.receive_exactly, 500), partial(far.receive_until, b"\n"), in_frames.receive):
                await near.send(b"\1")
                trickling = asyncio.create_task(trickle())
                with lasting(30), pytest.raises(TimedOut, match="within 30 s"):
                    await call()
                trickling.cancel()
                await asyncio.wait([trickling])
                await far.receive()

    virtually(main())
    assert names(struck) == [("frame", 30)] * 3


def test_a_piece_that_single_bytes_renewed_would_be_seen(struck: Struck, monkeypatch: pytest.MonkeyPatch) -> None:
    data_received = Flow.data_received

    def renewed(flow: Flow, data: bytes) -> None:
        if flow._wait is not None:
            flow._wait = (flow.loop.time() + 30, *flow._wait[1:])
        data_received(flow, data)

    monkeypatch.setattr(Flow, "data_received", renewed)
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        test_what_is_begun_must_be_whole_after_thirty_seconds(struck)


def test_a_call_with_a_time_out_of_its_own_ends_just_then(struck: Struck) -> None:
    async def main() -> None:
        async with paired() as (near, far):
            for timeout in (1.03, 0.01, 400.5):
                with lasting(timeout, 0.001), pytest.raises(TimedOut, match=f"within {timeout:g} s"):
                    await far.receive(timeout=timeout)
            await near.send(b"x")
            with lasting(50.07, 0.001), pytest.raises(TimedOut):
                await far.receive_exactly(2, timeout=50.07)

    virtually(main())
    assert struck == [], "that is the program's own affair"


def test_a_wait_that_was_forgotten_does_not_shorten_the_next(struck: Struck) -> None:
    async def main() -> None:
        async with paired() as (near, far):
            receiving = asyncio.create_task(far.receive(timeout=5))
            await asyncio.sleep(1)
            await near.send(b"x")
            assert await receiving == b"x"
            with lasting(300, PART + SLACK), pytest.raises(TimedOut, match="within 300 s"):
                await far.receive()
            with lasting(20, 0.001), pytest.raises(TimedOut, match="within 20 s"):
                await far.receive(timeout=20)

    virtually(main())
    assert names(struck) == [("idle", 300)]


def test_a_peer_that_takes_nothing_is_cut_after_thirty_seconds(struck: Struck) -> None:
    async def main() -> None:
        async with paired() as (near, far):
            near.flow.transport.pause_reading()
            begun = now()
            far.send_nowait(bytes(2_000_000))
            with pytest.raises(ConnectionLost, match="took nothing of what was sent for 30 s"):
                await far.flush()
            assert 30 <= now() - begun <= 31

    virtually(main())
    assert names(struck) == [("progress", 30)]


def test_a_peer_that_takes_little_at_a_time_is_not_cut(struck: Struck) -> None:
    async def main() -> None:
        async with paired() as (near, far):
            while not far.flow.clogged:
                far.send_nowait(bytes(100_000))
            far.send_nowait(bytes(900_000))
            for _ in range(10):
                near.flow.transport.pause_reading()
                await asyncio.sleep(29)
                near.flow.transport.resume_reading()
                for _ in range(3):
                    await asyncio.sleep(0)
                near.flow.buffer.clear()
            assert far.is_open

    virtually(main())
    assert struck == []


def test_what_has_not_gone_ten_seconds_after_the_close_is_lost(struck: Struck) -> None:
    async def main() -> None:
        async with paired(Deadlines(progress=math.inf)) as (near, far):
            near.flow.transport.pause_reading()
            while not far.flow.clogged:
                far.send_nowait(bytes(100_000))
            with lasting(10, 1.5):  # and the second in which it listens
                await far.close()

    virtually(main())
    assert names(struck) == [("drain", 10)]


def test_idle_streams_set_no_timers_and_are_looked_at_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []
    sweep = Flow.sweep

    def counted(flow: Flow, at: float) -> float:
        looks.append(at)
        return sweep(flow, at)

    monkeypatch.setattr(Flow, "sweep", counted)

    async def main() -> None:
        app = tomada.App()

        @app.stream(HERE)
        async def echo(stream: Stream) -> None:
            async for chunk in stream:
                await stream.send(chunk)

        loop = asyncio.get_running_loop()
        assert isinstance(loop, asyncio.BaseEventLoop)
        async with tomada.serve(app):
            streams = [await tomada.connect_stream(HERE) for _ in range(500)]
            await asyncio.sleep(1)
            timers = [timer for timer in loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined] # asyncio's own
            assert len(timers) == 1, "the wheel's"
            looks.clear()
            await asyncio.sleep(270)
            assert len(looks) == 2 * 500 * 9, "both ends, once in a tenth of the time"
            assert len(set(looks)) <= 20, "and together"
            for stream in streams:
                stream.abort()
            await asyncio.sleep(1)

    virtually(main())
