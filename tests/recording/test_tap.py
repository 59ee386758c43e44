"""Who looks at the bytes of connections, and who looks at one of them live."""

from __future__ import annotations

import asyncio

import pytest

import tomada
from tests.integration.conftest import Run, _loops_have_what_they_keep, run
from tests.integration.house import turns_until
from tests.recording.bank import Bank, Freeze, Slow, Transfer, bank
from tomada.recording import tap
from tomada.recording.frames import Walk, Watching
from tomada.testing import FaultProxy

__all__ = ["_loops_have_what_they_keep", "run"]
HERE = "tcp://127.0.0.1:0"


class Counter:
    """Counts the bytes, and what else it is told."""

    is_of_transport = True

    def __init__(self, link: tap.Tapped) -> None:
        self.link = link
        self.bytes = [0, 0]
        self.told: list[str] = []

    def received(self, data: bytes) -> None:
        self.bytes[1] += len(data)

    def sent(self, data: bytes | bytearray) -> None:
        self.bytes[0] += len(data)

    def moved(self, link: tap.Tapped) -> None:
        self.link = link
        self.told.append("moved")

    def ended(self) -> None:
        self.told.append("ended")


def test_a_maker_sees_every_byte_of_every_connection(run: Run) -> None:
    async def main() -> None:
        made: list[Counter] = []

        def maker(link: tap.Tapped) -> Counter:
            made.append(Counter(link))
            return made[-1]

        end = tap.make(maker)
        try:
            async with tomada.serve(bank(Bank()), HERE) as server:
                async with tomada.connect(server.addresses[0]) as client:
                    await client.ask(Transfer("a", "b", 1))
                    counts = client.statistics()
                await turns_until(lambda: all(one.told for one in made))
        finally:
            end()
        mine, far = sorted(made, key=lambda one: one.link.engine.role.value, reverse=True)
        assert mine.bytes == far.bytes[::-1]
        assert mine.bytes[0] > counts.sent_bytes > 0, "the goodbye came after"
        assert mine.told == far.told == ["ended"]
        assert tap.makers == ()

    run(main())


def test_what_looks_at_the_transport_goes_with_it_and_what_looks_at_the_session_stays(run: Run) -> None:
    async def main() -> None:
        made: list[Counter] = []

        def maker(link: tap.Tapped) -> Counter:
            made.append(Counter(link))
            return made[-1]

        async with tomada.serve(bank(Bank()), HERE) as server, FaultProxy(HERE, to=server.addresses[0]) as proxy:
            client = await tomada.connect(proxy.address)
            async with client:
                link = server.connections[0]._link
                staying = Counter(link)
                staying.is_of_transport = False
                tap.attach(link, staying)
                end = tap.make(maker)
                await proxy.reset()
                await client.ask(Freeze("x"))
                end()
                accepting = next(one for one in made if one.link.engine.role.value == "accepting")
                assert accepting.link is link, "the session's own"
                assert accepting.told == ["moved"]
                assert set(tap.taps_of(link)) == {accepting, staying}
                assert staying.told == []
                assert staying.bytes[1] > 0
                tap.detach(link, accepting)
                assert link.tap is staying
                tap.detach(link, accepting)
                tap.detach(link, staying)
                assert link.tap is None

    run(main())


def test_one_connection_is_watched_from_its_middle_on(run: Run) -> None:
    async def main() -> None:
        async with tomada.serve(bank(Bank()), HERE) as server, tomada.connect(server.addresses[0]) as client:
            await client.ask(Transfer("a", "b", 1))
            link = server.connections[0]._link
            watching = Watching(link)
            tap.attach(link, watching)
            await client.ask(Transfer("a", "b", 2))
            await client.ask(Freeze("x"), urgent=True)
            rows, passed_over = watching.take()
            assert passed_over == 0
            told = [(row.is_received, row.kind, row.name, row.lane) for row in rows if row.lane != "control"]
            assert told == [
                (True, "ask", "Transfer", "normal"),
                (False, "reply", "Receipt", "normal"),
                (True, "ask", "Freeze", "urgent"),
                (False, "reply", "", "urgent"),
            ]
            assert all(row.size > 16 and row.count == 1 and row.at >= 0 and not row.is_repeated for row in rows)
            assert watching.take() == ([], 0)
            await asyncio.gather(*(client.ask(Transfer("a", "b", number)) for number in range(50)))
            rows, passed_over = watching.take()
            assert sum(row.count for row in rows if row.name == "Transfer") == 50
            assert len(rows) < 50, "alike ones that came together are one row"
            tap.detach(link, watching)
            await client.ask(Freeze("x"))
            assert watching.take() == ([], 0)

    run(main())


def test_a_watch_is_bounded_and_says_what_it_passed_over(run: Run) -> None:
    async def main() -> None:
        async with tomada.serve(bank(Bank()), HERE) as server, tomada.connect(server.addresses[0]) as client:
            link = server.connections[0]._link
            watching = Watching(link, most=5)
            tap.attach(link, watching)
            for _ in range(20):
                await client.ask(Freeze("x"))
            rows, passed_over = watching.take()
            assert len(rows) == 5
            assert sum(row.count for row in rows) + passed_over >= 40

    run(main())


def test_a_watch_marks_what_is_sent_again(run: Run) -> None:
    async def main() -> None:
        state = Bank()
        async with tomada.serve(bank(state), HERE) as server, FaultProxy(HERE, to=server.addresses[0]) as proxy:
            client = await tomada.connect(proxy.address)
            async with client:
                link = server.connections[0]._link
                asked = asyncio.create_task(client.ask(Slow(1)))
                await turns_until(lambda: state.begun)
                watching = Watching(link)
                tap.attach(link, watching)
                proxy.stall("to_client")
                state.gate.set()
                await turns_until(lambda: server.connections[0].statistics().sent_messages)
                await proxy.reset()
                proxy.go_on()
                assert await asked == 1
                replies = [row for row in watching.take()[0] if row.kind == "reply"]
                assert [row.is_repeated for row in replies] == [False, True]

    run(main())


@pytest.mark.parametrize("size", [1, 2, 7, 16, 17, 1000])
def test_headers_are_found_in_pieces_of_any_size(size: int) -> None:
    from tomada.protocol.frames import HEADER  # noqa: PLC0415 - of this test alone

    data = b"".join(HEADER.pack(length, 4, 2, 1, length, 0) + bytes(length) for length in (0, 1, 15, 16, 17, 300))
    walk = Walk(data[:3])
    found = [header[0] for start in range(3, len(data), size) for header in walk.over(data[start : start + size])]
    assert found == [0, 1, 15, 16, 17, 300]
