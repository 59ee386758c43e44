"""The workers of one start, or of one reload: first one, then the others; all are ready, or it has failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomada.server.workers.worker import Worker


class Generation:
    """Workers that are to serve together.

    The first is started alone: what is wrong with the application is then told once, and not by each.

    Args:
        count: How many there are to be.
        start: Starts the one of a number, from 1.
        now: The time.
    """

    __slots__ = ("_count", "_start", "before", "began", "callers", "workers")

    def __init__(self, count: int, start: Callable[[int], Worker], now: float) -> None:
        self._count = count
        self._start = start
        self.began = now
        self.before: set[Worker] = set()
        """Those that it has replaced, as long as they may still accept."""
        self.workers: dict[int, Worker] = {}
        self.callers: list[Callable[[str], None]] = []
        """Who is to be told of the outcome: nothing, or why it failed."""

    @property
    def is_ready(self) -> bool:
        """Whether all of them are."""
        return len(self.workers) == self._count and all(worker.ready is not None for worker in self.workers.values())

    def __contains__(self, worker: Worker) -> bool:
        return self.workers.get(worker.number) is worker

    def go_on(self) -> None:
        """Start the first one; when that is ready, the others. Raises what starting one raises."""
        if not self.workers:
            self.workers[1] = self._start(1)
        elif len(self.workers) == 1 and self.workers[1].ready is not None:
            for number in range(2, self._count + 1):
                self.workers[number] = self._start(number)

    def tell(self, failure: str) -> None:
        """Tell all who wait what has become of it."""
        callers, self.callers = self.callers, []
        for caller in callers:
            caller(failure)
