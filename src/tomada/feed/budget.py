"""How much of the event loop's time looking may take, however many connections and viewers there are."""

from __future__ import annotations

import asyncio
from itertools import islice
from time import monotonic, thread_time
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from typing import Self

T = TypeVar("T")

SHARE: Final = 1 / 100
"""Of the loop's time."""
LONGEST: Final = 3.0
"""Seconds that nobody has to wait for more than, whatever it took."""
_MOST: Final = 0.02
"""Seconds that a step takes at most: what is beyond was the garbage collector, which would have come anyhow."""
CHUNK: Final = 256
"""So many connections are looked at in one turn of the loop, which takes less than a millisecond."""


class Budget:
    """Measures what looking takes, and lets it wait until that is at most `SHARE` of the time that has passed.

    ::

        await budget.wait()
        with budget:
            ...
    """

    __slots__ = ("_began", "_free_at")

    def __init__(self) -> None:
        self._began = 0.0
        self._free_at = 0.0

    async def wait(self) -> None:
        """Until there is time to spend."""
        await asyncio.sleep(max(0.0, self._free_at - monotonic()))

    def __enter__(self) -> Self:
        self._began = thread_time()  # that others had the processor meanwhile is not this one's fault
        return self

    def __exit__(self, *_: object) -> None:
        now, spent = monotonic(), min(thread_time() - self._began, _MOST)
        self._free_at = min(max(self._free_at, now) + spent / SHARE, now + LONGEST)


async def chunks(items: Iterable[T]) -> AsyncIterator[list[T]]:
    """The items in pieces; everybody else has a turn in between, and must not change them."""
    rest = iter(items)
    chunk = list(islice(rest, CHUNK))
    while chunk:
        yield chunk
        if chunk := list(islice(rest, CHUNK)):
            await asyncio.sleep(0)
