"""One of the processes that a dashboard asks."""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tomada.errors import ConnectionLost, TimedOut
from tomada.feed.inner import Introduction, Summarize, Summary

if TYPE_CHECKING:
    from collections.abc import Iterable

    import tomada
    from tomada.connection import Connection
    from tomada.feed.messages import WorkerRow

PATIENCE: Final = 2.5
"""Seconds that a process may take to answer; for one that was late nobody waits again until it has answered."""
LONGEST: Final = 60.0
"""Seconds after which its answer is given up."""


class Member:
    """One process."""

    def __init__(self, connection: Connection, introduction: Introduction) -> None:
        self.connection = connection
        self.introduction = introduction
        self.summary: Summary | None = None
        """As it said last."""
        self.log = -1
        """The last line that is known of its log."""
        self.gone_at = inf
        self._summarizing: asyncio.Task[Summary | None] | None = None

    @property
    def is_late(self) -> bool:
        """Whether it has not answered yet: its event loop is blocked, or its machine is busy."""
        return self._summarizing is not None

    def begin(self) -> asyncio.Task[Summary | None] | None:
        """Ask it how it goes; None: it has not answered the question before."""
        if self._summarizing is None:
            self._summarizing = asyncio.create_task(self.ask(Summarize(self.log), LONGEST))
            return self._summarizing
        return None

    def end(self) -> Summary | None:
        """What it has answered by now, if it has."""
        task = self._summarizing
        if task is None or not task.done():
            return None
        self._summarizing = None
        return task.result()

    @property
    def is_gone(self) -> bool:
        """Whether it cannot be asked any more."""
        return not self.connection.is_open

    async def ask(self, question: tomada.Request[Any], patience: float = PATIENCE) -> Any:
        """What it answers; None where it does not in time, or is gone."""
        try:
            return await self.connection.ask(question, timeout=patience)
        except (TimedOut, ConnectionLost):
            return None

    async def leave(self) -> None:
        """Ask it nothing more."""
        if self._summarizing is not None:
            self._summarizing.cancel()
            await asyncio.gather(self._summarizing, return_exceptions=True)
        await self.connection.close()

    def row(self) -> WorkerRow | None:
        """What is shown of it."""
        if self.summary is None:
            return None
        if not self.is_gone:
            return self.summary.worker
        return msgspec.structs.replace(self.summary.worker, state="gone", connections=0, processor=0.0, memory_bytes=0)

    def own(self, ids: Iterable[str]) -> list[str]:
        """Those of its connections: their ids begin with its own."""
        beginning = f"{self.introduction.pid}-"
        return [id_ for id_ in ids if id_.startswith(beginning)]
