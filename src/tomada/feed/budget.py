"""How much of the event loop's time looking may take, however many connections and viewers there are."""

from __future__ import annotations

import asyncio
from time import monotonic, thread_time
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from typing import Self

T = TypeVar("T")

SHARE: Final = 1 / 40
"""Of the loop's time."""
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
        self._free_at = max(self._free_at, monotonic()) + (thread_time() - self._began) / SHARE


async def chunks(items: Sequence[T]) -> AsyncIterator[Sequence[T]]:
    """The items in pieces; everybody else has a turn in between."""
    for first in range(0, len(items), CHUNK):
        if first:
            await asyncio.sleep(0)
        yield items[first : first + CHUNK]
