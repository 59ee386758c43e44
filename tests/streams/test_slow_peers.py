"""Peers that take what is sent slowly: what waits for them costs little, and nobody takes them for dead."""

from __future__ import annotations

import asyncio

from tests.integration.conftest import Run
from tests.streams.pairs import paired
from tests.streams.test_sending import clog
from tomada import Deadlines, Limits, Stream
from tomada.streams.outflow import PIECE
from tomada.transports import unacknowledged

ROOMY = Limits(buffer_bytes=8_388_608)


def written_by(stream: Stream) -> list[int]:
    """How long the pieces are that its transport is given from now on."""
    lengths: list[int] = []
    write = stream.flow.transport.write

    class Counting:
        def __getattr__(self, name: str) -> object:
            return getattr(stream_transport, name)

        def write(self, data: bytes) -> None:
            lengths.append(len(data))
            write(data)

    stream_transport = stream.flow.transport
    stream.flow.transport = Counting()  # type: ignore[assignment] # it has all that a transport has
    return lengths


def test_many_small_pieces_wait_as_few_large_ones(run: Run) -> None:
    async def main() -> None:
        async with paired(limits=ROOMY) as (_, far):
            while not far.flow.clogged:
                far.send_nowait(bytes(100_000))
            lengths = written_by(far)
            before = far.flow.waiting
            for _ in range(100_000):
                await far.send(b"ok")
            assert far.flow.waiting - before == 200_000
            assert len(lengths) == 200_000 // PIECE
            far.flow.count()
            assert far.flow.waiting - before == 200_000

    run(main())


def test_what_waits_in_small_pieces_goes_before_the_end(run: Run) -> None:
    async def main() -> None:
        for ends in (Stream.shutdown, Stream.close):
            async with paired(limits=ROOMY) as (near, far):
                while not far.flow.clogged:
                    far.send_nowait(bytes(100_000))
                far.send_nowait(b"the last ")
                far.send_nowait(b"words")
                ending = asyncio.create_task(ends(far))
                received = b"".join([chunk async for chunk in near])
                assert received.endswith(b"\0the last words")
                await near.close()
                await ending

    run(main())


def test_a_peer_that_takes_less_than_is_sent_anew_is_not_cut(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with paired(deadlines=Deadlines(progress=1_000)) as (near, far):
            while not far.flow.clogged:
                far.send_nowait(bytes(1_000))
            at_first = far.flow.transport.get_write_buffer_size()
            far.flow.write(bytes(30_000_000))
            waiting = far.flow.transport.get_write_buffer_size()
            while far.flow.transport.get_write_buffer_size() == waiting:
                await near.receive()
            assert far.flow.transport.get_write_buffer_size() > at_first
            far.flow.check_progress(loop.time() + 2_000)
            assert far.is_open

    run(main())


def test_what_the_kernel_has_passed_on_counts_as_taken(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with paired(deadlines=Deadlines(progress=1_000)) as (near, far):
            await clog(far)
            far.flow.check_progress(loop.time())
            held = unacknowledged(far.flow.transport)
            while unacknowledged(far.flow.transport) >= held:
                await near.receive(10_000)
            far.flow.check_progress(loop.time() + 2_000)
            assert far.is_open
            far.flow.check_progress(loop.time() + 2_000)
            far.flow.check_progress(loop.time() + 4_000)
            assert not far.is_open

    run(main())


def test_what_has_no_socket_has_nothing_in_the_kernel(run: Run) -> None:
    async def main() -> None:
        async with paired("memory://slow") as (_, far):
            await clog(far)
            assert unacknowledged(far.flow.transport) == 0

    run(main())
