"""What is committed is there: heads, chunks in order; what is dropped, replaced or removed is not."""

from __future__ import annotations

from tomada.sessions import Change, Chunk
from tomada.testing.conformance.running import expect, noise
from tomada.testing.stores.ground import Ground, begin, chunk, has, has_not, name

MANY = 200
LARGE = 3_000_000


class Keeping(Ground):
    """Tests of what changes mean."""

    def test_what_was_committed_is_loaded(self) -> None:
        """Head and chunks, with their lanes; also after further commits of others."""

        async def test() -> None:
            async with self.opened() as store:
                await store.commit([begin(1, b"\0head", Chunk(7, 1, b"urgent"), Chunk(8, 0, b"\xff\0"))])
                await store.commit([begin(2)])
                await has(store, 1, b"\0head", Chunk(7, 1, b"urgent"), Chunk(8, 0, b"\xff\0"))
                await has(store, 2)

        self.run(test())

    def test_an_unknown_session_is_none(self) -> None:
        """In an empty store, and beside others."""

        async def test() -> None:
            async with self.opened() as store:
                await has_not(store, 1, "in a new store")
                await store.commit([begin(2)])
                await has_not(store, 1, "and was never committed")

        self.run(test())

    def test_chunks_come_by_number(self) -> None:
        """However they were added; also numbers beyond 32 bits."""

        async def test() -> None:
            async with self.opened() as store:
                await store.commit([begin(1, b"head", chunk(300), chunk(2))])
                await store.commit([Change(name(1), added=(chunk(2**40), chunk(10)))])
                await store.commit([Change(name(1), added=(chunk(1),))])
                await has(store, 1, b"head", *[chunk(number) for number in (1, 2, 10, 300, 2**40)])

        self.run(test())

    def test_a_new_head_replaces_the_older_one(self) -> None:
        """And leaves the chunks; an empty one is a head, too."""

        async def test() -> None:
            async with self.opened() as store:
                await store.commit([begin(1, b"older", chunk(1))])
                await store.commit([Change(name(1), b"newer")])
                await has(store, 1, b"newer", chunk(1))
                await store.commit([Change(name(1), b"")])
                await has(store, 1, b"", chunk(1))

        self.run(test())

    def test_without_a_head_the_older_one_stays(self) -> None:
        """Where only chunks change, and where nothing does."""

        async def test() -> None:
            async with self.opened() as store:
                await store.commit([begin(1, b"head")])
                await store.commit([Change(name(1), added=(chunk(1),))])
                await store.commit([Change(name(1))])
                await has(store, 1, b"head", chunk(1))

        self.run(test())

    def test_dropped_chunks_are_gone_and_others_stay(self) -> None:
        """Also where one is added and dropped at once, and where there is none of that number."""

        async def test() -> None:
            async with self.opened() as store:
                await store.commit([begin(1, b"head", chunk(1), chunk(2), chunk(3)), begin(2, b"head", chunk(2))])
                await store.commit([Change(name(1), added=(chunk(4), chunk(5)), dropped=(2, 4, 99))])
                await has(store, 1, b"head", chunk(1), chunk(3), chunk(5))
                await has(store, 2, b"head", chunk(2))

        self.run(test())

    def test_a_chunk_takes_the_place_of_one_of_its_number(self) -> None:
        """As when a commit is repeated that may have been done."""

        async def test() -> None:
            async with self.opened() as store:
                changes = [begin(1, b"head", chunk(1)), Change(name(1), added=(chunk(2),), dropped=(1,))]
                await store.commit(changes)
                before = await store.statistics()
                await store.commit(changes)
                await store.commit([Change(name(1), added=(chunk(2),))])
                await has(store, 1, b"head", chunk(2))
                after = await store.statistics()
                expect(after.bytes == before.bytes, "what was committed again counts twice")

        self.run(test())

    def test_a_removed_session_is_gone(self) -> None:
        """With its chunks, which do not come back when its id does; and alone."""

        async def test() -> None:
            async with self.opened() as store:
                await store.commit([begin(1, b"head", chunk(1)), begin(2, b"other", chunk(1))])
                await store.commit([Change(name(1), removed=True), Change(name(3), removed=True)])
                await has_not(store, 1, "and was removed")
                await has(store, 2, b"other", chunk(1))
                await store.commit([begin(1, b"new", chunk(2))])
                await has(store, 1, b"new", chunk(2))

        self.run(test())

    def test_a_whole_change_is_all_there_is(self) -> None:
        """What was there before goes."""

        async def test() -> None:
            async with self.opened() as store:
                await store.commit([begin(1, b"older", chunk(1), chunk(2))])
                await store.commit([begin(1, b"newer", chunk(2, b"new"), chunk(3))])
                await has(store, 1, b"newer", chunk(2, b"new"), chunk(3))
                expect((await store.statistics()).sessions == 1, "a session that was replaced counts twice")

        self.run(test())

    def test_half_a_session_is_never_begun(self) -> None:
        """A change of a session that is not there is passed over, and counted; the others are taken."""

        async def test() -> None:
            async with self.opened() as store:
                await store.commit([begin(1), Change(name(2), b"head", (chunk(5),)), begin(3)])
                await has_not(store, 2, "and its first change was not whole")
                await has(store, 1)
                await has(store, 3)
                await store.commit([Change(name(1), removed=True), Change(name(1), added=(chunk(1),))])
                await has_not(store, 1, "and was removed")
                wanted, counted = 2, (await store.statistics()).passed_over
                expect(counted == wanted, f"{wanted} changes were passed over, and {counted} are counted")

        self.run(test())

    def test_the_changes_of_one_session_are_taken_in_order(self) -> None:
        """Several in one commit."""

        async def test() -> None:
            async with self.opened() as store:
                first = [begin(1, b"1", chunk(1)), Change(name(1), b"2", (chunk(2),)), Change(name(1), dropped=(1,))]
                await store.commit([*first, begin(2), Change(name(2), removed=True)])
                await has(store, 1, b"2", chunk(2))
                await has_not(store, 2, "and was removed at last")
                await store.commit([Change(name(1), removed=True), begin(1, b"3")])
                await has(store, 1, b"3")

        self.run(test())

    def test_large_and_empty_values_come_back(self) -> None:
        """Some megabytes, all bytes, and none."""

        async def test() -> None:
            async with self.opened() as store:
                large = Chunk(1, 0, noise(1, LARGE))
                await store.commit([begin(1, noise(2, LARGE), large), begin(2, b"", Chunk(0, 0, b""))])
                await has(store, 1, noise(2, LARGE), large)
                await has(store, 2, b"", Chunk(0, 0, b""))

        self.run(test())

    def test_many_sessions_are_kept_apart(self) -> None:
        """In one commit, and in many."""

        async def test() -> None:
            async with self.opened() as store:
                await store.commit([begin(number, b"%d" % number, chunk(number)) for number in range(MANY)])
                for number in range(0, MANY, 2):
                    await store.commit([Change(name(number), added=(chunk(MANY),), dropped=(number,))])
                for number in range(MANY):
                    left = chunk(number) if number % 2 else chunk(MANY)
                    await has(store, number, b"%d" % number, left)
                sessions = (await store.statistics()).sessions
                expect(sessions == MANY, f"there are {MANY} sessions, and {sessions} are counted")

        self.run(test())

    def test_nothing_may_be_committed(self) -> None:
        """No change at all."""

        async def test() -> None:
            async with self.opened() as store:
                await store.commit([])
                expect((await store.statistics()).sessions == 0, "a session came from nothing")

        self.run(test())
