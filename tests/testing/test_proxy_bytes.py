"""What the fault proxy does to bytes, over real sockets; `test_proxy_time.py` has what it does in exact time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

import tomada
from tests.integration.conftest import Run
from tests.testing.proxied import (
    LONG,
    healthy,
    is_reset,
    nothing_comes,
    passes,
    piece_sizes,
    proxied,
    send_until_full,
    until,
)
from tomada.testing import Faults


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_without_faults_all_passes_both_ways_with_its_end(run: Run, folder: Path, kind: str) -> None:
    async def main() -> None:
        places = ("tcp://localhost:0", "tcp://127.0.0.1:0")
        if kind == "unix":
            places = (f"unix://{folder}/proxy.sock", f"unix://{folder}/server.sock")
        data = Random(7).randbytes(3_000_000)
        async with proxied(*places) as place:
            near, far = await place.both()

            async def send(stream: tomada.Stream) -> None:
                await stream.send(data)
                await stream.shutdown()

            sending = [asyncio.create_task(send(stream)) for stream in (near, far)]
            for stream in (far, near):
                assert b"".join([piece async for piece in stream]) == data
            await asyncio.gather(*sending)
            await until(lambda: not place.proxy.connections)
            statistics = place.proxy.statistics()
            assert (statistics.to_server_bytes, statistics.to_client_bytes) == (len(data), len(data))
            assert (statistics.connections, statistics.open, statistics.resets) == (1, 0, 0)

    run(main())


def test_bytes_come_one_by_one(run: Run) -> None:
    async def main() -> None:
        async with proxied(faults=Faults(slice=1)) as place:
            sizes = await piece_sizes(place, bytes(range(256)))
            assert sizes.count(1) > 200, "the system may have joined a few"

    run(main())


def test_each_way_has_its_own_faults(run: Run) -> None:
    async def main() -> None:
        async with proxied() as place:
            near, far = await place.both()
            place.proxy.to_client = Faults(latency=3_600)
            await passes(near, far)
            await far.send(b"later")
            await nothing_comes(near)
            assert place.proxy.to_server == Faults()
            with pytest.raises(ValueError, match="not the same both ways: read to_server and to_client"):
                _ = place.proxy.faults

            place.proxy.to_client = Faults()  # also for what waits
            assert await near.receive_exactly(5, timeout=LONG) == b"later"
            assert place.proxy.faults == Faults()

    run(main())


@pytest.mark.parametrize("faults", [Faults(), Faults(latency=3_600), Faults(bandwidth=1_000), Faults(slice=1)])
def test_it_reads_no_faster_than_it_passes_on(run: Run, faults: Faults) -> None:
    async def main() -> None:
        async with proxied(buffer_bytes=100_000) as place:
            near, far = await place.both()
            bystander, other = await place.both()
            place.proxy.to_server = faults
            if faults == Faults():
                place.proxy.connections[0].stall("to_server")
            sent = await send_until_full(near)
            assert sent < 60_000_000, "the kernel's buffers and the client's, and no more"
            (pipe,) = [pair.pipes["to_server"] for pair in place.proxy._relay.pairs if pair.number == 1]
            assert pipe._waiting <= 100_000 + 2 * 262_144, "the bound, and what one reading brings"
            place.proxy.to_server = Faults()
            await healthy(bystander, other)
            place.proxy.connections[0].go_on()
            await far.receive_exactly(1_000_000, timeout=LONG)

    run(main())


def test_a_receiver_that_does_not_read_holds_its_sender_up(run: Run) -> None:
    async def main() -> None:
        async with proxied() as place:
            near, far = await place.both()
            bystander, other = await place.both()
            sent = await send_until_full(near)
            assert sent < 60_000_000
            await healthy(bystander, other)
            assert far.statistics().unread_bytes < 1_000_000

    run(main())


@pytest.mark.parametrize("count", [0, 1, 1_000, 300_000])
@pytest.mark.parametrize("way", ["to_server", "to_client"])
def test_each_connection_is_reset_after_exactly_so_many_bytes(run: Run, way: str, count: int) -> None:
    async def main() -> None:
        data = Random(count).randbytes(count + 70_000)
        async with proxied() as place:
            bystander, other = await place.both()
            setattr(place.proxy, way, Faults(reset_after=count or 1))
            if not count:
                near, far = await place.both()
                setattr(place.proxy, way, Faults(reset_after=0))
                assert await is_reset(near)
                assert await is_reset(far)
                assert await is_reset(bystander)
                return
            near, far = await place.both()
            sender, receiver = (near, far) if way == "to_server" else (far, near)
            sending = asyncio.create_task(sender.send(data))
            assert await receiver.receive_exactly(count, timeout=LONG) == data[:count]
            assert await is_reset(receiver)
            assert await is_reset(sender)
            await asyncio.wait([sending])
            sending.exception()
            if count > 100:
                await healthy(bystander, other)
            assert place.proxy.statistics().resets == 1

    run(main())


def test_the_count_begins_anew_with_each_assignment(run: Run) -> None:
    async def main() -> None:
        async with proxied() as place:
            near, far = await place.both()
            await passes(near, far, b"x" * 500)
            place.proxy.to_server = Faults(reset_after=10)
            await passes(near, far, b"123456789")
            place.proxy.to_server = Faults(reset_after=3)
            await passes(near, far, b"12")
            await passes(near, far, b"3")
            assert await is_reset(near)

    run(main())


def test_a_reset_that_waits_for_a_receiver_that_has_gone_comes_at_once(run: Run) -> None:
    async def main() -> None:
        async with proxied() as place:
            near, far = await place.both()
            place.proxy.to_server = Faults(reset_after=60_000_000)
            await send_until_full(near)
            waiting = place.proxy._relay.pairs[0]
            waiting.reset_behind(waiting.pipes["to_server"])
            far.abort()
            assert await is_reset(near)
            await until(lambda: not place.proxy.connections)
            assert place.proxy.statistics().resets == 1

    run(main())


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"latency": -1}, "latency is -1, it must be 0 or more"),
        ({"latency": True}, "latency is True"),
        ({"latency": float("inf")}, "latency is inf"),
        ({"bandwidth": 0}, "bandwidth is 0, it must be above 0"),
        ({"bandwidth": "fast"}, "bandwidth is 'fast'"),
        ({"slice": -1}, "slice is -1, it must be a whole number, or the smallest and the largest size"),
        ({"slice": (0, 5)}, r"slice is \(0, 5\)"),
        ({"slice": (5, 1)}, r"slice is \(5, 1\)"),
        ({"slice": (1, 2, 3)}, r"slice is \(1, 2, 3\)"),
        ({"slice": 1.5}, "slice is 1.5"),
        ({"reset_after": -1}, "reset_after is -1, it must be a whole number, 0 or more, or None"),
    ],
)
def test_wrong_faults_are_refused(wrong: dict[str, float], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Faults(**wrong)  # type: ignore[arg-type]  # wrong on purpose
