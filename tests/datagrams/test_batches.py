"""How many system calls it takes, and what happens where the kernel or a network card does not play along."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
from typing import Any

import pytest

import tomada
from tests.datagrams.ends import SOON, bound, received
from tests.integration.conftest import Run
from tomada.transports.datagrams import batches as datagram_batches
from tomada.transports.datagrams.batches import BatchTransport, splitter

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere datagrams do not travel in batches")


class Calls:
    """A kernel socket whose calls are counted, and fail where a test wants it."""

    def __init__(self, real: socket.socket) -> None:
        self.real = real
        self.batches: list[int] = []
        self.single = 0
        self.received = 0
        self.errors: list[OSError] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def sendmsg(self, run: list[bytes], control: Any, flags: int, name: Any) -> int:
        if self.errors:
            raise self.errors.pop(0)
        self.batches.append(len(run))
        return self.real.sendmsg(run, control, flags, *([] if name is None else [name]))

    def sendto(self, data: bytes, name: Any) -> int:
        if self.errors:
            raise self.errors.pop(0)
        self.single += 1
        return self.real.sendto(data, name)

    def recvmsg_into(self, *arguments: Any) -> Any:
        got = self.real.recvmsg_into(*arguments)
        self.received += 1
        return got


def counted(one: tomada.DatagramSocket) -> Calls:
    transport: Any = one._transport
    assert isinstance(transport, BatchTransport)
    calls = Calls(transport._socket)
    transport._socket = calls  # type: ignore[assignment] # shaped like one
    return calls


def test_one_at_a_time_takes_few_calls_at_both_ends(run: Run) -> None:
    async def main() -> None:
        async with bound() as one, bound() as other:
            sending, receiving = counted(one), counted(other)
            for number in range(640):
                await one.send(number.to_bytes(64, "big"), other.address)
            assert [int.from_bytes(data, "big") for data in await received(other, 640)] == list(range(640))
            assert (sending.batches, sending.single) == ([64] * 10, 0)
            assert receiving.received == 10

    run(main())


def test_runs_of_one_size_and_one_receiver(run: Run) -> None:
    async def main() -> None:
        async with bound() as one, bound() as other:
            calls = counted(one)
            for size in [10] * 5 + [11] * 4 + [0] * 2 + [12]:
                one.send_nowait(b"x" * size, other.address)
            await received(other, 12)
            assert (calls.batches, calls.single) == ([5, 4], 3)
            for _ in range(3):
                one.send_nowait(b"x" * 30_000, other.address)
            await received(other, 3)
            assert (calls.batches, calls.single) == ([5, 4, 2], 4)

    run(main())


@pytest.mark.parametrize("number", [errno.EIO, errno.EINVAL, errno.EMSGSIZE])
def test_a_card_that_cannot_cut(run: Run, number: int) -> None:
    async def main() -> None:
        async with bound() as one, bound() as other:
            calls = counted(one)
            calls.errors.append(OSError(number, "as some network cards say"))
            for _ in range(10):
                one.send_nowait(b"x" * 64, other.address)
            assert len(await received(other, 10)) == 10
            for _ in range(10):
                one.send_nowait(b"x" * 64, other.address)
            assert len(await received(other, 10)) == 10
            assert calls.batches == ([] if number == errno.EIO else [10])
            assert one.statistics.sent == 20

    run(main())


def test_a_kernel_that_knows_nothing_of_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datagram_batches, "UDP_SEGMENT", 9_999)
    monkeypatch.setattr(datagram_batches, "UDP_GRO", 9_999)

    async def main() -> None:
        async with bound() as one, bound() as other:
            calls = counted(one)
            for number in range(300):
                await one.send(number.to_bytes(64, "big"), other.address)
            assert [int.from_bytes(data, "big") for data in await received(other, 300)] == list(range(300))
            assert (calls.batches, calls.single) == ([], 300)

    run(main())


def test_a_full_kernel_buffer_is_waited_for(run: Run) -> None:
    async def main() -> None:
        async with bound(buffer_bytes=1_000) as one, bound() as other:
            calls = counted(one)
            calls.errors.append(BlockingIOError(errno.EAGAIN, "full"))
            for _ in range(64):
                one.send_nowait(b"x" * 64, other.address)
                if one._transport.unsent > 1_000:
                    break
            await asyncio.wait_for(one.send(b"last", other.address), SOON)
            datagrams = await received(other, 17)
            assert datagrams[-1] == b"last"

    run(main())


@pytest.mark.parametrize(
    ("number", "counter"),
    [
        (errno.ENOBUFS, "given_up"),
        (errno.EMSGSIZE, "too_long"),
        (errno.ENETUNREACH, "unreachable"),
        (errno.EPERM, "unreachable"),
    ],
)
def test_what_the_kernel_refuses_is_counted_and_the_next_goes_out(run: Run, number: int, counter: str) -> None:
    async def main() -> None:
        async with bound() as one, bound() as other:
            calls = counted(one)
            calls.errors.append(OSError(number, "refused"))
            await one.send(b"lost", other.address)
            await one.send(b"next!", other.address)
            assert await received(other, 1) == [b"next!"]
            assert getattr(one.statistics, counter) == 1
            assert one._transport.unsent == 0

    run(main())


def test_a_receiver_that_closes_in_the_middle_is_told_no_more(run: Run) -> None:
    async def main() -> None:
        async with bound() as one, bound() as other:
            for number in range(5):
                await one.send(b"x" * (number + 1), other.address)
            await asyncio.sleep(0)
            got: list[bytes] = []
            real = other.datagrams_received

            def close_at_first(datagrams: Any, name: Any) -> None:
                real(datagrams, name)
                got.extend(datagrams)
                other.close()

            other.datagrams_received = close_at_first  # type: ignore[method-assign] # watched
            other._transport.receiver = other
            transport: Any = other._transport
            transport._readable()
            assert got == [b"x"]

    run(main())


def test_what_came_in_one_piece_is_cut_where_it_was_joined() -> None:
    assert splitter(4, 12)(memoryview(b"aaaabbbbccccrest")) == (b"aaaa", b"bbbb", b"cccc")
    assert splitter(4, 10)(memoryview(b"aaaabbbbccccrest")) == (b"aaaa", b"bbbb", b"cc")


def test_what_the_system_dropped_is_counted(run: Run) -> None:
    async def main() -> None:
        async with bound() as one, bound() as other:
            transport: Any = other._transport
            transport._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
            transport.stop_receiving()
            for size in range(1, 200):
                await one.send(b"x" * size, other.address)
            await asyncio.sleep(0)
            assert other.statistics.dropped_by_system > 0

    run(main())
