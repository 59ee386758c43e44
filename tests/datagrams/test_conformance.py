"""What every way of carrying datagrams must do: in batches, and through the loop's own endpoints; on both loops."""

from __future__ import annotations

import asyncio
import random

import pytest

import tomada
from tests.datagrams.ends import HERE, SOON, bound, received, until
from tests.integration.conftest import Run
from tomada.address import Address
from tomada.transports import datagram_opening

pytestmark = pytest.mark.parametrize("batches", [True, False], ids=["batches", "endpoint"])


def test_a_datagram_and_its_answer(run: Run, *, batches: bool) -> None:
    async def main() -> None:
        async with bound(batches=batches) as one, bound(batches=batches) as other:
            await one.send(b"ping", other.address)
            datagram = await other.receive(timeout=SOON)
            assert datagram == tomada.Datagram(b"ping", one.address)
            await other.send(b"pong", str(datagram.peer))
            assert (await one.receive(timeout=SOON)).data == b"pong"
            assert (one.statistics.sent, one.statistics.received) == (1, 1)

    run(main())


def test_whole_and_in_order_whatever_their_sizes(run: Run, *, batches: bool) -> None:
    rng = random.Random(7)
    sizes = [64] * 200 + [rng.choice([1, 2, 64, 64, 64, 1_400, 9_000]) for _ in range(300)]
    datagrams = [number.to_bytes(4, "big") * (size // 4 + 1) for number, size in enumerate(sizes)]

    async def main() -> None:
        async with bound(batches=batches) as one, bound(batches=batches) as other:
            for start in range(0, len(datagrams), 50):
                for datagram in datagrams[start : start + 50]:
                    await one.send(datagram, other.address)
                assert await received(other, 50) == datagrams[start : start + 50]

    run(main())


def test_runs_to_several_receivers_do_not_mix(run: Run, *, batches: bool) -> None:
    async def main() -> None:
        async with bound(batches=batches) as one, bound(batches=batches) as left, bound(batches=batches) as right:
            for number in range(100):
                one.send_nowait(b"left %3d" % number, left.address)
                if number % 3 == 0:
                    one.send_nowait(b"right %3d" % number, right.address)
            assert await received(left, 100) == [b"left %3d" % number for number in range(100)]
            assert await received(right, 34) == [b"right %3d" % number for number in range(0, 100, 3)]

    run(main())


def test_the_longest_and_one_byte_more(run: Run, *, batches: bool) -> None:
    async def main() -> None:
        async with bound(batches=batches) as one, bound(batches=batches) as other:
            await one.send(b"x" * 65_507, other.address)
            assert len((await other.receive(timeout=SOON)).data) == 65_507
            with pytest.raises(tomada.DatagramTooLong, match=r"^a datagram of 65,508 bytes .* at most 65,507"):
                await one.send(b"x" * 65_508, other.address)
            assert one.statistics.too_long == 1

    run(main())


def test_an_empty_datagram(run: Run, *, batches: bool) -> None:
    if not batches:
        pytest.skip("uvloop passes over them, and asyncio does so before Python 3.13")

    async def main() -> None:
        async with bound(batches=batches) as one, bound(batches=batches) as other:
            await one.send(b"", other.address)
            await one.send(b"", other.address)
            await one.send(b"end", other.address)
            assert await received(other, 3) == [b"", b"", b"end"]

    run(main())


def test_ipv6_and_both_families_on_one_socket(run: Run, *, batches: bool) -> None:
    async def main() -> None:
        async with bound("udp://:0", batches=batches) as both, bound("udp://[::1]:0", batches=batches) as six:
            port = both.address.port
            await six.send(b"six", f"udp://[::1]:{port}")
            datagram = await both.receive(timeout=SOON)
            assert datagram.peer == six.address
            await both.send(b"back", datagram.peer)
            assert await received(six, 1) == [b"back"]
            async with bound(HERE, batches=batches) as four:
                await four.send(b"four", f"udp://127.0.0.1:{port}")
                datagram = await both.receive(timeout=SOON)
                assert datagram.peer == four.address
                await both.send(b"back", datagram.peer)
                assert await received(four, 1) == [b"back"]

    run(main())


def test_a_name_is_looked_up(run: Run, *, batches: bool) -> None:
    async def main() -> None:
        async with bound("udp://localhost:0", batches=batches) as one, bound("udp://:0", batches=batches) as other:
            to = f"udp://localhost:{one.address.port}"
            with pytest.raises(tomada.DatagramError, match="must be looked up"):
                other.send_nowait(b"x", to)
            await other.send(b"1", f"udp://{'[::1]' if ':' in one.address.host else '127.0.0.1'}:{one.address.port}")
            assert await received(one, 1) == [b"1"]
            await other.send(b"2", to, timeout=SOON)
            assert await received(one, 1) == [b"2"]
            async with bound("udp://:0", Address.parse(to), batches=batches) as third:
                await third.send(b"3")
                assert await received(one, 1) == [b"3"]
            with pytest.raises(tomada.ConnectFailed, match=r"the name 'no-such-host\.invalid' is not known"):
                await other.send(b"x", "udp://no-such-host.invalid:1")

    run(main())


def test_connected_takes_nothing_from_others(run: Run, *, batches: bool) -> None:
    async def main() -> None:
        async with (
            bound(batches=batches) as peer,
            bound(HERE, peer.address, batches=batches) as one,
            bound(batches=batches) as stranger,
        ):
            await stranger.send(b"spoofed", one.address)
            await one.send(b"hello")
            await peer.send(b"welcome", (await peer.receive(timeout=SOON)).peer)
            assert await one.receive(timeout=SOON) == tomada.Datagram(b"welcome", peer.address)
            with pytest.raises(tomada.DatagramError, match="was bound with the peer"):
                await one.send(b"x", stranger.address)
            await one.send(b"same", peer.address)
            assert await received(peer, 1) == [b"same"]

    run(main())


def test_a_refusal_is_told_once_and_counted(run: Run, *, batches: bool) -> None:
    async def main() -> None:
        async with bound(batches=batches) as gone:
            peer = gone.address
        async with bound(HERE, peer, batches=batches) as one:
            await one.send(b"x")
            with pytest.raises(tomada.ConnectFailed, match="nobody receives at"):
                await one.receive(timeout=SOON)
            with pytest.raises(tomada.TimedOut):
                await one.receive(timeout=0.01)
            assert one.statistics.refused >= 1

    run(main())


def test_after_a_refusal_what_is_sent_arrives(run: Run, *, batches: bool) -> None:
    async def main() -> None:
        async with bound(batches=batches) as gone:
            peer = gone.address
        async with bound(HERE, peer, batches=batches) as one:
            await one.send(b"lost")
            with pytest.raises(tomada.ConnectFailed):
                await one.receive(timeout=SOON)
            async with bound(peer, batches=batches) as back:
                await one.send(b"found")
                assert await received(back, 1) == [b"found"]

    run(main())


def test_a_full_queue_drops_and_counts(run: Run, *, batches: bool) -> None:
    async def main() -> None:
        async with bound(batches=batches) as one, bound(batches=batches, waiting=10) as other:
            for number in range(30):
                one.send_nowait(b"%2d" % number, other.address)
            await until(lambda: other.statistics.received == 30)
            assert await received(other, 10) == [b"%2d" % number for number in range(10)]
            assert other.statistics.dropped == 20
            await one.send(b"on", other.address)
            assert await received(other, 1) == [b"on"]

    run(main())


def test_a_queue_full_of_bytes_drops_and_counts(run: Run, *, batches: bool) -> None:
    async def main() -> None:
        async with bound(batches=batches) as one, bound(batches=batches, waiting_bytes=50_000) as other:
            for _ in range(3):
                await one.send(b"x" * 30_000, other.address)
            await until(lambda: other.statistics.received == 3)
            assert other.statistics.dropped == 2
            assert len((await other.receive(timeout=SOON)).data) == 30_000

    run(main())


def test_a_full_buffer_refuses_who_does_not_wait(run: Run, *, batches: bool) -> None:
    if not batches:
        pytest.skip("the loop's endpoints send at once")

    async def main() -> None:
        async with bound(batches=batches, buffer_bytes=1_000) as one, bound(batches=batches) as other:

            def flood() -> None:
                for size in range(1, 100):  # of different sizes, so that they leave with the turn of the loop
                    one.send_nowait(b"x" * size, other.address)

            with pytest.raises(tomada.BufferFull, match=r"bytes wait to be sent from .*, and 1,000 may: await send"):
                flood()
            await one.send(b"later", other.address)
            assert one.statistics.sent > 10

    run(main())


def test_who_sends_without_end_lets_others_run(run: Run, *, batches: bool) -> None:
    if not batches:
        pytest.skip("the loop's endpoints send at once")

    async def main() -> None:
        async with bound(batches=batches, buffer_bytes=10_000) as one, bound(batches=batches) as other:
            turns = 0

            async def count() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            counting = asyncio.create_task(count())
            for _ in range(2_000):
                await one.send(b"x" * 100, other.address)
            counting.cancel()
            assert turns >= 5

    run(main())


def test_every_wait_has_a_deadline(run: Run, *, batches: bool) -> None:
    async def main() -> None:
        async with bound(batches=batches) as one:
            with pytest.raises(tomada.TimedOut, match=r"no datagram came within 0\.01 s"):
                await one.receive(timeout=0.01)

    run(main())


def test_a_cancelled_receive_loses_nothing(run: Run, *, batches: bool) -> None:
    async def main() -> None:
        async with bound(batches=batches) as one, bound(batches=batches) as other:
            first = asyncio.create_task(other.receive())
            second = asyncio.create_task(other.receive())
            await asyncio.sleep(0)
            other.datagrams_received((b"only",), ("127.0.0.1", 1))
            first.cancel()
            assert (await asyncio.wait_for(second, SOON)).data == b"only"
            await one.send(b"next", other.address)
            assert await received(other, 1) == [b"next"]

    run(main())


def test_iteration_ends_with_the_socket(run: Run, *, batches: bool) -> None:
    async def main() -> None:
        async with bound(batches=batches) as one, bound(batches=batches) as other:
            for data in (b"a", b"b", b"last"):
                await one.send(data, other.address)
            seen = []
            async for datagram in other:
                seen.append(datagram.data)
                if datagram.data == b"last":
                    other.close()
            assert seen == [b"a", b"b", b"last"]

    run(main())


def test_a_closed_socket_says_so(run: Run, *, batches: bool) -> None:
    async def main() -> None:
        async with bound(batches=batches) as one:
            waiting = asyncio.create_task(one.receive())
            await asyncio.sleep(0)
            one.close()
            one.close()
            with pytest.raises(tomada.TransportError, match="has been closed"):
                await waiting
            with pytest.raises(tomada.TransportError, match="has been closed"):
                await one.send(b"x", "udp://127.0.0.1:1")
            with pytest.raises(tomada.TransportError, match="has been closed"):
                one.send_nowait(b"x", "udp://127.0.0.1:1")
            assert one.is_closed
            assert "closed" in repr(one)
            assert one.statistics.sent == 0

    run(main())


def test_what_waits_is_sent_when_it_closes(run: Run, *, batches: bool) -> None:
    async def main() -> None:
        async with bound(batches=batches) as other:
            async with bound(batches=batches) as one:
                one.send_nowait(b"bye", other.address)
            assert await received(other, 1) == [b"bye"]

    run(main())


def test_what_is_no_bytes_and_what_is_nowhere(run: Run, *, batches: bool) -> None:
    async def main() -> None:
        async with bound(batches=batches) as one:
            with pytest.raises(TypeError, match="carries bytes, not str"):
                await one.send("text", one.address)  # type: ignore[arg-type] # which is the case
            for data in (bytearray(b"a"), memoryview(b"b")):
                await one.send(data, one.address)
            assert await received(one, 2) == [b"a", b"b"]
            with pytest.raises(tomada.DatagramError, match="say whom to send to"):
                await one.send(b"x")
            with pytest.raises(tomada.DatagramError, match="this socket is for udp"):
                await one.send(b"x", "tcp://127.0.0.1:1")
            with pytest.raises(tomada.DatagramError, match="port 0 is for binding"):
                await one.send(b"x", "udp://127.0.0.1:0")
            with pytest.raises(tomada.DatagramError, match="speaks IPv4"):
                await one.send(b"x", "udp://[::1]:1")
            with pytest.raises(tomada.ConnectFailed, match="for broadcast open the socket with broadcast=True"):
                await one.send(b"x", "udp://127.255.255.255:9")

    run(main())


def test_the_port_is_held(run: Run, *, batches: bool) -> None:
    async def main() -> None:
        async with bound(batches=batches) as one:
            with pytest.raises(tomada.AddressInUse, match=r"held by process \d+ \(.*\); stop it, take another port"):
                async with bound(one.address, batches=batches):
                    pass
        for wrong, text in [("udp://192.0.2.1:0", "no such address"), ("udp://no-such-host.invalid:0", "is not known")]:
            with pytest.raises(tomada.ListenFailed, match=text):
                async with bound(Address.parse(wrong), batches=batches):
                    pass

    run(main())


def test_a_name_that_nobody_answers_for(run: Run, monkeypatch: pytest.MonkeyPatch, *, batches: bool) -> None:
    monkeypatch.setattr(datagram_opening, "_LOOK_UP_SECONDS", 0.01)

    async def never(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", never)

    async def main() -> None:
        if not isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop):
            return  # uvloop's own cannot be replaced
        with pytest.raises(tomada.ConnectFailed, match=r"was not looked up within 0\.01 s"):
            async with bound(HERE, Address.parse("udp://slow.invalid:1"), batches=batches):
                pass
        with pytest.raises(tomada.ListenFailed, match=r"was not looked up within 0\.01 s"):
            async with bound("udp://slow.invalid:0", batches=batches):
                pass
        async with bound(batches=batches) as one:
            with pytest.raises(tomada.TimedOut, match=r"was not looked up within 0\.02 s"):
                await one.send(b"x", "udp://slow.invalid:1", timeout=0.02)

    run(main())
