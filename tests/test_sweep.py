"""The timing wheel, on a clock that the test turns."""

from __future__ import annotations

import asyncio
import gc
import heapq
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tomada.sweep import NOWHERE, TICK, Sweep, sweep_of

SLACK = 1e-9
"""The clock's numbers are no decimals."""


class Timer:
    def __init__(self, at: float, call: Callable[..., object], given: tuple[Any, ...]) -> None:
        self.at = at
        self.call = call
        self.given = given
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True

    def __lt__(self, other: Timer) -> bool:
        return self.at < other.at


class Clock:
    """What the wheel needs of a loop."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now
        self.timers: list[Timer] = []
        self.complaints: list[dict[str, Any]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, at: float, call: Callable[..., object], *given: Any) -> Timer:
        timer = Timer(at, call, given)
        heapq.heappush(self.timers, timer)
        return timer

    def call_soon(self, call: Callable[..., object], *given: Any) -> Timer:
        return self.call_at(self.now, call, *given)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.complaints.append(context)

    def to(self, then: float, *, step: float = 0.0) -> None:
        """Go on to `then`; with a step every callback takes so long."""
        while self.timers and self.timers[0].at <= then:
            timer = heapq.heappop(self.timers)
            if not timer.is_cancelled:
                self.now = max(self.now, timer.at)
                timer.call(*timer.given)
                self.now += step
        self.now = max(self.now, then)

    def jump(self, seconds: float) -> None:
        """The process stands still for so long."""
        self.now += seconds

    @property
    def pending(self) -> list[Timer]:
        return [timer for timer in self.timers if not timer.is_cancelled]


class Item:
    """Has one deadline, and notes when it is looked at."""

    def __init__(self, clock: Clock, due: float, then: Callable[[float], float] = lambda _: inf) -> None:
        self.slot = NOWHERE
        self.clock = clock
        self.due = due
        self.then = then
        self.looks: list[float] = []

    def sweep(self, now: float) -> float:
        self.looks.append(now)
        return self.then(now)


def wheel(clock: Clock) -> Sweep:
    return Sweep(cast("asyncio.AbstractEventLoop", clock))


def test_nothing_is_looked_at_early_nor_more_than_a_tick_late() -> None:
    clock = Clock()
    sweep = wheel(clock)
    items = [Item(clock, clock.now + after) for after in (0.0, 0.01, 0.1, 0.15, 0.2, 1.0, 29.95, 300.0)]
    for item in items:
        sweep.watch(item, item.due)
    clock.to(clock.now + 400)

    for item in items:
        (look,) = item.looks
        assert item.due - SLACK <= look <= item.due + TICK + SLACK or item.due == items[0].due
    assert clock.pending == []


def test_a_wheel_that_rounded_down_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tomada.sweep.ceil", int)
    with pytest.raises(AssertionError):
        test_nothing_is_looked_at_early_nor_more_than_a_tick_late()


def test_one_timer_serves_all_and_none_is_left_where_nobody_waits() -> None:
    clock = Clock()
    sweep = wheel(clock)
    items = [Item(clock, clock.now + 30 + number / 100) for number in range(10_000)]
    for item in items:
        sweep.watch(item, item.due)

    assert len(clock.pending) == 1
    clock.to(clock.now + 29.8)
    assert not any(item.looks for item in items)
    assert len(clock.pending) == 1, "between the looks nothing runs"
    clock.to(clock.now + 200)
    assert all(len(item.looks) == 1 for item in items)
    assert clock.pending == []


def test_who_is_watched_twice_is_looked_at_at_the_earlier_time() -> None:
    clock = Clock()
    sweep = wheel(clock)
    begun = clock.now
    sooner, later = Item(clock, 0), Item(clock, 0)
    sweep.watch(sooner, begun + 10)
    sweep.watch(sooner, begun + 5)
    sweep.watch(later, begun + 5)
    sweep.watch(later, begun + 10)
    clock.to(begun + 20)

    assert [round(look - begun, 1) for look in sooner.looks + later.looks] == [5.0, 5.0]


def test_for_ever_is_never() -> None:
    clock = Clock()
    sweep = wheel(clock)
    item = Item(clock, inf)
    sweep.watch(item, inf)

    assert item.slot == NOWHERE
    assert clock.pending == []


def test_a_time_that_is_over_is_looked_at_with_the_next_tick() -> None:
    clock = Clock()
    sweep = wheel(clock)
    item = Item(clock, 0)
    sweep.watch(item, clock.now - 100)
    clock.to(clock.now + 2 * TICK)

    assert len(item.looks) == 1


def test_who_is_not_late_says_when_to_look_again() -> None:
    clock = Clock()
    begun = clock.now
    item = Item(clock, 0, lambda now: now + 10 if now < begun + 35 else inf)
    wheel(clock).watch(item, begun + 10)
    clock.to(begun + 100)

    assert [round(look - begun) for look in item.looks] == [10, 20, 30, 40]


def test_who_is_forgotten_is_not_looked_at() -> None:
    clock = Clock()
    sweep = wheel(clock)
    item = Item(clock, 0)
    sweep.forget(item)
    sweep.watch(item, clock.now + 1)
    sweep.forget(item)
    sweep.forget(item)
    clock.to(clock.now + 10)

    assert item.looks == []
    sweep.watch(item, clock.now + 1)
    clock.to(clock.now + 10)
    assert len(item.looks) == 1


def test_others_may_be_forgotten_and_watched_while_it_looks() -> None:
    clock = Clock()
    sweep = wheel(clock)
    begun = clock.now
    items = [Item(clock, 0) for _ in range(500)]
    fresh = [Item(clock, 0) for _ in range(500)]

    def first_of_all(now: float) -> float:
        for item in items:
            sweep.forget(item)
        for item in fresh:
            sweep.watch(item, now + 1)
        return inf

    for item in items:
        item.then = first_of_all
        sweep.watch(item, begun + 1)
    clock.to(begun + 10)

    assert sum(len(item.looks) for item in items) == 1, "the first one took all others out"
    assert [round(item.looks[0] - begun, 1) for item in fresh] == [2.0] * 500


def test_many_that_are_late_at_once_leave_others_their_turn() -> None:
    clock = Clock()
    sweep = wheel(clock)
    items = [Item(clock, 0) for _ in range(1_000)]
    for item in items:
        sweep.watch(item, clock.now + 1)
    seen: list[int] = []
    clock.call_at(clock.now + 1.0, lambda: clock.call_soon(lambda: seen.append(sum(len(item.looks) for item in items))))
    clock.to(clock.now + 3)

    assert 0 < seen[0] < 1_000
    assert all(len(item.looks) == 1 for item in items)
    assert sweep._slots == {}


def test_one_that_fails_is_told_and_looked_at_again_and_does_not_harm_the_others() -> None:
    clock = Clock()
    sweep = wheel(clock)
    begun = clock.now

    def fail(now: float) -> float:
        if now < begun + 1.5:
            raise ZeroDivisionError("it was me")
        return inf

    wrong, right = Item(clock, 0, fail), Item(clock, 0)
    for item in (wrong, right):
        sweep.watch(item, begun + 1)
    clock.to(begun + 10)

    assert len(right.looks) == 1
    assert [round(look - begun) for look in wrong.looks] == [1, 2]
    (complaint,) = clock.complaints
    assert isinstance(complaint["exception"], ZeroDivisionError)


def test_after_a_stop_of_the_process_what_has_come_is_read_first() -> None:
    clock = Clock()
    item = Item(clock, 0)
    wheel(clock).watch(item, clock.now + 1)
    clock.jump(60)
    read: list[int] = []
    clock.call_at(clock.now, lambda: read.append(len(item.looks)))
    clock.to(clock.now + TICK / 2)
    assert item.looks == []
    clock.to(clock.now + 1)

    assert read == [0]
    assert len(item.looks) == 1


def test_a_loop_that_is_slow_all_the_time_still_has_deadlines() -> None:
    clock = Clock()
    sweep = wheel(clock)
    items = [Item(clock, 0) for _ in range(5)]
    for number, item in enumerate(items):
        sweep.watch(item, clock.now + 1 + number)
    for _ in range(20):
        clock.jump(0.9)
        clock.to(clock.now)

    assert all(len(item.looks) == 1 for item in items)


def test_a_clock_of_milliseconds_may_strike_a_little_early() -> None:
    clock = Clock()
    begun = clock.now
    item = Item(clock, 0)
    due = begun + 1

    def on_time(now: float) -> float:
        return inf if now >= due else due

    item.then = on_time
    wheel(clock).watch(item, due)
    (timer,) = clock.pending
    timer.at -= 0.001
    clock.to(begun + 5)

    assert item.looks[-1] >= due - SLACK
    assert item.looks[-1] <= due + 2 * TICK


@pytest.mark.parametrize("now", [0.0, 0.05, 12_345.678, 1e9])
def test_any_clock_will_do(now: float) -> None:
    clock = Clock(now)
    item = Item(clock, 0)
    wheel(clock).watch(item, now + 5)
    clock.to(now + 10)

    assert 5 - 1e-6 <= item.looks[0] - now <= 5 + TICK + 1e-6


Step = tuple[str, int, float]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("watch"), st.integers(0, 7), st.floats(0, 20)),
            st.tuples(st.just("forget"), st.integers(0, 7), st.just(0.0)),
            st.tuples(st.just("pass"), st.just(0), st.floats(0, 3)),
        ),
        max_size=60,
    )
)
def test_whatever_is_done_nobody_is_early_nor_late(steps: list[Step]) -> None:
    clock = Clock(7.0)
    sweep = wheel(clock)
    items = [Item(clock, inf) for _ in range(8)]

    def looked_at(item: Item) -> Callable[[float], float]:
        def look(now: float) -> float:
            assert now >= item.due - SLACK, "early"
            assert now <= item.due + TICK + SLACK or now <= 7.0 + 2 * TICK, "late"
            item.due = inf
            return inf

        return look

    for item in items:
        item.then = looked_at(item)
    for what, number, seconds in steps:
        item = items[number]
        if what == "watch":
            at = clock.now + seconds
            if at < item.due:
                item.due = max(at, clock.now)
            sweep.watch(item, at)
        elif what == "forget":
            item.due = inf
            sweep.forget(item)
        else:
            clock.to(clock.now + seconds)
    clock.to(clock.now + 30)

    assert clock.complaints == []
    assert all(item.due == inf and item.slot == NOWHERE for item in items), "somebody was missed"


def test_each_loop_has_one_wheel_for_as_long_as_somebody_has_it() -> None:
    async def mine() -> tuple[Sweep, bool]:
        loop = asyncio.get_running_loop()
        return sweep_of(loop), sweep_of(loop) is sweep_of(loop)

    one, is_one = asyncio.run(mine())
    other, _ = asyncio.run(mine())
    assert is_one
    assert one is not other
    del one, other
    gc.collect()
    loop = asyncio.new_event_loop()  # where the numbers of loops are used again, the wheel is a new one
    assert sweep_of(loop)._loop is loop
    loop.close()


def test_who_is_late_together_is_looked_at_in_an_order_that_chance_has_no_part_in() -> None:
    """A set of objects has the order of their places in memory: no simulation would run twice in the same way."""
    clock = Clock()
    sweep = wheel(clock)
    looked: list[int] = []

    def look(number: int, _: float) -> float:
        looked.append(number)
        return inf

    items = [Item(clock, 0, partial(look, number)) for number in range(100)]
    for item in items:
        sweep.watch(item, clock.now + 1)
    clock.to(clock.now + 3)

    assert looked == list(reversed(range(100)))
