"""What is counted: replies per second, for a fixed number of requests in flight.

A measurement is a warm-up, whose count is thrown away, and a timed phase on the same connection. A phase starts with
nothing in flight, keeps ``plan.load`` requests under way until its time is up, and ends with the last reply; all
replies count and all of that time counts.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final, Protocol, TypeVar

T = TypeVar("T")
_BATCH: Final = 100
"""One-way messages between two looks at the clock."""


class WrongReply(Exception):
    """A reply does not belong to its request."""


class Numbered(Protocol):
    """Anything with a number: each contender's reply."""

    number: int


@dataclass(frozen=True)
class Plan:
    """One measurement: the suite's load, such as requests in flight, and the seconds of warm-up and timed phase."""

    load: int
    warm_up: float
    seconds: float


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` on a uvloop event loop, as every asyncio contender does unless it says otherwise."""
    import uvloop  # noqa: PLC0415  # contenders without a loop must run where there is no uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def check(reply: Numbered, number: int) -> None:
    """Stop the measurement if ``reply`` is not the one to request ``number``."""
    if reply.number != number:
        raise WrongReply(f"asked with number {number}, got the reply to {reply.number}")


async def rate_of_workers(ask: Callable[[int], Awaitable[Numbered]], plan: Plan) -> float:
    """Replies per second when ``plan.load`` coroutines each ask, await the reply, and ask again."""
    numbers = itertools.count(1)

    async def worker(end: float) -> int:
        count = 0
        while perf_counter() < end:
            number = next(numbers)
            check(await ask(number), number)
            count += 1
        return count

    async def phase(seconds: float) -> float:
        start = perf_counter()
        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(worker(start + seconds)) for _ in range(plan.load)]
        return sum(task.result() for task in workers) / (perf_counter() - start)

    await phase(plan.warm_up)
    return await phase(plan.seconds)


def rate_of_calls(ask: Callable[[int], Numbered], plan: Plan) -> float:
    """Replies per second when one thread asks, waits for the reply, and asks again."""
    numbers = itertools.count(1)

    def phase(seconds: float) -> float:
        count = 0
        start = perf_counter()
        while perf_counter() < start + seconds:
            number = next(numbers)
            check(ask(number), number)
            count += 1
        return count / (perf_counter() - start)

    phase(plan.warm_up)
    return phase(plan.seconds)


async def rate_of_messages(
    flood: Callable[[int, int], Awaitable[None]], finish: Callable[[], Awaitable[int]], plan: Plan
) -> float:
    """One-way messages per second that were handled at the other end, which counts them.

    ``flood`` sends so many, numbered from the first on; ``finish`` asks, behind all that was sent, how many were
    handled. A phase ends with that answer.
    """
    sent = 0

    async def phase(seconds: float) -> float:
        nonlocal sent
        before, start = sent, perf_counter()
        while perf_counter() < start + seconds:
            await flood(sent + 1, _BATCH)
            sent += _BATCH
        handled = await finish()
        if handled != sent:
            raise WrongReply(f"{sent} messages were sent, {handled} were handled")
        return (sent - before) / (perf_counter() - start)

    await phase(plan.warm_up)
    return await phase(plan.seconds)


async def rate_of_datagrams(
    flood: Callable[[], Awaitable[None]],
    ask: Callable[[bytes], Awaitable[bytes]],
    plan: Plan,
    read: Callable[[bytes], tuple[int, int, float]],
) -> float:
    """Datagrams per second that a handler was given at the other end, which counts them and has the clock.

    ``flood`` sends some; what is lost on the way does not count. ``ask`` sends a question of a number and returns what
    comes back, from which ``read`` takes the number, the count and the time.
    """
    numbers = itertools.count(1)

    async def counted() -> tuple[int, float]:
        for number in numbers:
            try:
                answer, count, at = read(await ask(number.to_bytes(4, "big")))
            except TimeoutError:
                continue  # lost, as datagrams are
            if answer == number:
                return count, at
        raise WrongReply("no numbers left")

    async def phase(seconds: float) -> float:
        count, at = await counted()
        end = perf_counter() + seconds
        while perf_counter() < end:
            await flood()
        last, later = await counted()
        return (last - count) / (later - at)

    await phase(plan.warm_up)
    return await phase(plan.seconds)
