"""Where pictures come from: one process that serves, or several. What viewers are told is put together here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import msgspec

from tomada.feed.inner import Closeup, LookClosely, Summary, TurnPage
from tomada.feed.messages import Picture, TypeRow, WorkerRow
from tomada.telemetry.tally import quantile

if TYPE_CHECKING:
    from tomada.feed.inner import Introduction, Rows, TypeSummary
    from tomada.feed.messages import Watch

FIRST_LINES: Final = 100
"""Of the log, in the first picture."""
_NOTHING: Final = Closeup(None, [], -1, 0)


class Overview(msgspec.Struct, frozen=True):
    """The server as a whole, whatever processes there are."""

    summary: Summary
    workers: list[WorkerRow]


class Marks:
    """How far one viewer has seen."""

    __slots__ = ("frames", "is_first", "log")

    def __init__(self) -> None:
        self.is_first = True
        self.log = -1
        self.frames = -1


class Source:
    """What can be looked at, and acted on."""

    async def introduction(self) -> Introduction:
        """What does not change."""
        raise NotImplementedError

    async def overview(self, log_after: int) -> Overview:
        """All but the connections."""
        raise NotImplementedError

    async def page(self, asked: TurnPage) -> Rows:
        """Some of the connections."""
        raise NotImplementedError

    async def closeup(self, asked: LookClosely) -> Closeup:
        """One connection, and its frames since the last look."""
        raise NotImplementedError

    async def close(self, connection: str) -> bool:
        """Close a connection; whether there was one."""
        raise NotImplementedError

    async def drain(self, worker: int) -> bool:
        """Replace a worker; whether there was one."""
        raise NotImplementedError

    async def picture(self, question: Watch, marks: Marks, *, may_act: bool) -> Picture:
        """What one viewer is told next; `marks` then says how far that was."""
        introduction = await self.introduction()
        overview = await self.overview(marks.log)
        page = TurnPage(question.query, question.sort, question.descending, question.first, question.count)
        rows = await self.page(page)
        closeup = _NOTHING
        if question.connection:
            closeup = await self.closeup(LookClosely(question.connection, marks.frames))
            marks.frames = closeup.last
        summary = overview.summary
        log = summary.log[-FIRST_LINES:] if marks.is_first else summary.log
        if log:
            marks.log = log[-1].number
        picture = Picture(
            time=time.time(),
            app=introduction.app,
            addresses=summary.addresses,
            seconds=summary.seconds,
            totals=summary.totals,
            types=[_row(one) for one in summary.types],
            workers=overview.workers,
            strikes=summary.strikes,
            log=log,
            matching=rows.matching,
            connections=rows.rows,
            looked_at=closeup.row,
            frames=closeup.frames,
            frames_passed_over=closeup.passed_over,
            settings=introduction.settings if marks.is_first else {},
            may_act=may_act,
        )
        marks.is_first = False
        return picture


def _row(one: TypeSummary) -> TypeRow:
    half, most = quantile(one.recent, 0.5), quantile(one.recent, 0.99)
    return TypeRow(one.name, one.handled, one.rate, one.failed, one.failure_rate, half, most)
