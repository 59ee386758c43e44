"""No store grows without end: number, bytes and age have bounds, and the longest untouched session goes first."""

from __future__ import annotations

from tomada.sessions import Change
from tomada.settings import Sessions
from tomada.testing.conformance.running import expect
from tomada.testing.stores.ground import Ground, begin, chunk, has, has_not, name, present

KIB = 1_024


class Bounds(Ground):
    """Tests of what becomes of too much."""

    def test_the_longest_untouched_sessions_make_room(self) -> None:
        """A change touches, also one that changes nothing; reading does not."""

        async def test() -> None:
            async with self.opened(Sessions(most=5)) as store:
                for number in range(5):
                    await store.commit([begin(number)])
                    await self.later(0.01)
                await store.commit([Change(name(0))])
                await self.later(0.01)
                await store.commit([Change(name(1), added=(chunk(1),))])
                await has(store, 2)
                await self.later(0.01)
                await store.commit([begin(5), begin(6)])
                left = await present(store, range(7))
                expect(
                    left == [0, 1, 4, 5, 6], f"of 7 sessions 0, 1, 4, 5 and 6 were touched last, and {left} are left"
                )
                seen = await store.statistics()
                counted = (seen.sessions, seen.evicted)
                expect(counted == (5, 2), f"5 sessions are left and 2 were evicted, and counted are {counted}")

        self.run(test())

    def test_of_those_touched_at_once_the_first_goes_first(self) -> None:
        """In one commit, and where the clock stood still."""

        async def test() -> None:
            async with self.opened(Sessions(most=3)) as store:
                await store.commit([begin(1), begin(2)])
                await store.commit([begin(3), Change(name(1))])
                await store.commit([begin(4)])
                left = await present(store, range(1, 5))
                expect(left == [1, 3, 4], f"of 4 sessions 3, 1 and 4 were touched last, and {left} are left")

        self.run(test())

    def test_bytes_are_bounded(self) -> None:
        """Of heads and chunks together; what is dropped makes room."""

        async def test() -> None:
            most = 100 * KIB
            async with self.opened(Sessions(most_bytes=most)) as store:
                for number in range(20):
                    data = chunk(1, bytes(5 * KIB))
                    await store.commit([begin(number, bytes(5 * KIB), data)])
                    await self.later(0.01)
                left = await present(store, range(20))
                seen = await store.statistics()
                expect(
                    10 * KIB * len(left) <= most, f"{len(left)} sessions of 10 KiB are left, and most_bytes is {most}"
                )
                expect(10 * KIB * len(left) <= seen.bytes <= most, f"{len(left)} x 10 KiB count as {seen.bytes} bytes")
                expect(left and left == list(range(left[0], 20)), f"the last of 20 should be left, and {left} are")
                expect(seen.evicted == 20 - len(left), f"{20 - len(left)} were evicted, and {seen.evicted} counted")
                for number in left:
                    await store.commit([Change(name(number), b"", dropped=(1,))])
                await store.commit([begin(number) for number in range(20, 24)])
                there = await present(store, range(left[0], 24))
                expect(there == list(range(left[0], 24)), "what was dropped still takes room")

        self.run(test())

    def test_empty_sessions_and_chunks_count_too(self) -> None:
        """Else there could be any number of them."""

        async def test() -> None:
            async with self.opened(Sessions(most_bytes=4 * KIB)) as store:
                await store.commit([begin(number, b"") for number in range(KIB)])
                sessions = (await store.statistics()).sessions
                expect(sessions < KIB, f"{sessions} empty sessions are kept in 4 KiB")
            async with self.opened(Sessions(most_bytes=4 * KIB)) as store:
                await store.commit([begin(KIB, b"", *[chunk(number, b" ") for number in range(2 * KIB)])])
                await has_not(store, KIB, "with 2,048 chunks, in 4 KiB")

        self.run(test())

    def test_one_that_is_too_large_goes_alone(self) -> None:
        """It does not drive out all others first."""

        async def test() -> None:
            async with self.opened(Sessions(most_bytes=50 * KIB)) as store:
                await store.commit([begin(1), begin(2)])
                await self.later(0.01)
                await store.commit([Change(name(2), added=(chunk(1, bytes(60 * KIB)),)), begin(3)])
                await has_not(store, 2, "and is larger than all may be together")
                await has(store, 1)
                await has(store, 3)
                seen = await store.statistics()
                expect((seen.sessions, seen.evicted) == (2, 1), "the one that was too large is not counted as evicted")

        self.run(test())

    def test_the_old_expire(self) -> None:
        """By their last change; reading does not renew them."""

        async def test() -> None:
            async with self.opened(Sessions(keep=self.keep)) as store:
                await store.commit([begin(1), begin(2), begin(3)])
                await self.later(0.6 * self.keep)
                await store.commit([Change(name(2))])
                await has(store, 1)
                await self.later(0.6 * self.keep)
                await has_not(store, 1, "and is older than `keep`")
                await has(store, 2)
                seen = await store.statistics()
                expect((seen.sessions, seen.expired) == (1, 2), f"1 is left and 2 expired, and counted is {seen}")
                await store.commit([begin(4)])
                await has_not(store, 3, "and is older than `keep`")
                seen = await store.statistics()
                expect((seen.sessions, seen.expired) == (2, 2), f"2 are left and 2 expired, and counted is {seen}")
                expect(seen.evicted == 0, "those that have expired are counted as evicted")

        self.run(test())

    def test_statistics_tell_the_bounds(self) -> None:
        """Next to what is counted."""

        async def test() -> None:
            async with self.opened(Sessions(keep=1_234.5, most=67, most_bytes=89_000)) as store:
                await store.commit([begin(1, bytes(100), chunk(1, bytes(1_000)))])
                seen = await store.statistics()
                bounds = (seen.keep, seen.most, seen.most_bytes)
                expect(bounds == (1_234.5, 67, 89_000), f"the bounds are told as {bounds}")
                expect(KIB < seen.bytes <= seen.most_bytes, f"1,100 bytes were stored, and {seen.bytes} are counted")
                await store.commit([Change(name(1), removed=True)])
                seen = await store.statistics()
                expect((seen.sessions, seen.bytes) == (0, 0), "a session that was removed is counted")
                expect(
                    (seen.evicted, seen.expired) == (0, 0), "a session that was removed counts as evicted, or expired"
                )

        self.run(test())
