from __future__ import annotations

import asyncio
import random
import sys

import pytest

import tomada
from tests.integration.conftest import Run
from tests.streams.pairs import HASTE, HERE, SMALL, paired, until
from tomada import ConnectionLost, LimitExceeded, StreamBusy, StreamEnded, TimedOut

FRAMES = [b"", b"x", b"y" * 255, bytes(range(256)) * 10]


def test_receive_gives_what_has_come_and_no_bytes_at_the_end(run: Run) -> None:
    async def main() -> None:
        async with paired() as (near, far):
            await near.send(b"hello")
            assert await far.receive() == b"hello"
            await near.send(b"world")
            assert await far.receive(2) == b"wo"
            assert await far.receive() == b"rld"
            await near.shutdown()
            assert await far.receive() == b""
            assert await far.receive() == b""

    run(main())


def test_exactly_so_many_bytes_however_they_come(run: Run) -> None:
    async def main() -> None:
        async with paired() as (near, far):
            waiting = asyncio.create_task(far.receive_exactly(6))
            for byte in b"abcdef":
                await near.send(bytes([byte]))
                await asyncio.sleep(0)
            assert await waiting == b"abcdef"
            await near.send(b"gh")
            await near.shutdown()
            with pytest.raises(StreamEnded, match="2 of 5 bytes came") as ended:
                await far.receive_exactly(5)
            assert ended.value.received == b"gh"
            assert await far.receive() == b"gh"  # nothing is lost

    run(main())


def test_a_piece_longer_than_what_may_wait_is_received_all_the_same(run: Run) -> None:
    async def main() -> None:
        data = random.Random(1).randbytes(60_000)
        async with paired(limits=SMALL) as (near, far):
            async with asyncio.TaskGroup() as group:
                group.create_task(near.send(data * 2))
                assert await far.receive_exactly(60_000) == data
                assert await far.receive_exactly(60_000) == data
            with pytest.raises(LimitExceeded, match=r"65537 bytes at once are above Limits.message_bytes, 65536"):
                await far.receive_exactly(65_537)

    run(main())


def test_until_a_separator(run: Run) -> None:
    async def main() -> None:
        async with paired() as (near, far):
            await near.send(b"HELO here\r\nDATA\r\nrest")
            assert await far.receive_until(b"\r\n") == b"HELO here"
            assert await far.receive_until(b"\r\n") == b"DATA"
            assert await far.receive_exactly(4) == b"rest"
            await near.send(b"x" * 101)
            with pytest.raises(LimitExceeded):
                await far.receive_until(b"\n", 100)
            await far.receive()
            await near.send(b"cut")
            await near.shutdown()
            with pytest.raises(StreamEnded) as ended:
                await far.receive_until(b"\n")
            assert ended.value.received == b"cut"
            with pytest.raises(ValueError, match="the separator is empty"):
                await far.receive_until(b"")

    run(main())


def test_lines_end_in_either_way_and_the_last_may_have_no_end(run: Run) -> None:
    async def main() -> None:
        async with paired() as (near, far):
            await near.send(b"one\r\ntwo\n\n\rthree\r\nlast\r")
            await near.shutdown()
            assert [line async for line in far.lines()] == [b"one", b"two", b"", b"\rthree", b"last\r"]
            assert [line async for line in far.lines()] == []

    run(main())


def test_a_line_without_end_is_refused(run: Run) -> None:
    async def main() -> None:
        async with paired() as (near, far):
            await near.send(b"x" * 1_000)
            with pytest.raises(LimitExceeded, match="100 bytes came without"):
                await anext(far.lines(100))

    run(main())


PREFIXES = [tomada.u16, tomada.u32, tomada.u64, tomada.u16.little, tomada.u32.little]


@pytest.mark.parametrize("prefix", PREFIXES, ids=repr)
def test_frames(run: Run, prefix: tomada.LengthPrefix) -> None:
    async def main() -> None:
        async with paired() as (near, far):
            frames = near.frames(prefix)
            for payload in FRAMES:
                await frames.send(payload)
            await near.shutdown()
            assert [payload async for payload in far.frames(prefix)] == FRAMES

    run(main())


def test_what_a_prefix_says_is_what_others_write() -> None:
    assert tomada.u32.pack(258) == b"\x00\x00\x01\x02"
    assert tomada.u32.little.pack(258) == b"\x02\x01\x00\x00"
    assert tomada.u8.pack(255) == b"\xff"
    assert tomada.u16.unpack(b"\x01\x00") == 256
    assert tomada.u8.little.little is tomada.u8.little
    with pytest.raises(LimitExceeded, match="a frame of 256 bytes does not fit a length of type u8"):
        tomada.u8.pack(256)


def test_a_frame_above_the_limit_is_refused_before_anything_is_kept(run: Run) -> None:
    async def main() -> None:
        async with paired() as (near, far):
            await near.send(b"\xff\xff\xff\xff")
            with pytest.raises(LimitExceeded, match="a frame of 4294967295 bytes, the limit is 1000"):
                await far.frames(limit=1_000).receive()
            with pytest.raises(LimitExceeded, match="a frame of 1001 bytes is above the limit of 1000"):
                await far.frames(limit=1_000).send(b"x" * 1_001)

    run(main())


def test_a_stream_that_ends_within_a_frame_is_no_end_of_frames(run: Run) -> None:
    async def main() -> None:
        async with paired() as (near, far):
            await near.frames().send(b"whole")
            await near.send(b"\x00\x00\x00\x05cut")
            await near.shutdown()
            frames = aiter(far.frames())
            assert await anext(frames) == b"whole"
            with pytest.raises(StreamEnded, match="7 of 9 bytes came"):
                await anext(frames)

    run(main())


def test_a_call_that_is_cancelled_takes_nothing(run: Run) -> None:
    async def main() -> None:
        async with paired() as (near, far):
            calls = (far.receive_exactly(10), far.receive_until(b"\n"), far.frames().receive())
            await near.send(b"\x00\x00\x00\x09123")
            for call in calls:
                task = asyncio.create_task(call)
                for _ in range(5):
                    await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            await near.send(b"456789")
            assert await far.frames().receive() == b"123456789"

    run(main())


def test_two_tasks_cannot_receive_at_once(run: Run) -> None:
    async def main() -> None:
        async with paired() as (near, far):
            first = asyncio.create_task(far.receive())
            await asyncio.sleep(0)
            with pytest.raises(StreamBusy, match="another task receives"):
                await far.receive()
            await near.send(b"x")
            assert await first == b"x"

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="there are no eager tasks yet")
def test_a_task_that_begins_at_once_may_receive_in_place_of_the_handler() -> None:
    app = tomada.App()

    @app.stream(HERE)
    async def leave_it_to_a_task(stream: tomada.Stream) -> None:
        await stream.receive_exactly(1)
        task = asyncio.Task(stream.receive_exactly(4), loop=asyncio.get_running_loop(), eager_start=True)  # type: ignore[call-arg,unused-ignore] # from 3.12 on
        await stream.send(b"!")
        await stream.send(await task)

    async def main() -> None:
        async with tomada.serve(app) as server, tomada.connect_stream(server.addresses[0]) as near:
            await near.send(b"1")
            assert await near.receive_exactly(1) == b"!"
            await near.send(b"2345")
            assert await near.receive_exactly(4) == b"2345"

    asyncio.run(main())


def test_every_wait_to_receive_ends(run: Run) -> None:
    async def main() -> None:
        async with paired(deadlines=HASTE) as (near, far):
            with pytest.raises(TimedOut, match=r"within 0\.05 s"):
                await far.receive()
            with pytest.raises(TimedOut, match=r"within 0\.01 s"):
                await far.receive(timeout=0.01)
            await near.send(b"\x00")
            for call in (far.receive_exactly(2), far.receive_until(b"\n"), far.frames().receive()):
                with pytest.raises(TimedOut, match=r"within 0\.05 s"):
                    await call
            assert await far.receive() == b"\x00"

    run(main())


def test_single_bytes_do_not_renew_the_deadline_of_a_piece(run: Run) -> None:
    async def main() -> None:
        async with paired(deadlines=HASTE) as (near, far):

            async def trickle() -> None:
                while True:
                    near.send_nowait(b"x")
                    await asyncio.sleep(0.005)

            trickling = asyncio.create_task(trickle())
            for call in (
                far.receive_exactly(60_000),
                far.receive_until(b"\n"),
                far.receive_exactly(9_000, timeout=0.05),
            ):
                with pytest.raises(TimedOut):
                    await call
            trickling.cancel()

    run(main())


def test_a_frame_has_one_deadline_from_its_first_byte_to_its_last(run: Run) -> None:
    async def main() -> None:
        async with paired(deadlines=tomada.Deadlines(frame=1_000)) as (near, far):
            receiving = asyncio.create_task(far.frames().receive())
            await near.send(b"\0")
            await until(lambda: far.flow._wait)
            due = far.flow._wait
            await near.send(b"\0\0\x05rest")
            await until(lambda: far.flow._needed == 9)
            assert far.flow._wait == due
            await near.send(b"!")
            assert await receiving == b"rest!"

    run(main())


def test_who_looks_after_what_is_sent_does_not_shorten_the_wait_to_receive(run: Run) -> None:
    async def main() -> None:
        async with paired(deadlines=tomada.Deadlines(idle=1_000)) as (near, far):
            receiving = asyncio.create_task(far.receive())
            await until(lambda: far.flow._reader)
            for _ in range(20):
                far.flow.sweep(asyncio.get_running_loop().time())
            await asyncio.sleep(0)
            assert not receiving.done()
            await near.send(b"here")
            assert await receiving == b"here"

    run(main())


def test_a_deadline_that_is_not_reached_leaves_no_trace(run: Run) -> None:
    async def main() -> None:
        async with paired() as (near, far):
            for timeout in (5, 1, 0.2, 3):
                await near.send(b"x")
                assert await far.receive(timeout=timeout) == b"x"
            with pytest.raises(TimedOut):
                await far.receive(timeout=0.01)
            task = asyncio.create_task(far.receive(timeout=10))
            await asyncio.sleep(0.02)
            await near.send(b"late")
            assert await task == b"late"

    run(main())


def test_what_came_before_a_reset_is_received_first(run: Run) -> None:
    async def main() -> None:
        async with paired() as (near, far):
            await near.send(b"last words")
            await until(lambda: far.flow.buffer.size == 10)
            near.abort()
            await until(lambda: far.flow.lost)
            assert await far.receive() == b"last words"
            with pytest.raises(ConnectionLost, match="reset"):
                await far.receive()
            with pytest.raises(ConnectionLost, match="reset"):
                await far.receive_exactly(1)
            with pytest.raises(ConnectionLost):
                await far.send(b"x")
            assert not far.is_open
            assert "reset" in repr(far)

    run(main())


def test_a_reset_wakes_who_waits(run: Run) -> None:
    async def main() -> None:
        async with paired() as (near, far):
            waiting = asyncio.create_task(far.receive())
            await asyncio.sleep(0)
            near.abort()
            with pytest.raises(ConnectionLost):
                await waiting

    run(main())


def test_a_receiver_that_takes_nothing_holds_a_bounded_amount(run: Run) -> None:
    async def main() -> None:
        async with paired(limits=SMALL) as (near, far):
            sending = asyncio.create_task(near.send(bytes(8_000_000)))
            await until(lambda: near.flow.clogged)
            assert far.flow.buffer.size < 1_024 + 262_144  # one read of the loop above the limit
            received = 0
            while received < 8_000_000:
                received += len(await far.receive(1_000_000))
            await sending

    run(main())


def test_the_peers_address_and_a_description(run: Run) -> None:
    async def main() -> None:
        async with paired(HERE) as (near, far):
            assert str(far.peer).startswith("tcp://127.0.0.1:")
            assert repr(near) == f"<Stream with {near.peer}: open>"

    run(main())


def test_less_than_nothing_cannot_be_received(run: Run) -> None:
    async def main() -> None:
        async with paired() as (near, far):
            await near.send(b"four")
            assert await far.receive_exactly(1) == b"f"
            for count in (-1, -4, -(2**63)):
                with pytest.raises(ValueError, match=f"{count} bytes cannot be received"):
                    await far.receive_exactly(count)
            for most in (0, -1):
                with pytest.raises(ValueError, match=rf"receive\({most}\) would give no bytes"):
                    await far.receive(most)
            assert await far.receive_exactly(0) == b""
            assert await far.receive_exactly(3) == b"our"

    run(main())
