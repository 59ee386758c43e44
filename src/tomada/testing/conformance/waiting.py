"""Who has to wait waits, no longer than asked, and may give up: back-pressure, deadlines, cancellation."""

from __future__ import annotations

import asyncio

from tomada.errors import ConnectionLost, TimedOut
from tomada.testing.conformance.ground import KIB, NARROW, Ground, drained, filled, same
from tomada.testing.conformance.running import SOON, cancelled, expect, raises

_MOST_TURNS = 12
"""A cancellation is tried after each number of turns of the loop up to this one."""


class Waiting(Ground):
    """Tests of waits: that they happen, that they end, and that nothing is lost by it."""

    def test_a_sender_waits_for_a_receiver_that_does_not_receive(self) -> None:
        """What is under way is bounded; and all of it arrives once the receiver receives."""

        async def test() -> None:
            async with self.ends(NARROW) as (near, far):
                piece = bytes(range(256)) * 256
                sent = await filled(near, piece, self.in_flight)
                kept = far.flow.buffer.size
                expect(kept <= 64 * len(piece), f"{kept} bytes wait at an end whose limit is {NARROW.receive_bytes}")
                same(await drained(far, sent), piece * (sent // len(piece)))
                _, more = await asyncio.gather(near.send(b"more"), far.receive_exactly(4))
                expect(more == b"more", "what was sent after a wait came wrong")

        self.run(test())

    def test_a_receiver_that_falls_behind_for_a_while_loses_nothing(self) -> None:
        """It receives a little, then nothing, several times over."""

        async def test() -> None:
            async with self.ends(NARROW) as (near, far):
                data = bytes(range(256)) * 16 * KIB
                sending = asyncio.create_task(near.send(data))
                parts = []
                for _ in range(8):
                    parts.append(await drained(far, len(data) // 8))
                    await asyncio.sleep(SOON / 10)
                await sending
                same(b"".join(parts), data)

        self.run(test())

    def test_a_receiver_waits_no_longer_than_asked_and_takes_nothing(self) -> None:
        """Each way to receive; what has come meanwhile is there for the next."""

        async def test() -> None:
            async with self.ends() as (near, far):
                waits = (far.receive(timeout=SOON), far.receive_exactly(6, timeout=SOON))
                await raises(TimedOut, waits[0], "receive() did not raise TimedOut")
                await near.send(b"ola")
                await raises(TimedOut, waits[1], "receive_exactly() did not raise TimedOut")
                late = far.receive_until(b"\n", timeout=SOON)
                await raises(TimedOut, late, "receive_until() did not raise TimedOut")
                await near.send(b" mar")
                expect(await far.receive_exactly(7) == b"ola mar", "a receiver that was late lost bytes")

        self.run(test())

    def test_a_sender_waits_no_longer_than_asked(self) -> None:
        """What it has handed over arrives all the same."""

        async def test() -> None:
            async with self.ends(NARROW) as (near, far):
                piece = bytes(64 * KIB)
                sent = await filled(near, piece, self.in_flight)
                await raises(TimedOut, near.send(b"late", timeout=SOON), "send() did not raise TimedOut")
                await drained(far, sent)
                expect(await far.receive_exactly(4) == b"late", "what a late sender had handed over came wrong")

        self.run(test())

    def test_a_receiver_that_is_cancelled_takes_nothing(self) -> None:
        """Each way to receive, at each of the first turns of the loop."""

        async def test() -> None:
            async with self.ends() as (near, far):
                await near.send(b"ab")
                for turns in range(_MOST_TURNS):
                    for way in (far.receive_exactly(3), far.receive_until(b"c")):
                        expect(await cancelled(way, turns), "it ended before all that it waits for had come")
                expect(await far.receive_exactly(2) == b"ab", "a receiver that was cancelled lost bytes")
                expect(await cancelled(far.receive()), "receive() returned though nothing had come")
                await near.send(b"cd")
                expect(await far.receive_exactly(2) == b"cd", "what came after a cancellation came wrong")

        self.run(test())

    def test_a_receiver_that_is_cancelled_while_bytes_come_loses_none(self) -> None:
        """The bytes come while it is being cancelled."""

        async def test() -> None:
            async with self.ends() as (near, far):
                received = b""
                for turns in range(_MOST_TURNS):
                    receiving = asyncio.ensure_future(far.receive())
                    await asyncio.sleep(0)
                    await near.send(bytes([turns]))
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    receiving.cancel()
                    await asyncio.wait([receiving])
                    received += b"" if receiving.cancelled() else receiving.result()
                received += await drained(far, _MOST_TURNS - len(received))
                same(received, bytes(range(_MOST_TURNS)))

        self.run(test())

    def test_a_sender_that_is_cancelled_has_sent_what_it_handed_over(self) -> None:
        """Whole, and before what is sent next."""

        async def test() -> None:
            async with self.ends(NARROW) as (near, far):
                piece = b"a" * 64 * KIB
                sent = await filled(near, piece, self.in_flight)
                for turns in range(1, 5):
                    expect(await cancelled(near.send(b"b" * 1000), turns), "send() did not wait for room")
                last = asyncio.create_task(near.send(b"c"))
                same(await drained(far, sent), b"a" * sent)
                same(await drained(far, 4_001), b"b" * 4_000 + b"c")
                await last

        self.run(test())

    def test_connecting_may_be_cancelled_at_any_moment(self) -> None:
        """The listener goes on, and serves the next."""

        async def test() -> None:
            async with self.house() as house:
                for turns in range(_MOST_TURNS):
                    connecting = asyncio.ensure_future(house.connected())
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    connecting.cancel()
                    await asyncio.wait([connecting])
                    if not connecting.cancelled():
                        connecting.result().abort()
                await house.expect_service()

        self.run(test())

    def test_closing_may_be_cancelled(self) -> None:
        """Then the stream ends at once."""

        async def test() -> None:
            async with self.ends(NARROW) as (near, far):
                await filled(near, bytes(64 * KIB), self.in_flight)
                expect(await cancelled(near.close()), "close() did not wait until all was sent")
                await near.close()
                expect(not near.is_open, "a stream whose closing was cancelled is open")
                if self.tells_aborts:
                    await raises(
                        ConnectionLost, drained(far, self.in_flight), "the other end took it for an orderly end"
                    )

        self.run(test())
