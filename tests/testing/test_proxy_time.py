"""How long bytes take through the fault proxy, and in which order they come: in memory, on a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.testing.proxied import Proxied, piece_sizes, proxied
from tests.timeless import TimelessLoop
from tomada.testing import Faults

PLACES = ("memory://proxy", "memory://server")


def run(main: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=TimelessLoop) as runner:
        runner.run(main)


def now() -> float:
    return asyncio.get_running_loop().time()


def test_latency_is_added_once_each_way() -> None:
    async def main() -> None:
        async with proxied(*PLACES, faults=Faults(latency=0.25)) as place:
            near, far = await place.both()
            began = now()
            await near.send(b"ping")
            assert await far.receive_exactly(4) == b"ping"
            assert now() - began == pytest.approx(0.25)
            await far.send(b"pong")
            assert await near.receive_exactly(4) == b"pong"
            assert now() - began == pytest.approx(0.5)
            await near.shutdown()
            assert await far.receive() == b""
            assert now() - began == pytest.approx(0.75), "the end is under way as long"

    run(main())


def test_what_is_under_way_does_not_wait_for_what_was_sent_before() -> None:
    async def main() -> None:
        async with proxied(*PLACES, faults=Faults(latency=1)) as place:
            near, far = await place.both()
            began = now()
            for byte in (b"1", b"2", b"3"):
                await near.send(byte)
                await asyncio.sleep(0.1)
            for byte in (b"1", b"2", b"3"):
                assert await far.receive_exactly(1) == byte
            assert now() - began == pytest.approx(1.2)

    run(main())


def test_a_reset_by_one_end_is_under_way_too() -> None:
    async def main() -> None:
        async with proxied(*PLACES, faults=Faults(latency=1)) as place:
            near, far = await place.both()
            began = now()
            near.abort()
            with pytest.raises(ConnectionError):
                await far.receive()
            assert now() - began == pytest.approx(1)
            assert place.proxy.statistics().resets == 0, "it was not the proxy's"

    run(main())


@pytest.mark.parametrize("bandwidth", [100, 1_000, 1_000_000])
def test_bandwidth_is_kept(bandwidth: int) -> None:
    async def main() -> None:
        async with proxied(*PLACES, faults=Faults(bandwidth=bandwidth)) as place:
            near, far = await place.both()
            bystander, other = await place.both()
            began = now()
            sending = asyncio.create_task(near.send(b"x" * bandwidth * 3))
            await bystander.send(b"y")
            assert await other.receive_exactly(1) == b"y"
            assert now() - began < 0.1, "each connection has its own"
            await far.receive_exactly(bandwidth)
            assert now() - began == pytest.approx(1, abs=0.03)
            await far.receive_exactly(2 * bandwidth)
            assert now() - began == pytest.approx(3, abs=0.03)
            await sending

    run(main())


def test_a_stall_lasts_until_it_is_told_to_end_and_nothing_is_lost() -> None:
    async def main() -> None:
        async with proxied(*PLACES) as place:
            near, far = await place.both()
            place.proxy.stall()
            late_near = await place.client()
            await near.send(b"sent")
            await near.shutdown()
            with pytest.raises(TimeoutError):
                await far.receive(timeout=100)
            with pytest.raises(TimeoutError):
                await place.listener.accept(timeout=100)
            place.proxy.go_on()
            assert await far.receive_exactly(4) == b"sent"
            assert await far.receive() == b""
            late_far = await place.accepted()
            await late_far.send(b"here")
            assert await late_near.receive_exactly(4) == b"here"

    run(main())


def test_bytes_come_one_by_one() -> None:
    async def main() -> None:
        async with proxied(*PLACES, faults=Faults(slice=1)) as place:
            assert await piece_sizes(place, bytes(range(256))) == [1] * 256

    run(main())


def test_sizes_follow_from_the_seed_and_the_number_of_the_connection() -> None:
    data = Random(0).randbytes(5_000)
    sizes: list[list[int]] = []

    async def main(seed: int) -> None:
        async with proxied(*PLACES, faults=Faults(slice=(1, 40)), seed=seed) as place:
            sizes.extend([await piece_sizes(place, data), await piece_sizes(place, data)])

    for seed in (1, 1, 2):
        run(main(seed))
    first, second, first_again, second_again, other, _ = sizes
    assert (first, second) == (first_again, second_again)
    assert first != second
    assert first != other
    assert max(first) <= 40
    assert len(set(first)) > 20


FAULTS = st.builds(
    Faults,
    latency=st.sampled_from([0.0, 0.01, 2.0]),
    bandwidth=st.sampled_from([float("inf"), 50_000.0, 1e6]),
    slice=st.sampled_from([0, 1, 7, (1, 3), (1, 1_400)]),
)


@settings(deadline=None)
@given(
    chunks=st.lists(st.binary(min_size=1, max_size=400), max_size=20),
    changes=st.lists(st.tuples(st.floats(0, 0.05), FAULTS, st.booleans()), min_size=1, max_size=6),
    seed=st.integers(0, 1_000),
)
def test_bytes_arrive_whole_and_in_order(
    chunks: list[bytes], changes: list[tuple[float, Faults, bool]], seed: int
) -> None:
    async def disturb(place: Proxied) -> None:
        for pause, faults, is_stalled in changes:
            place.proxy.faults = faults
            if is_stalled:
                place.proxy.stall()
            await asyncio.sleep(pause)
            place.proxy.go_on()

    async def main() -> None:
        async with proxied(*PLACES, seed=seed, buffer_bytes=1_000) as place, asyncio.TaskGroup() as group:
            near, far = await place.both()
            group.create_task(disturb(place))
            for chunk in chunks:
                await near.send(chunk)
                await far.send(chunk[::-1])
            await near.shutdown()
            await far.shutdown()
            assert b"".join([piece async for piece in far]) == b"".join(chunks)
            assert b"".join([piece async for piece in near]) == b"".join(chunk[::-1] for chunk in chunks)

    run(main())
