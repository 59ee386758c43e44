from __future__ import annotations

import asyncio
import random

import pytest

import tomada
from tests.integration.conftest import Run
from tests.streams.pairs import HASTE, SMALL, paired
from tomada import BufferFull, ConnectionLost, Limits, Stream, TimedOut


async def clog(stream: Stream) -> int:
    """Send until there is no room; how many bytes that were."""
    sent = 0
    while not stream.flow.is_full:
        stream.send_nowait(bytes(100_000))
        sent += 100_000
    return sent


def test_a_large_piece_arrives_whole_and_in_order(run: Run) -> None:
    async def main() -> None:
        data = random.Random(7).randbytes(10_000_000)
        async with paired() as (near, far), asyncio.TaskGroup() as group:
            group.create_task(near.send(data))
            received = b"".join([await far.receive_exactly(1_000_000) for _ in range(10)])
            assert received == data

    run(main())


def test_what_many_send_at_once_is_not_mixed(run: Run) -> None:
    async def main() -> None:
        async with paired(limits=SMALL) as (near, far):

            async def say(letter: bytes) -> None:
                for _ in range(20):
                    await far.send(letter * 9_999 + b"\n")

            async with asyncio.TaskGroup() as group:
                for letter in b"abcdef":
                    group.create_task(say(bytes([letter])))
                lines = [await near.receive_until(b"\n") for _ in range(120)]
            assert all(line == line[:1] * 9_999 for line in lines)
            assert sorted(lines) == sorted(bytes([letter]) * 9_999 for letter in b"abcdef" for _ in range(20))

    run(main())


def test_who_sends_waits_for_one_who_does_not_receive(run: Run) -> None:
    async def main() -> None:
        async with paired(limits=SMALL) as (near, far):
            sent = await clog(far)
            waiting = asyncio.create_task(far.send(b"waits"))
            with pytest.raises(BufferFull, match=r"bytes wait until .* takes them"):
                far.send_nowait(b"x")
            with pytest.raises(TimedOut, match=r"did not take what was sent within 0\.01 s"):
                await far.flush(timeout=0.01)
            assert not waiting.done()
            assert len(await near.receive_exactly(sent)) == sent
            await waiting
            assert await near.receive_exactly(5) == b"waits"
            await far.flush()

    run(main())


def test_what_was_handed_over_goes_although_its_sender_gave_up(run: Run) -> None:
    async def main() -> None:
        async with paired(limits=SMALL) as (near, far):
            sent = await clog(far)
            with pytest.raises(TimedOut):
                await far.send(b"late", timeout=0.01)
            cancelled = asyncio.create_task(far.send(b"gone"))
            await asyncio.sleep(0)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            await near.receive_exactly(sent)
            assert await near.receive_exactly(8) == b"lategone"

    run(main())


def test_a_peer_that_takes_nothing_is_cut(run: Run) -> None:
    async def main() -> None:
        async with paired(limits=SMALL, deadlines=HASTE) as (near, far):
            near.flow.transport.pause_reading()
            await clog(far)
            with pytest.raises(ConnectionLost, match=r"took nothing of what was sent for 0\.05 s"):
                await far.send(b"x")
            with pytest.raises(ConnectionLost, match="took nothing"):
                await far.send(b"x")
            assert near.is_open

    run(main())


def test_a_peer_that_takes_little_by_little_is_not_cut(run: Run) -> None:
    async def main() -> None:
        deadlines = tomada.Deadlines(progress=0.3)
        limits = Limits(receive_bytes=1_024)
        async with paired(limits=SMALL, deadlines=deadlines) as (near, far):
            near.flow.limits = limits
            sent = await clog(far)
            sending = asyncio.create_task(far.send(b"x"))
            left = sent + 1
            while left:
                left -= len(await near.receive(100_000))
                await asyncio.sleep(0.002)
            await sending
            assert far.is_open

    run(main())


def test_what_may_change_is_copied(run: Run) -> None:
    async def main() -> None:
        async with paired() as (near, far):
            await clog(far)
            data = bytearray(b"before")
            sending = asyncio.create_task(far.send(data))
            await asyncio.sleep(0)
            data[:] = b"after!"
            while not (await near.receive()).endswith(b"before"):
                pass
            await sending
            await far.send(memoryview(b"view"))
            assert await near.receive_exactly(4) == b"view"

    run(main())


def test_half_close_in_both_directions(run: Run) -> None:
    async def main() -> None:
        async with paired() as (near, far):
            await near.send(b"question")
            await near.shutdown()
            await near.shutdown()
            with pytest.raises(ConnectionLost, match="shut down for sending"):
                await near.send(b"more")
            assert await far.receive() == b"question"
            assert await far.receive() == b""
            await far.send(b"answer")
            assert await near.receive() == b"answer"
            await far.shutdown("both")
            assert await near.receive() == b""

    run(main())


def test_shut_down_for_receiving_what_comes_is_dropped(run: Run) -> None:
    async def main() -> None:
        async with paired(limits=SMALL) as (near, far):
            await near.send(b"unheard")
            await far.shutdown("receive")
            assert await far.receive() == b""
            await near.send(bytes(5_000_000))
            assert await far.receive() == b""
            await far.send(b"still here")
            assert await near.receive() == b"still here"

    run(main())


def test_out_of_band_data_overtakes(run: Run) -> None:
    async def main() -> None:
        async with paired(limits=SMALL) as (near, far):
            sending = asyncio.create_task(near.send(bytes(200_000)))
            await near.send_out_of_band(b"!")
            assert await far.receive_out_of_band() == b"!"
            assert len(await far.receive_exactly(65_000)) == 65_000
            waiting = asyncio.create_task(far.receive_out_of_band())
            with pytest.raises(TimedOut, match="sent no out-of-band data within"):
                await far.receive_out_of_band(timeout=0.01)
            await near.send_out_of_band(b"?")
            assert await waiting == b"?"
            received = 65_000
            while received < 200_000:
                received += len(await far.receive())
            await sending
            with pytest.raises(ValueError, match="one byte out of band at a time, not 2"):
                await near.send_out_of_band(b"ab")
            waiting = asyncio.create_task(far.receive_out_of_band())
            await asyncio.sleep(0)
            near.abort()
            assert await waiting == b""
            with pytest.raises(ConnectionLost):
                await near.send_out_of_band(b"x")

    run(main())


def test_only_tcp_has_out_of_band_data(run: Run, folder: str) -> None:
    async def main() -> None:
        async with paired(f"unix://{folder}/app.sock") as (near, far):
            with pytest.raises(tomada.TransportError, match="not plain TCP"):
                await near.send_out_of_band(b"x")
            with pytest.raises(tomada.TransportError, match="not plain TCP"):
                await far.receive_out_of_band()

    run(main())
