"""What is sent arrives: all of it, once, in order, however it is cut; from many at once, and to the right one."""

from __future__ import annotations

import asyncio
from itertools import groupby
from typing import TYPE_CHECKING

from tomada.errors import StreamBusy
from tomada.testing.conformance.ground import KIB, NARROW, Ground, drained, same
from tomada.testing.conformance.running import expect, noise, raises

if TYPE_CHECKING:
    from tomada.streams import Stream


class Delivery(Ground):
    """Tests of order, of sizes and of senders that send at once."""

    def test_bytes_arrive_in_order_both_ways(self) -> None:
        """Both ends send and receive at once."""

        async def test() -> None:
            async with self.ends() as (near, far):
                one, other = noise(1, 300 * KIB), noise(2, 300 * KIB)
                _, _, at_far, at_near = await asyncio.gather(
                    near.send(one), far.send(other), drained(far, len(one)), drained(near, len(other))
                )
                same(at_far, one)
                same(at_near, other)

        self.run(test())

    def test_a_large_transfer_arrives_whole(self) -> None:
        """In one send."""

        async def test() -> None:
            data = noise(3, self.large)
            async with self.ends() as (near, far):
                _, received = await asyncio.gather(near.send(data), drained(far, len(data)))
                same(received, data)

        self.run(test())

    def test_two_large_transfers_that_cross_do_not_wait_for_each_other(self) -> None:
        """Neither end's sending keeps it from receiving."""

        async def test() -> None:
            data = noise(4, self.large)
            async with self.ends(NARROW) as (near, far):
                work = (near.send(data), far.send(data), drained(near, len(data)), drained(far, len(data)))
                _, _, at_near, at_far = await asyncio.gather(*work)
                same(at_near, data)
                same(at_far, data)

        self.run(test())

    def test_many_small_sends_arrive_in_order(self) -> None:
        """Ten thousand of a few bytes."""

        async def test() -> None:
            data = noise(5, 60_000)
            async with self.ends() as (near, far):

                async def send_all() -> None:
                    for at in range(0, len(data), 6):
                        await near.send(data[at : at + 6])

                _, received = await asyncio.gather(send_all(), drained(far, len(data)))
                same(received, data)

        self.run(test())

    def test_what_is_sent_at_once_may_be_received_in_any_pieces(self) -> None:
        """Also byte by byte, and up to separators that lie across pieces."""

        async def test() -> None:
            data = bytes(range(256)) * 8
            async with self.ends() as (near, far):
                await near.send(data + b"line one\r\nline two\r\n" + data)
                received = b"".join([await far.receive(1 + number % 7) for number in range(256)])
                received += await far.receive_exactly(len(data) - len(received))
                same(received, data)
                expect(await far.receive_until(b"\r\n") == b"line one", "the first line came wrong")
                expect(await far.receive_until(b"\r\n") == b"line two", "the second line came wrong")
                same(await far.receive_exactly(len(data)), data)

        self.run(test())

    def test_senders_at_once_do_not_mix_what_each_sends(self) -> None:
        """Each piece of each sender arrives in one piece, and in its sender's order."""

        async def test() -> None:
            size, rounds, senders = 20_000, 5, range(8)

            async def send_all(stream: Stream, sender: int) -> None:
                for number in range(rounds):
                    await stream.send(bytes([16 * sender + number]) * size)

            async with self.ends(NARROW) as (near, far):
                sending = [send_all(near, sender) for sender in senders]
                total = size * rounds * len(senders)
                receiving = asyncio.create_task(drained(far, total))
                await asyncio.gather(*sending)
                received = await receiving
            pieces = [(byte, len(list(run))) for byte, run in groupby(received)]
            mixed = [piece for piece in pieces if piece[1] != size]
            expect(not mixed, "what several tasks sent at once came mixed")
            for sender in senders:
                own = [byte % 16 for byte, _ in pieces if byte // 16 == sender]
                expect(own == list(range(rounds)), f"the pieces of one sender came in the order {own}")

        self.run(test())

    def test_one_task_at_a_time_receives(self) -> None:
        """A second one is told so, and the first goes on."""

        async def test() -> None:
            async with self.ends() as (near, far):
                first = asyncio.create_task(far.receive_exactly(3))
                await asyncio.sleep(0)
                await raises(StreamBusy, far.receive(), "a second receiver was not told that there is one")
                await near.send(b"ola")
                expect(await first == b"ola", "the first receiver did not get what was sent")

        self.run(test())

    def test_streams_at_once_are_kept_apart(self) -> None:
        """Thirty, each with bytes of its own."""

        async def test() -> None:
            async with self.house() as house:
                pairs = [await house.pair() for _ in range(30)]
                data = [noise(100 + number, 20 * KIB) for number in range(len(pairs))]
                for at in range(0, 20 * KIB, 5 * KIB):
                    parts = [own[at : at + 5 * KIB] for own in data]
                    await asyncio.gather(*[near.send(part) for (near, _), part in zip(pairs, parts, strict=True)])
                for (_, far), own in reversed(list(zip(pairs, data, strict=True))):
                    same(await drained(far, len(own)), own)

        self.run(test())

    def test_both_ends_know_an_address_of_the_other(self) -> None:
        """The connecting end the one it connected to."""

        async def test() -> None:
            async with self.house() as house:
                near, far = await house.pair()
                if not self.knows_peers:
                    return
                expect(near.peer.scheme == far.peer.scheme == house.address.scheme, f"{near.peer}, {far.peer}")
                expect((near.peer.host, near.peer.port) == (house.address.host, house.address.port), f"{near.peer}")

        self.run(test())
