"""All processes of one server as one source: finds them, asks them, and puts together what they say.

Each has a socket file in the dashboard's folder as long as it serves. They come and go: at a reload, when one dies,
when one is drained. One that does not answer in time is shown as it was; nobody waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from math import inf
from operator import itemgetter
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

import tomada
from tomada.errors import TomadaError
from tomada.feed import merging
from tomada.feed.beside import FEED, forget
from tomada.feed.inner import (
    Closeup,
    Describe,
    Introduce,
    Introduction,
    Rank,
    Rows,
    Summary,
    TurnPage,
)
from tomada.feed.machine import is_running
from tomada.feed.member import LONGEST, PATIENCE, Member
from tomada.feed.messages import MOST_ROWS, SHORTEST_PAUSE, Close, WorkerRow
from tomada.feed.notes import Lines
from tomada.feed.source import Overview, Source
from tomada.settings import Deadlines

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tomada.feed.inner import LookClosely
    from tomada.feed.messages import LogLine

log: Final = logging.getLogger("tomada.dashboard")
_FRESH: Final = 0.9 * SHORTEST_PAUSE
_MEMORY: Final = 10.0
"""For so many seconds one that is gone is shown."""
_IDLE: Final = 10.0
"""Where nobody has watched for so many seconds, nobody is asked, and no connection is kept."""
_MOST_PAGES: Final = 64
_DEADLINES: Final = Deadlines(connect=LONGEST, handshake=LONGEST, drain=0.1, heartbeat=inf, idle=inf)
"""A process whose loop is blocked has not gone, however long that takes; the system tells when one has."""


class _Page(NamedTuple):
    """Some connections, and when they were asked for."""

    asked_at: float
    rows: Rows | None


class Several(Source):
    """Sees the processes whose feeds are in a folder.

    Args:
        folder: Where their socket files are.
        drain: Has the worker of a number replaced; whether there was one. None: nobody can do that.
    """

    def __init__(self, folder: Path, drain: Callable[[int], Awaitable[bool]] | None = None) -> None:
        self._folder = folder
        self._drain = drain
        self._loop = asyncio.get_running_loop()
        self._asking = asyncio.Lock()
        self._members: dict[str, Member] = {}
        self._greeting: dict[str, asyncio.Task[None]] = {}
        self._lines = Lines()
        self._departed = merging.NOTHING
        self._asked_at = -inf
        self._summary: Summary | None = None
        self._introduction = Introduction("", 0, 0, {}, is_open=False)
        self._pages: dict[tuple[object, ...], _Page] = {}
        self._began = monotonic()
        self._resting: asyncio.TimerHandle | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    async def shut(self) -> None:
        """Ask nobody any more."""
        if self._resting is not None:
            self._resting.cancel()
        for greeting in self._greeting.values():
            greeting.cancel()
        self._forget_all()
        if waiting := {*self._leaving, *self._greeting.values()}:
            await asyncio.wait(waiting)

    def note(self, when: float, level: str, text: str) -> None:
        """One line more of the log, of whoever started the processes."""
        self._lines.add(when, level, text)

    # Who is there.

    def _there(self) -> list[Member]:
        return [member for member in self._members.values() if not member.is_gone]

    def _answering(self) -> list[Member]:
        return [member for member in self._there() if not member.is_late]

    async def _meet(self) -> None:
        """Know all that there are; show those that are gone for a while."""
        now = monotonic()
        names = await asyncio.to_thread(_names, self._folder)
        for name, member in tuple(self._members.items()):
            if member.is_gone and member.gone_at == inf:
                member.gone_at = now
                if member.summary is not None:
                    self._departed = merging.total([self._departed, merging.since_start(member.summary.totals)])
            if now > member.gone_at + _MEMORY:
                del self._members[name]
        begun = []
        for name in names:
            if name not in self._members and name not in self._greeting:
                task = self._greeting[name] = asyncio.create_task(self._greet(name))
                task.add_done_callback(partial(self._greeted, name))
                begun.append(task)
        if begun:
            await asyncio.wait(begun, timeout=PATIENCE)

    def _greeted(self, name: str, _: asyncio.Task[None]) -> None:
        del self._greeting[name]

    async def _greet(self, name: str) -> None:
        try:
            connection = await tomada.connect(f"unix://{self._folder / name}", sessions=False, deadlines=_DEADLINES)
        except TomadaError:
            _forget_killed(self._folder, name)
            return  # it ends just now, or was killed
        introduction = None
        try:
            introduction = await connection.ask(Introduce(), timeout=LONGEST)
        except TomadaError as error:
            log.warning("a process that serves does not say who it is: %s", error)
        if introduction is None:
            await connection.close()
            return
        self._members[name] = Member(connection, introduction)
        self._introduction = introduction

    def _rest(self) -> None:
        self._resting = None
        left = self._asked_at + _IDLE - self._loop.time()
        if left > 0 or self._asking.locked():
            self._resting = self._loop.call_later(max(left, 1.0), self._rest)
        else:
            self._forget_all()

    def _forget_all(self) -> None:
        members, self._members = self._members, {}
        self._summary, self._asked_at, self._departed = None, -inf, merging.NOTHING
        self._pages.clear()
        for member in members.values():
            task = self._loop.create_task(member.leave())
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    # All together.

    async def introduction(self) -> Introduction:
        """As of `Source`; of the newest process."""
        if not self._there():
            await self._refresh()
        return self._introduction

    async def overview(self, log_after: int) -> Overview:
        """As of `Source`."""
        await self._refresh()
        assert self._summary is not None, "it was refreshed"  # noqa: S101 - the house's own order
        workers = [row for member in self._members.values() if (row := member.row()) is not None]
        workers.sort(key=lambda row: (row.number, row.pid))
        return Overview(msgspec.structs.replace(self._summary, log=self._lines.after(log_after)), workers)

    async def _refresh(self) -> None:
        async with self._asking:
            if self._loop.time() < self._asked_at + _FRESH:
                return
            if self._resting is None:
                self._resting = self._loop.call_later(_IDLE, self._rest)
            await self._meet()
            self._asked_at = self._loop.time()
            there = self._there()
            if begun := [task for member in there if (task := member.begin()) is not None]:
                await asyncio.wait(begun, timeout=PATIENCE)
            self._take([(member, summary) for member in there if (summary := member.end()) is not None])
            # Also of those that have gone just now: they are still to be counted among the departed.
            known = [member for member in self._members.values() if member.gone_at == inf]
            self._summary = self._together([member.summary for member in known if member.summary is not None])

    def _take(self, answers: list[tuple[Member, Summary]]) -> None:
        lines: list[tuple[float, LogLine, int]] = []
        for member, summary in answers:
            member.summary = summary
            if summary.log:
                member.log = summary.log[-1].number
            lines += [(line.time, line, member.introduction.number) for line in summary.log]
        for when, line, number in sorted(lines, key=itemgetter(0)):
            self._lines.add(when, line.level, line.text, number)

    def _together(self, summaries: list[Summary]) -> Summary:
        addresses = dict.fromkeys(address for summary in summaries for address in summary.addresses)
        nobody = WorkerRow(0, 0, 0.0, "gone", 0, 0.0, 0)
        return Summary(
            addresses=list(addresses),
            seconds=max((summary.seconds for summary in summaries), default=0.0),
            totals=merging.total([self._departed, *(summary.totals for summary in summaries)]),
            types=merging.types(summary.types for summary in summaries),
            worker=nobody,
            strikes=merging.strikes(summary.strikes for summary in summaries),
            log=[],
        )

    # Connections.

    async def page(self, asked: TurnPage) -> Rows:
        """As of `Source`; where nobody answers in time, as it was."""
        await self._refresh()
        question = msgspec.structs.astuple(asked)
        known = self._pages.pop(question, None)
        if known is None or known.asked_at != self._asked_at:
            asked_at = self._asked_at
            rows = await self._ask_for(asked)
            known = _Page(asked_at, rows) if rows is not None or known is None else known
            if len(self._pages) >= _MOST_PAGES:
                del self._pages[next(iter(self._pages))]
        self._pages[question] = known
        return known.rows or Rows(0, [])

    async def _ask_for(self, asked: TurnPage) -> Rows | None:
        there = self._answering()
        if len(there) == 1:
            found: Rows | None = await there[0].ask(asked)
            return found
        if asked.first + asked.count <= MOST_ROWS:
            return await self._shallow(there, asked)
        return await self._deep(there, asked)

    async def _shallow(self, there: list[Member], asked: TurnPage) -> Rows | None:
        whole = msgspec.structs.replace(asked, first=0, count=asked.first + asked.count)
        pages = [page for page in await asyncio.gather(*(member.ask(whole) for member in there)) if page is not None]
        if not pages and self._members:
            return None
        rows = merging.rows(pages, asked.sort, descending=asked.descending)
        return Rows(sum(page.matching for page in pages), rows[asked.first : asked.first + asked.count])

    async def _deep(self, there: list[Member], asked: TurnPage) -> Rows:
        """First where the connections stand, then those of the page."""
        last = asked.first + asked.count
        question = Rank(asked.query, asked.sort, asked.descending, last)
        answers = await asyncio.gather(*(member.ask(question) for member in there))
        ranks = [answer for answer in answers if answer is not None]
        ids = merging.ranks(ranks, descending=asked.descending)[asked.first : last]
        described = await asyncio.gather(*(member.ask(Describe(member.own(ids))) for member in there))
        rows = {row.id: row for some in described for row in some or ()}
        return Rows(sum(one.matching for one in ranks), [rows[id_] for id_ in ids if id_ in rows])

    def _owner(self, connection: str) -> Member | None:
        return next((member for member in self._there() if member.own([connection])), None)

    async def closeup(self, asked: LookClosely) -> Closeup:
        """As of `Source`."""
        owner = self._owner(asked.connection)
        found = None if owner is None else await owner.ask(asked)
        return found or Closeup(None, [], asked.after, 0)

    async def close(self, connection: str) -> bool:
        """As of `Source`."""
        owner = self._owner(connection)
        return owner is not None and bool(await owner.ask(Close(connection)))

    async def drain(self, worker: int) -> bool:
        """As of `Source`."""
        return self._drain is not None and await self._drain(worker)


def _forget_killed(folder: Path, name: str) -> None:
    """Remove what a process has left behind that could not do so itself."""
    pid = name.removesuffix(FEED)
    if pid.isdigit() and not is_running(int(pid)):
        forget(folder, int(pid))


def _names(folder: Path) -> list[str]:
    try:
        return sorted(file.name for file in folder.iterdir() if file.name.endswith(FEED))
    except OSError:
        return []
