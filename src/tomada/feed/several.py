"""All processes of one server as one source: finds them, asks them, and puts together what they say.

Each has a socket file in the dashboard's folder as long as it serves. They come and go: at a reload, when one dies,
when one is drained. One that does not answer in time is shown as it was; nobody waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import msgspec

import tomada
from tomada.errors import ConnectionLost, TimedOut, TomadaError
from tomada.feed import merging
from tomada.feed.beside import FEED
from tomada.feed.inner import (
    Closeup,
    Describe,
    Introduce,
    Introduction,
    Rank,
    Rows,
    Summarize,
    Summary,
    TurnPage,
)
from tomada.feed.messages import MOST_ROWS, SHORTEST_PAUSE, Close, WorkerRow
from tomada.feed.notes import Lines
from tomada.feed.source import Overview, Source
from tomada.settings import Deadlines

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from pathlib import Path

    from tomada.connection import Connection
    from tomada.feed.inner import LookClosely

log: Final = logging.getLogger("tomada.dashboard")
_FRESH: Final = 0.9 * SHORTEST_PAUSE
_PATIENCE: Final = 2.0
"""Seconds that a process may take to answer."""
_MEMORY: Final = 10.0
"""For so many seconds one that is gone is shown."""
_IDLE: Final = 10.0
"""Where nobody has watched for so many seconds, nobody is asked, and no connection is kept."""
_MOST_PAGES: Final = 64
_DEADLINES: Final = Deadlines(connect=_PATIENCE, handshake=_PATIENCE, drain=0.1)


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

    @property
    def is_gone(self) -> bool:
        """Whether it cannot be asked any more."""
        return not self.connection.is_open

    async def ask(self, question: tomada.Request[Any]) -> Any:
        """What it answers; None where it does not in time, or is gone."""
        try:
            return await self.connection.ask(question, timeout=_PATIENCE)
        except (TimedOut, ConnectionLost):
            return None

    def row(self) -> WorkerRow | None:
        """What is shown of it."""
        if self.summary is None:
            return None
        if not self.is_gone:
            return self.summary.worker
        return msgspec.structs.replace(self.summary.worker, state="gone", connections=0, processor=0.0, memory_bytes=0)


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
        self._lines = Lines()
        self._departed = merging.NOTHING
        self._asked_at = -inf
        self._summary: Summary | None = None
        self._introduction = Introduction("", 0, 0, {}, is_open=False)
        self._pages: dict[tuple[object, ...], Rows] = {}
        self._began = monotonic()
        self._resting: asyncio.TimerHandle | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    async def shut(self) -> None:
        """Ask nobody any more."""
        if self._resting is not None:
            self._resting.cancel()
        self._forget_all()
        if self._leaving:
            await asyncio.wait(self._leaving)

    def note(self, when: float, level: str, text: str) -> None:
        """One line more of the log, of whoever started the processes."""
        self._lines.add(when, level, text)

    # Who is there.

    def _there(self) -> list[Member]:
        return [member for member in self._members.values() if not member.is_gone]

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
        unknown = [name for name in names if name not in self._members]
        await asyncio.gather(*(self._greet(name) for name in unknown))

    async def _greet(self, name: str) -> None:
        try:
            connection = await tomada.connect(f"unix://{self._folder / name}", sessions=False, deadlines=_DEADLINES)
        except TomadaError:
            return  # it ends just now, or was killed and left its file behind
        introduction = None
        try:
            introduction = await connection.ask(Introduce(), timeout=_PATIENCE)
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
        for member in members.values():
            task = self._loop.create_task(member.connection.close())
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
            self._pages.clear()
            there = self._there()
            answers = await asyncio.gather(*(member.ask(Summarize(member.log)) for member in there))
            for member, summary in zip(there, answers, strict=True):
                if summary is not None:
                    self._take(member, summary)
            self._summary = self._together([member.summary for member in self._there() if member.summary is not None])

    def _take(self, member: Member, summary: Summary) -> None:
        member.summary = summary
        number = member.introduction.number
        for line in summary.log:
            member.log = line.number
            self._lines.add(line.time, line.level, line.text, number)

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
        """As of `Source`."""
        await self._refresh()
        question = msgspec.structs.astuple(asked)
        found = self._pages.get(question)
        if found is None:
            there = self._there()
            if len(there) == 1:
                found = await there[0].ask(asked) or Rows(0, [])
            elif asked.first + asked.count <= MOST_ROWS:
                found = await self._shallow(there, asked)
            else:
                found = await self._deep(there, asked)
            if len(self._pages) < _MOST_PAGES:
                self._pages[question] = found
        return found

    async def _shallow(self, there: list[Member], asked: TurnPage) -> Rows:
        whole = msgspec.structs.replace(asked, first=0, count=asked.first + asked.count)
        pages = [page for page in await asyncio.gather(*(member.ask(whole) for member in there)) if page is not None]
        rows = merging.rows(pages, asked.sort, descending=asked.descending)
        return Rows(sum(page.matching for page in pages), rows[asked.first : asked.first + asked.count])

    async def _deep(self, there: list[Member], asked: TurnPage) -> Rows:
        """First where the connections stand, then those of the page."""
        last = asked.first + asked.count
        question = Rank(asked.query, asked.sort, asked.descending, last)
        answers = await asyncio.gather(*(member.ask(question) for member in there))
        ranks = [answer for answer in answers if answer is not None]
        ids = merging.ranks(ranks, descending=asked.descending)[asked.first : last]
        described = await asyncio.gather(*(member.ask(Describe(_of(member, ids))) for member in there))
        rows = {row.id: row for some in described for row in some or ()}
        return Rows(sum(one.matching for one in ranks), [rows[id_] for id_ in ids if id_ in rows])

    def _owner(self, connection: str) -> Member | None:
        return next((member for member in self._there() if _of(member, [connection])), None)

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


def _of(member: Member, ids: Iterable[str]) -> list[str]:
    """Those of a process: their ids begin with its own."""
    beginning = f"{member.introduction.pid}-"
    return [id_ for id_ in ids if id_.startswith(beginning)]


def _names(folder: Path) -> list[str]:
    try:
        return sorted(file.name for file in folder.iterdir() if file.name.endswith(FEED))
    except OSError:
        return []
