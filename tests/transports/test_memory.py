from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

import tomada.sync
from tests.transports.conftest import Run
from tests.transports.recorder import Recorder, connected, serving
from tomada import transports
from tomada.address import Address
from tomada.errors import AddressInUse, ConnectFailed
from tomada.transports import memory
from tomada.transports.memory_transport import INBOX_BYTES, MemoryTransport

HERE = Address.parse("memory://bank")
RESET = "Connection reset by peer"


class Diary(asyncio.Protocol):
    """What happened, in order; bytes are joined."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.data = b""
        self.keep_open = False
        self.transport: MemoryTransport

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.events.append("made")

    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        self.data += data

    def eof_received(self) -> bool:
        self.events.append("end")
        return self.keep_open

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append("lost" if exc is None else exc)

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")


@asynccontextmanager
async def two_ends(kind: Callable[[], Any] = Diary) -> AsyncIterator[tuple[Any, Any]]:
    """The diaries of the connecting and of the accepting end."""
    accepted: list[Any] = []

    def accept() -> Any:
        accepted.append(kind())
        return accepted[-1]

    listener = await transports.listen(HERE, accept)
    _, near = await transports.connect(HERE, kind, timeout=30)
    listener.close()
    await settled()
    yield near, accepted[0]
    near.transport.abort()
    accepted[0].transport.abort()
    await settled()


async def settled() -> None:
    """All that follows from what has been done has been done: nothing here waits for anything but the loop."""
    for _ in range(50):
        await asyncio.sleep(0)


def both_ends(test: Callable[[Diary, Diary], Coroutine[Any, Any, None]]) -> Callable[[Run], None]:
    """A test of two ends, run on both loops."""

    def run_it(run: Run) -> None:
        async def main() -> None:
            async with two_ends() as (near, far):
                await test(near, far)

        run(main())

    run_it.__name__ = test.__name__
    return run_it


def test_bytes_go_both_ways_and_both_ends_know_the_name(run: Run) -> None:
    async def main() -> None:
        async with serving(HERE) as server, connected(HERE) as (transport, client):
            assert server.listener.addresses == (HERE,)
            peer = await server.accepted.get()
            transport.write(b"ola")
            assert await peer.data == b"ola"
            (await peer.made).write(b"tchau")
            assert await client.data == b"tchau"
            for end in (transport, await peer.made):
                assert transports.peer_address(end) == HERE
                assert end.get_extra_info("peername") == end.get_extra_info("sockname") == "memory://bank"
                assert end.get_extra_info("socket") is None
                assert repr(end) == "<MemoryTransport memory://bank open>"

    run(main())


@both_ends
async def test_nothing_is_delivered_within_the_call_that_sends_it(near: Diary, far: Diary) -> None:
    near.transport.write(b"a")
    near.transport.writelines([b"b", bytearray(b"c"), memoryview(b"d")])
    near.transport.write(b"")
    assert far.data == b""
    await settled()
    assert far.data == b"abcd"


@both_ends
async def test_what_is_written_may_be_changed_afterwards(near: Diary, far: Diary) -> None:
    mutable = bytearray(b"then")
    near.transport.write(mutable)
    mutable[:] = b"now!"
    await settled()
    assert far.data == b"then"


@both_ends
async def test_who_does_not_read_makes_the_writer_pause_and_bounds_what_is_under_way(near: Diary, far: Diary) -> None:
    data = random.Random(1).randbytes(3 * INBOX_BYTES)
    near.transport.set_write_buffer_limits(high=INBOX_BYTES, low=1000)
    assert near.transport.get_write_buffer_limits() == (1000, INBOX_BYTES)
    far.transport.pause_reading()
    near.transport.write(data)
    await settled()
    assert (near.events, far.data) == (["made", "pause"], b"")
    assert near.transport.get_write_buffer_size() == 2 * INBOX_BYTES
    far.transport.resume_reading()
    await settled()
    assert (near.events, far.data) == (["made", "pause", "resume"], data)
    assert near.transport.get_write_buffer_size() == 0


@both_ends
async def test_without_a_buffer_the_writer_pauses_when_the_inbox_is_full(near: Diary, far: Diary) -> None:
    near.transport.set_write_buffer_limits(0)
    far.transport.pause_reading()
    near.transport.write(bytes(INBOX_BYTES))
    assert near.events == ["made"]
    near.transport.write(b"x")
    assert near.events == ["made", "pause"]
    far.transport.resume_reading()
    assert near.events == ["made", "pause"]
    await settled()
    assert near.events == ["made", "pause", "resume"]


@both_ends
async def test_a_reader_that_pauses_gets_nothing_more_from_the_next_byte_on(near: Diary, far: Diary) -> None:
    near.transport.write(b"unread")
    far.transport.pause_reading()
    await settled()
    assert (far.data, far.transport.is_reading()) == (b"", False)
    far.transport.resume_reading()
    assert (far.data, far.transport.is_reading()) == (b"", True)
    await settled()
    assert far.data == b"unread"


@both_ends
async def test_half_a_connection_closes_and_the_other_half_goes_on(near: Diary, far: Diary) -> None:
    far.keep_open = True
    assert near.transport.can_write_eof()
    near.transport.write(b"question")
    near.transport.write_eof()
    near.transport.write_eof()
    with pytest.raises(RuntimeError, match="after write_eof"):
        near.transport.write(b"x")
    await settled()
    assert (far.data, far.events) == (b"question", ["made", "end"])
    far.transport.write(b"answer")
    await settled()
    assert near.data == b"answer"
    far.transport.close()
    await settled()
    assert near.events == ["made", "end", "lost"]
    assert far.events == ["made", "end", "lost"]


@both_ends
async def test_the_end_comes_behind_all_bytes(near: Diary, far: Diary) -> None:
    far.transport.pause_reading()
    near.transport.write(bytes(5 * INBOX_BYTES))
    near.transport.write_eof()
    await settled()
    assert far.events == ["made"]
    far.transport.resume_reading()
    await settled()
    assert len(far.data) == 5 * INBOX_BYTES
    assert far.events == ["made", "end", "lost"]


@both_ends
async def test_who_does_not_keep_it_open_closes_at_the_end(near: Diary, far: Diary) -> None:
    near.transport.write_eof()
    await settled()
    assert (near.events, far.events) == (["made", "end", "lost"], ["made", "end", "lost"])


@both_ends
async def test_closing_sends_what_was_written_and_then_both_ends_are_told(near: Diary, far: Diary) -> None:
    far.transport.pause_reading()
    near.transport.write(bytes(3 * INBOX_BYTES))
    near.transport.close()
    near.transport.close()
    near.transport.write(b"too late")
    near.transport.write_eof()
    assert near.transport.is_closing()
    assert not near.transport.is_reading()
    await settled()
    assert "lost" not in near.events
    far.transport.resume_reading()
    await settled()
    assert len(far.data) == 3 * INBOX_BYTES
    assert near.events == ["made", "pause", "resume", "lost"]
    assert far.events == ["made", "end", "lost"]
    assert "closed" in repr(near.transport)


@both_ends
async def test_nothing_is_delivered_to_who_has_closed(near: Diary, far: Diary) -> None:
    near.transport.write(b"x")
    far.transport.close()
    await settled()
    assert (far.data, far.events) == (b"", ["made", "lost"])
    assert_reset(near)


def assert_reset(diary: Diary) -> None:
    error = diary.events[-1]
    assert isinstance(error, ConnectionResetError)
    assert error.strerror == RESET


@both_ends
async def test_an_abort_resets_the_peer_and_what_was_under_way_is_lost(near: Diary, far: Diary) -> None:
    near.transport.write(bytes(3 * INBOX_BYTES))
    near.transport.abort()
    near.transport.abort()
    near.transport.close()
    assert near.transport.get_write_buffer_size() == 0
    await settled()
    assert near.events == ["made", "pause", "lost"]
    assert_reset(far)
    assert len(far.data) <= INBOX_BYTES


@both_ends
async def test_an_abort_reaches_who_does_not_read(near: Diary, far: Diary) -> None:
    far.transport.pause_reading()
    near.transport.abort()
    await settled()
    assert_reset(far)


@both_ends
async def test_an_abort_after_a_close_that_is_through_loses_nothing(near: Diary, far: Diary) -> None:
    near.transport.write(b"last words")
    near.transport.close()
    near.transport.abort()
    await settled()
    assert (far.data, far.events) == (b"last words", ["made", "end", "lost"])


@both_ends
async def test_who_writes_to_a_closed_end_reads_first_and_then_gets_a_reset(near: Diary, far: Diary) -> None:
    far.transport.write(b"goodbye")
    far.transport.close()
    await asyncio.sleep(0)
    near.transport.write(b"are you there?")
    await settled()
    assert near.data == b"goodbye"
    assert_reset(near)


@both_ends
async def test_who_writes_to_a_closed_end_without_reading_gets_a_reset(near: Diary, far: Diary) -> None:
    near.transport.pause_reading()
    far.transport.close()
    await settled()
    assert near.events == ["made"]
    near.transport.write(b"are you there?")
    await settled()
    assert_reset(near)


@both_ends
async def test_who_waits_for_room_at_an_end_that_closes_gets_a_reset(near: Diary, far: Diary) -> None:
    far.transport.pause_reading()
    near.transport.write(bytes(5 * INBOX_BYTES))
    near.transport.pause_reading()
    far.transport.close()
    await settled()
    assert near.events[:-1] == ["made", "pause"]
    assert_reset(near)


@both_ends
async def test_who_stops_reading_before_a_reset_that_it_waits_for_gets_it(near: Diary, far: Diary) -> None:
    far.transport.pause_reading()
    near.transport.write(bytes(5 * INBOX_BYTES))
    far.transport.write(b"goodbye")
    far.transport.close()
    while near.transport.get_write_buffer_size():  # noqa: ASYNC110 - that moment has no event of its own
        await asyncio.sleep(0)
    near.transport.pause_reading()
    await settled()
    assert_reset(near)


@both_ends
async def test_who_closes_with_bytes_that_nobody_takes_any_more_is_told(near: Diary, far: Diary) -> None:
    far.transport.pause_reading()
    near.transport.write(bytes(5 * INBOX_BYTES))
    near.transport.close()
    far.transport.close()
    await settled()
    assert_reset(near)


@both_ends
async def test_a_half_open_end_learns_of_the_reset_when_it_writes(near: Diary, far: Diary) -> None:
    near.keep_open = True
    far.transport.close()
    await settled()
    assert near.events == ["made", "end"]
    near.transport.write(b"x")
    await settled()
    assert_reset(near)


@both_ends
async def test_another_protocol_may_take_over(near: Diary, far: Diary) -> None:
    other = Diary()
    far.transport.set_protocol(other)
    assert far.transport.get_protocol() is other
    near.transport.write(b"x")
    await settled()
    assert (far.data, other.data) == (b"", b"x")


@both_ends
async def test_wrong_arguments_are_told(near: Diary, far: Diary) -> None:
    with pytest.raises(TypeError, match="must be bytes, bytearray or memoryview, not str"):
        near.transport.write("text")  # type: ignore[arg-type] # the mistake under test
    with pytest.raises(ValueError, match="must be at least"):
        far.transport.set_write_buffer_limits(high=1, low=2)
    far.transport.set_write_buffer_limits(low=2)
    assert far.transport.get_write_buffer_limits() == (2, 8)


class Tank(Diary, asyncio.BufferedProtocol):
    """A protocol that lends its buffer."""

    size = 10

    def get_buffer(self, sizehint: int) -> bytearray:
        assert sizehint == -1
        self.buffer = bytearray(self.size)
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data += self.buffer[:nbytes]


def test_a_protocol_may_lend_its_buffer(run: Run) -> None:
    async def main() -> None:
        async with two_ends(Tank) as (near, far):
            near.transport.write(b"a quick brown fox")
            await settled()
            assert far.data == b"a quick brown fox"
            complaints: list[dict[str, Any]] = []
            asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
            far.size = 0
            near.transport.write(b"x")
            await settled()
            assert "empty buffer" in str(complaints[0]["exception"])
            assert_reset(near)

    run(main())


def test_a_protocol_that_raises_is_told_to_the_loop_and_its_connection_is_cut(run: Run) -> None:
    class Sour(Diary):
        def data_received(self, data: bytes) -> None:
            raise ValueError(data)

    async def main() -> None:
        complaints: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async with two_ends(Sour) as (near, far):
            near.transport.write(b"lemon")
            await settled()
            assert [str(context["exception"]) for context in complaints] == ["b'lemon'"]
            assert complaints[0]["message"] == "data_received() of the protocol failed; its connection is cut"
            assert isinstance(far.events[-1], ValueError)
            assert_reset(near)

    run(main())


def test_a_name_is_listened_on_once_until_its_listener_closes(run: Run) -> None:
    async def main() -> None:
        async with serving(HERE) as server:
            with pytest.raises(AddressInUse) as caught:
                await transports.listen(HERE, Recorder)
            assert str(caught.value) == (
                "cannot listen on memory://bank: this process listens there already; close that listener, or take "
                "another name"
            )
            async with serving(Address("memory", "other")):
                pass
            server.listener.close()
            server.listener.close()
            async with serving(HERE), connected(HERE):
                pass

    run(main())


def test_where_nobody_listens_nobody_is_reached(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(ConnectFailed) as caught:
            await transports.connect(HERE, Recorder, timeout=30)
        assert str(caught.value) == (
            "cannot connect to memory://bank: nothing in this process listens there; start the server first, or check "
            "the name"
        )

    run(main())


def test_a_connection_that_its_listener_has_not_yet_accepted_is_reset_with_it(run: Run) -> None:
    async def main() -> None:
        async with serving(HERE) as server:
            connecting = asyncio.ensure_future(transports.connect(HERE, Diary, timeout=30))
            await asyncio.sleep(0)
            server.listener.close()
            _, diary = await connecting
            await settled()
            assert_reset(diary)
            assert server.all == []

    run(main())


def test_who_gives_up_before_being_accepted_is_never_seen(run: Run) -> None:
    async def main() -> None:
        async with serving(HERE) as server:
            connecting = asyncio.ensure_future(transports.connect(HERE, Diary, timeout=30))
            await asyncio.sleep(0)
            connecting.cancel()
            await asyncio.wait([connecting])
            await settled()
            assert len(server.all) <= 1
            for recorder in server.all:
                assert isinstance(await recorder.lost, ConnectionResetError)

    run(main())


def test_a_server_that_cannot_make_its_protocol_resets_the_client(run: Run) -> None:
    def fail() -> Any:
        raise ValueError("no protocol")

    async def main() -> None:
        complaints: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        listener = await transports.listen(HERE, fail)
        _, diary = await transports.connect(HERE, Diary, timeout=30)
        await settled()
        listener.close()
        assert_reset(diary)
        assert str(complaints[0]["exception"]) == "no protocol"

    run(main())


def test_another_loop_of_the_process_is_told_apart(run: Run) -> None:
    listening, done = threading.Event(), threading.Event()

    async def listen_elsewhere() -> None:
        async with serving(HERE):
            listening.set()
            await asyncio.get_running_loop().run_in_executor(None, done.wait)

    async def main() -> None:
        with pytest.raises(ConnectFailed, match=r"another event loop of this process listens there.*take unix or tcp"):
            await transports.connect(HERE, Recorder, timeout=30)
        with pytest.raises(AddressInUse, match="listens there already in another event loop; close that listener"):
            await transports.listen(HERE, Recorder)

    thread = threading.Thread(target=asyncio.run, args=(listen_elsewhere(),))
    thread.start()
    try:
        assert listening.wait(30)
        run(main())
    finally:
        done.set()
        thread.join()


def test_a_name_left_by_a_loop_that_is_closed_is_free(run: Run) -> None:
    async def leave() -> None:
        await transports.listen(HERE, Recorder)

    async def main() -> None:
        with pytest.raises(ConnectFailed, match="nothing in this process listens there"):
            await transports.connect(HERE, Recorder, timeout=30)
        async with serving(HERE), connected(HERE):
            pass

    asyncio.run(leave())
    run(main())


def test_pieces_of_random_sizes_are_the_same_for_the_same_seed(run: Run) -> None:
    class Pieces(Diary):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.events.append(len(data))

    async def sizes(seed: int) -> list[Any]:
        token = memory.PIECES.set(random.Random(seed))
        try:
            async with two_ends(Pieces) as (near, far):
                near.transport.write(bytes(1000))
                await settled()
                assert len(far.data) == 1000
                return list(far.events[1:])
        finally:
            memory.PIECES.reset(token)

    async def main() -> None:
        assert await sizes(1) == await sizes(1) != await sizes(2)
        assert len(await sizes(1)) > 1

    run(main())


def test_a_program_without_an_event_loop_is_told_what_to_do() -> None:
    with pytest.raises(ConnectFailed, match=r"here is none; take `await tomada.connect\(…\)`, or a unix address"):
        tomada.sync.connect("memory://bank")
