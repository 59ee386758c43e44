"""How it begins and how it ends: half close, close, reset, and both ends knowing; who listens, and who does not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tomada.errors import AddressInUse, ConnectFailed, ConnectionLost, StreamEnded, TransportError
from tomada.testing.conformance.ground import KIB, NARROW, Ground, drained, filled, same
from tomada.testing.conformance.running import SOON, expect, noise, raises

if TYPE_CHECKING:
    from tomada.address import Address


class Endings(Ground):
    """Tests of ends, and of what comes before the first byte."""

    def test_the_connecting_end_may_end_its_sending_and_still_receive(self) -> None:
        """The classic half close."""
        self.run(self._half_close(near_first=True))

    def test_the_accepting_end_may_end_its_sending_and_still_receive(self) -> None:
        """The same from the other side."""
        self.run(self._half_close(near_first=False))

    async def _half_close(self, *, near_first: bool) -> None:
        async with self.ends() as ends:
            first, second = ends if near_first else reversed(ends)
            if not self.half_closes:
                await raises(TransportError, first.shutdown(), "shutdown() did not say that this cannot be")
                return
            question, answer = noise(6, 300 * KIB), noise(7, 300 * KIB)
            sending = asyncio.gather(first.send(question), second.send(answer[:10]))
            same(await drained(second, len(question)), question)
            await sending
            await first.shutdown()
            expect(await second.receive() == b"", "the end of what was sent did not come")
            await raises(ConnectionLost, first.send(b"x"), "send() after shutdown() did not raise ConnectionLost")
            _, received = await asyncio.gather(second.send(answer[10:]), drained(first, len(answer)))
            same(received, answer)
            await second.shutdown()
            expect(await first.receive() == b"", "the end of what came back did not come")

    def test_closing_sends_what_waits_and_then_the_end(self) -> None:
        """However much waits, and however late it is received."""

        async def test() -> None:
            async with self.ends() as (near, far):
                data = noise(8, 900 * KIB)
                await near.send(data)
                closing = asyncio.create_task(near.close())
                await asyncio.sleep(SOON)
                same(await drained(far, len(data)), data)
                expect(await far.receive() == b"", "the end did not come behind the bytes")
                await far.close()
                await closing

        self.run(test())

    def test_the_transport_by_itself_sends_what_waits_before_it_closes(self) -> None:
        """A stream closes its sending half first; other protocols just close the transport."""

        async def test() -> None:
            async with self.ends() as (near, far):
                data = noise(9, 900 * KIB)
                near.flow.transport.write(data)
                near.flow.transport.close()
                near.flow.transport.close()
                expect(near.flow.transport.is_closing(), "a transport that closes does not say so")
                same(await drained(far, len(data)), data)
                expect(await far.receive() == b"", "the end did not come behind the bytes")
                await near.flow.ended

        self.run(test())

    def test_an_end_within_a_piece_is_told_with_what_came(self) -> None:
        """And what came stays."""

        async def test() -> None:
            async with self.ends() as (near, far):
                await near.send(b"half")
                closing = asyncio.create_task(near.close())
                error = await raises(StreamEnded, far.receive_exactly(8), "the end within a piece was not told")
                expect(getattr(error, "received", b"") == b"half", "the error does not hold what came")
                expect(await far.receive() == b"half", "what came is gone")
                await far.close()
                await closing

        self.run(test())

    def test_closing_twice_does_nothing_more_and_using_it_then_is_told(self) -> None:
        """At once, and afterwards."""

        async def test() -> None:
            async with self.ends() as (near, far):
                await asyncio.gather(near.close(), near.close(), far.close())
                await near.close()
                near.abort()
                expect(not near.is_open, "a closed stream says that it is open")
                for use in (near.send(b"x"), near.receive(), near.receive_exactly(1), near.receive_until(b"x")):
                    await raises(ConnectionLost, use, "using a closed stream did not raise ConnectionLost")

        self.run(test())

    def test_an_abort_is_told_to_the_other_end_as_a_loss(self) -> None:
        """Not as an orderly end; whichever end aborts."""

        async def test() -> None:
            async with self.house() as house:
                for turned in (False, True):
                    pair = await house.pair()
                    one, other = reversed(pair) if turned else pair
                    receiving = asyncio.create_task(other.receive_exactly(10))
                    await asyncio.sleep(0)
                    one.abort()
                    if not self.tells_aborts:
                        await raises(StreamEnded, receiving, "the other end was not told that it ended")
                        continue
                    await raises(ConnectionLost, receiving, "the other end took an abort for an orderly end")
                    expect(not other.is_open, "the other end says that it is open")
                    await raises(ConnectionLost, other.send(b"x"), "sending to a lost connection was not told")

        self.run(test())

    def test_an_abort_ends_every_wait_at_its_own_end(self) -> None:
        """Of senders and of receivers."""

        async def test() -> None:
            async with self.ends(NARROW) as (near, _):
                await filled(near, bytes(64 * KIB), self.in_flight)
                waits = [asyncio.create_task(near.send(b"x")), asyncio.create_task(near.receive())]
                await asyncio.sleep(0)
                near.abort()
                for wait in waits:
                    await raises(ConnectionLost, wait, "a wait went on after an abort")

        self.run(test())

    def test_a_sender_that_waits_learns_that_the_other_end_has_gone(self) -> None:
        """It does not wait for room for ever."""

        async def test() -> None:
            async with self.ends(NARROW) as (near, far):
                await filled(near, bytes(64 * KIB), self.in_flight)
                sending = asyncio.create_task(near.send(b"x"))
                await asyncio.sleep(0)
                far.abort()
                await raises(ConnectionLost, sending, "a sender was not told that the connection is lost")

        self.run(test())

    def test_an_address_is_listened_on_once(self) -> None:
        """And again when its listener has closed."""

        async def test() -> None:
            async with self.house() as house:
                address = house.address
                await raises(AddressInUse, self._listened(address), "a second listener did not raise AddressInUse")
                await house.expect_service()
            async with self.house():
                pass

        self.run(test())

    async def _listened(self, address: Address) -> None:
        (await self.listen(address, asyncio.Protocol)).close()

    def test_where_nobody_listens_connecting_fails(self) -> None:
        """Also where somebody did."""

        async def test() -> None:
            async with self.house() as house:
                address = house.address
                await house.pair()
            work = self.connect(address, house.accept)
            await raises(ConnectFailed, work, "connecting to nobody did not raise ConnectFailed")

        self.run(test())

    def test_closing_a_listener_leaves_its_streams(self) -> None:
        """They go on, and end by themselves."""

        async def test() -> None:
            async with self.house() as house:
                near, far = await house.pair()
                house.listener.close()
                house.listener.close()
                expect(house.listener.addresses == (), "a closed listener has addresses")
                _, received = await asyncio.gather(near.send(b"still here"), far.receive_exactly(10))
                expect(received == b"still here", "a stream ended with its listener")

        self.run(test())
