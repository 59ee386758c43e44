"""An event loop without sockets and without waiting: its clock jumps to the next timer, as on simulated time."""

from __future__ import annotations

import asyncio
from typing import Any


class _NoSelector:
    """In place of the kernel: nothing is ever ready, and whoever would wait gets older at once."""

    def __init__(self, loop: TimelessLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        assert timeout is not None, "all wait, and nothing is due: a dead end"
        self._loop.now += timeout
        return []

    def close(self) -> None:
        pass


class TimelessLoop(asyncio.BaseEventLoop):
    """What simulations give: ``call_soon`` and ``call_later``, and not one socket."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._selector = _NoSelector(self)

    def time(self) -> float:
        return self.now

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass
