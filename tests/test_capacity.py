from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from math import inf
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tomada.capacity import Places, Room
from tomada.telemetry import LimitStruck, Outcome, subscribe


@pytest.fixture
def struck() -> Iterator[list[LimitStruck]]:
    found: list[LimitStruck] = []
    with subscribe(found.append, LimitStruck):
        yield found


class Turns:
    """A loop of which only `call_soon` is there."""

    def __init__(self) -> None:
        self.soon: deque[Callable[[], object]] = deque()

    def call_soon(self, callback: Callable[[], object]) -> None:
        self.soon.append(callback)

    def turn(self) -> None:
        while self.soon:
            self.soon.popleft()()


def places_of(most: int, loop: Turns) -> Places:
    return Places(most, cast("asyncio.AbstractEventLoop", loop))


class Connection:
    """One whose messages wait for a place."""

    def __init__(self, name: str, places: Places, started: list[str]) -> None:
        self.name = name
        self.places = places
        self.started = started
        self.waiting = 0
        self.running = 0
        self.is_blocked = False
        self.in_line = False

    def handle(self) -> None:
        """A message has come."""
        if self.waiting or self.places.is_full:
            self.waiting += 1
            if self.places.is_full:
                self.places.wait(self)
        else:
            self.start()

    def start(self) -> None:
        self.started.append(self.name)
        self.running += 1
        self.places.take()

    def start_one(self) -> bool:
        if self.is_blocked or not self.waiting:
            return False
        self.waiting -= 1
        self.start()
        return self.waiting > 0

    def end(self) -> None:
        self.running -= 1
        self.places.free()

    def do(self, what: str, loop: Turns) -> None:
        if what == "handle":
            self.handle()
        elif what == "end" and self.running:
            self.end()
        elif what == "turn":
            loop.turn()
        elif what == "block":
            self.is_blocked = not self.is_blocked
            if not self.is_blocked and self.waiting:
                self.places.wait(self)


class TestPlaces:
    def test_connections_take_places_in_turn(self, struck: list[LimitStruck]) -> None:
        loop, started = Turns(), list[str]()
        places = places_of(2, loop)
        greedy, modest = Connection("g", places, started), Connection("m", places, started)
        for _ in range(6):
            greedy.handle()
        modest.handle()
        modest.handle()
        assert started == ["g", "g"]
        for _ in range(6):
            next(one for one in (greedy, modest) if one.running).end()
            loop.turn()
        assert started == ["g", "g", "g", "m", "g", "m", "g", "g"]
        assert [(event.limit, event.allowed, event.outcome) for event in struck] == [
            ("all_handlers", 2, Outcome.PAUSED)
        ]

    def test_nobody_overtakes_those_in_line(self) -> None:
        loop, started = Turns(), list[str]()
        places = places_of(1, loop)
        first, late = Connection("f", places, started), Connection("l", places, started)
        first.handle()
        first.handle()
        first.end()
        late.handle()
        assert started == ["f"]
        loop.turn()
        assert started == ["f", "f"]
        first.end()
        loop.turn()
        assert started == ["f", "f", "l"]
        late.end()
        loop.turn()
        assert not places.is_full

    def test_who_cannot_take_its_place_leaves_it_to_others(self) -> None:
        loop, started = Turns(), list[str]()
        places = places_of(1, loop)
        holder, blocked, other = (Connection(name, places, started) for name in "hbo")
        for one in (holder, blocked, other):
            one.handle()
        blocked.is_blocked = True
        holder.end()
        loop.turn()
        assert started == ["h", "o"]

    @given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["handle", "end", "turn", "block"])), max_size=120))
    def test_whatever_happens_never_too_many_run_and_nobody_is_forgotten(self, steps: list[tuple[int, str]]) -> None:
        loop, started = Turns(), list[str]()
        places = places_of(3, loop)
        connections = [Connection(str(number), places, started) for number in range(5)]
        for number, what in steps:
            connections[number].do(what, loop)
            assert places.taken == sum(each.running for each in connections) <= 3
        for one in connections:
            one.is_blocked = False
            if one.waiting:
                places.wait(one)
        while any(one.running or one.waiting for one in connections):
            for one in connections:
                if one.running:
                    one.end()
            loop.turn()
        assert places.taken == 0
        assert not places.is_full


class Holder:
    """One whose peer takes nothing."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.bytes = 0
        self.squeezed = False
        self.reason = ""

    def hold(self, count: int) -> None:
        self.bytes = count
        self.room.weigh(self)

    def held(self) -> int:
        return self.bytes

    def squeeze(self, *, squeezed: bool) -> None:
        self.squeezed = squeezed

    def end(self, reason: str) -> None:
        self.bytes = 0
        self.reason = reason


class TestRoom:
    def test_above_the_limit_all_that_hold_something_are_not_read(self, struck: list[LimitStruck]) -> None:
        room = Room(100)
        one, two, three = Holder(room), Holder(room), Holder(room)
        one.hold(60)
        two.hold(40)
        assert not any([one.squeezed, two.squeezed])
        two.hold(41)
        assert [one.squeezed, two.squeezed, three.squeezed] == [True, True, False]
        three.hold(1)
        assert three.squeezed
        one.hold(0)
        assert [one.squeezed, two.squeezed, three.squeezed] == [False, False, False]
        assert room.total == 42
        assert [(event.limit, event.allowed, event.outcome) for event in struck] == [
            ("all_buffer_bytes", 100, Outcome.PAUSED)
        ]

    def test_they_go_on_below_half_of_it(self) -> None:
        room = Room(100)
        holders = [Holder(room) for _ in range(4)]
        for holder in holders:
            holder.hold(26)
        holders[0].hold(0)
        assert [holder.squeezed for holder in holders] == [False, True, True, True]
        room.forget(holders[1])
        holders[2].hold(25)
        assert [holder.squeezed for holder in holders[2:]] == [True, True]
        holders[3].hold(25)
        assert [holder.squeezed for holder in holders[2:]] == [False, False]

    def test_one_that_ended_makes_room(self) -> None:
        room = Room(100)
        one, two = Holder(room), Holder(room)
        two.hold(10)
        one.hold(100)
        before = two.squeezed
        room.forget(one)
        assert (before, two.squeezed) == (True, False)
        room.forget(one)
        assert room.total == 10

    def test_who_got_rid_of_something_need_not_have_said_so(self, struck: list[LimitStruck]) -> None:
        room = Room(100)
        one, two = Holder(room), Holder(room)
        one.hold(90)
        one.bytes = 0
        two.hold(90)
        assert not two.squeezed
        assert room.total == 90
        assert struck == []

    def test_at_twice_the_limit_the_largest_is_cut(self, struck: list[LimitStruck]) -> None:
        room = Room(100)
        small, large = Holder(room), Holder(room)
        small.hold(50)
        large.hold(120)
        large.hold(151)
        assert small.reason == ""
        assert large.reason == (
            "151 bytes waited for its peer, and in all connections together more than twice the server's limit of "
            "100 bytes"
        )
        assert room.total == 50
        assert [event.outcome for event in struck] == [Outcome.PAUSED, Outcome.REFUSED]

    def test_one_that_is_beyond_it_at_once_is_cut_at_once(self) -> None:
        room = Room(100)
        giant = Holder(room)
        giant.hold(1_000)
        assert giant.reason.startswith("1,000 bytes waited")
        assert room.total == 0

    def test_without_a_limit_nothing_happens(self) -> None:
        room = Room(inf)
        holder = Holder(room)
        holder.hold(10**15)
        assert not holder.squeezed

    @given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 90), st.booleans()), max_size=100))
    def test_whatever_happens_it_never_holds_more_than_twice_the_limit(
        self, steps: list[tuple[int, int, bool]]
    ) -> None:
        room = Room(100)
        holders = [Holder(room) for _ in range(6)]
        for number, count, is_told in steps:
            holder = holders[number]
            if is_told or count > holder.bytes:
                holder.hold(count)
            else:
                holder.bytes = count
            total = sum(each.bytes for each in holders)
            assert total <= min(room.total, 200)
            if total > 100:
                assert all(each.squeezed for each in holders if each.bytes)
        for holder in holders:
            holder.hold(0)
        assert room.total == 0
        assert not any(holder.squeezed for holder in holders if not holder.reason)
