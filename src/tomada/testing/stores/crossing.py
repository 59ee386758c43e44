"""All of a commit or nothing, whoever looks and whatever happens; and what is left when the store is opened again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tomada.errors import StoreFailed
from tomada.sessions import Change, Store
from tomada.settings import Sessions
from tomada.testing.conformance.running import expect, raises
from tomada.testing.stores.ground import Ground, begin, chunk, has, has_not, loaded, name, present, unfit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PAIR = 2
ROUNDS = 30
CROWD = 40


class Crossing(Ground):
    """Tests of commits that fail, are cancelled, cross, or were made before the store was opened."""

    def test_it_has_all_that_a_store_has(self) -> None:
        """Its name, too: ``str()`` of it is what people read."""

        async def test() -> None:
            async with self.opened() as store:
                expect(isinstance(store, Store), "something of tomada.sessions.Store is missing")
                expect(isinstance(store.is_durable, bool), "is_durable says neither yes nor no")
                expect(store.survives, "it does not say what its sessions survive")

        self.run(test())

    def test_a_commit_that_fails_has_done_nothing(self) -> None:
        """Where the last change of it cannot be taken."""

        async def test() -> None:
            async with self.opened() as store:
                await store.commit([begin(1, b"older", chunk(1)), begin(2)])
                before = await store.statistics()
                changes = [Change(name(1), b"newer", (chunk(2),), (1,)), Change(name(2), removed=True), begin(3)]
                await raises(Exception, store.commit([*changes, unfit(4)]), "data that is no bytes was stored")
                await has(store, 1, b"older", chunk(1))
                await has(store, 2)
                await has_not(store, 3, "and its commit has failed")
                await has_not(store, 4, "and could not be stored")
                expect(await store.statistics() == before, "what was not committed is counted")
                await store.commit(changes)
                await has(store, 1, b"newer", chunk(2))

        self.run(test())

    def test_a_commit_that_is_cancelled_is_done_or_not(self) -> None:
        """At any moment; and the store goes on."""

        async def test() -> None:
            async with self.opened() as store:
                await store.commit([begin(number, b"%d" % -1) for number in range(PAIR)])
                for turns in range(ROUNDS):
                    changes = [Change(name(number), b"%d" % turns, (chunk(turns),)) for number in range(PAIR)]
                    await _cancelled_after(turns % 10, store.commit(changes))
                    one, other = [await store.load(name(number)) for number in range(PAIR)]
                    expect(one == other, "of a commit that was cancelled one half was done")
                await store.commit([begin(1, b"last")])
                await has(store, 1, b"last")

        self.run(test())

    def test_whoever_looks_sees_all_of_a_commit_or_nothing(self) -> None:
        """What is loaded second is never older than what was loaded first."""

        async def test() -> None:
            async with self.opened() as store:
                await store.commit([begin(number, b"0") for number in range(PAIR)])
                done = asyncio.Event()

                async def look(first: int, second: int) -> None:
                    while not done.is_set():
                        one, other = await loaded(store, first), await loaded(store, second)
                        expect(int(one.head) <= int(other.head), "one half of a commit was seen before the other")
                        for seen in (one, other):
                            expect(int(seen.head) == len(seen.chunks), "a head was seen without its chunk")
                        await asyncio.sleep(0)

                async def change() -> None:
                    try:
                        for turn in range(1, ROUNDS + 1):
                            changes = [Change(name(one), b"%d" % turn, (chunk(turn),)) for one in range(PAIR)]
                            await store.commit(changes)
                            await asyncio.sleep(0)
                    finally:
                        done.set()

                await asyncio.gather(change(), look(0, 1), look(1, 0))

        self.run(test())

    def test_commits_at_once_are_all_done(self) -> None:
        """Of many sessions, and of the same one."""

        async def test() -> None:
            async with self.opened() as store:
                await store.commit([begin(0)])

                async def work(number: int) -> None:
                    await store.commit([begin(number), Change(name(0), added=(chunk(number),))])
                    await has(store, number)
                    await store.commit([Change(name(number), added=(chunk(1),))])

                await asyncio.gather(*[work(number) for number in range(1, CROWD)])
                await has(store, 0, b"head", *[chunk(number) for number in range(1, CROWD)])
                for number in range(1, CROWD):
                    await has(store, number, b"head", chunk(1))
                sessions = (await store.statistics()).sessions
                expect(sessions == CROWD, f"there are {CROWD} sessions, and {sessions} are counted")

        self.run(test())

    def test_a_store_that_is_not_open_says_so(self) -> None:
        """Before it is opened, and after it was closed; closing twice does nothing."""

        async def test() -> None:
            store = self.store(Sessions(), lambda: self.now)
            await _expect_closed(store)
            await store.close()
            await store.open()
            await store.commit([begin(1)])
            await store.close()
            await store.close()
            await _expect_closed(store)

        self.run(test())

    def test_what_was_committed_is_there_when_it_is_opened_again(self) -> None:
        """Where the store is durable: sessions, what they count, their age, and which was touched last."""

        async def test() -> None:
            bounds = Sessions(keep=self.keep, most=3)
            async with self.opened(bounds) as store:
                is_durable = store.is_durable
                for number in range(3):
                    await store.commit([begin(number, b"head", chunk(2), chunk(1))])
                    await self.later(0.01)
                await store.commit([Change(name(0), b"newer", dropped=(2,))])
                before = await store.statistics()
            async with self.opened(bounds) as store:
                if not is_durable:
                    expect(await present(store, range(3)) == [], "sessions survived in a store that is not durable")
                    return
                await has(store, 0, b"newer", chunk(1))
                await has(store, 2, b"head", chunk(1), chunk(2))
                after = await store.statistics()
                expect((after.sessions, after.bytes) == (before.sessions, before.bytes), "it is counted otherwise now")
                await store.commit([begin(3)])
                left = await present(store, range(4))
                expect(left == [0, 2, 3], f"session 1 was the longest untouched, and {left} are left")
            await self.later(1.1 * self.keep)
            async with self.opened(bounds) as store:
                await has_not(store, 0, "and expired while the store was closed")

        self.run(test())

    def test_what_is_durable_is_there_without_being_closed(self) -> None:
        """As after a crash: another one opens the same place."""

        async def test() -> None:
            async with self.opened() as store:
                await store.commit([begin(1, b"head", chunk(1))])
                if store.is_durable and self.opens_twice:
                    async with self.opened() as other:
                        await has(other, 1, b"head", chunk(1))

        self.run(test())


async def _cancelled_after(turns: int, work: Awaitable[None]) -> None:
    task = asyncio.ensure_future(work)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()


async def _expect_closed(store: Store) -> None:
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: store.load(name(1)),
        lambda: store.commit([begin(1)]),
        store.statistics,
    ]
    for call in calls:
        await raises(StoreFailed, call(), "a store that is not open was used, and did not raise StoreFailed")
