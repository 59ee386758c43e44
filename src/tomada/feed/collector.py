"""Looks at one server, from inside its process: at most twice a second, in short steps, and only while somebody asks.

What the server counts anyhow is read; nothing is counted for the sake of this. Of the connections only those of the
page that somebody looks at are described. All who look at the same share it.
"""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING, Final

import msgspec

from tomada.endpoint import log
from tomada.feed.budget import Budget
from tomada.feed.closeups import Closeups
from tomada.feed.inner import Introduction, Ranks, Rows, Summary, TypeSummary
from tomada.feed.machine import Machine
from tomada.feed.messages import SHORTEST_PAUSE, Totals, WorkerRow
from tomada.feed.notes import Lines, LogKeeper, Strikes
from tomada.feed.source import Overview, Source
from tomada.feed.table import Table
from tomada.link import Link
from tomada.telemetry.meter import Meter
from tomada.telemetry.statistics import Moved

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tomada.feed.inner import Closeup, LookClosely, Rank, TurnPage
    from tomada.feed.messages import ConnectionRow
    from tomada.server import Server
    from tomada.streams.flow import Flow

_FRESH: Final = 0.9 * SHORTEST_PAUSE
"""What is so many seconds old need not be looked at again."""
_MOST_PAGES: Final = 64
_IDLE: Final = 10.0
"""Where nobody has asked for so many seconds, what was seen is forgotten: connections that are gone must not stay."""
_PLAIN: Final = ("tcp", "ws")
OWN_TYPES: Final = frozenset(
    {"Watch", "Close", "Drain", "Introduce", "Summarize", "TurnPage", "Rank", "Describe", "LookClosely"}
)
"""What the feed itself handles, in the same process."""


class About(msgspec.Struct, frozen=True):
    """What a server does not know of itself."""

    app: str
    number: int = 0
    """Of the worker; 0 where there is no other."""
    is_guarded: bool = False
    """Whether callers must come through a proxy."""
    types: frozenset[str] = frozenset()
    """The names of those that it handles."""


class Collector(Source):
    """Sees one server.

    Args:
        server: Which.
        about: What is told of it.
        own: The socket file through which the dashboard's users speak to the application.
    """

    def __init__(self, server: Server, about: About, own: str = "") -> None:
        self._server = server
        self._about = about
        self._loop = asyncio.get_running_loop()
        self._lines = Lines()
        self._log = LogKeeper(self._lines.add)
        self._strikes = Strikes()
        self._machine = Machine()
        self._closeups = Closeups()
        self._meter: Meter | None = None
        self._budget = Budget()
        self._table = Table(server, self._budget, about.number, own)
        self._looking = asyncio.Lock()
        self._looked_at = -inf
        self._total = Moved()
        self._rates = (0.0, 0.0, 0.0, 0.0)
        self._pages: dict[tuple[object, ...], Rows] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._resting: asyncio.TimerHandle | None = None
        self._log.start()

    async def shut(self) -> None:
        """See nothing any more."""
        if self._resting is not None:
            self._resting.cancel()
        self._log.stop()
        self._strikes.stop()
        self._look_away()
        for task in self._closing:
            task.cancel()

    # What does not change.

    async def introduction(self) -> Introduction:
        """As of `Source`."""
        endpoint = self._server.endpoints[0]
        settings = msgspec.structs.asdict(endpoint.limits) | msgspec.structs.asdict(endpoint.deadlines)
        is_open = not self._about.is_guarded and any(place.scheme in _PLAIN for place in self._server.addresses)
        return Introduction(
            app=self._about.app,
            number=self._about.number,
            pid=self._table.pid,
            settings={name: None if value == inf else value for name, value in settings.items()},
            is_open=is_open,
        )

    # All together.

    async def overview(self, log_after: int) -> Overview:
        """As of `Source`."""
        await self._refresh()
        told = self._server.statistics()
        total = self._total
        totals = Totals(
            connections=told.connections + self._server.serving_children,
            streams=told.streams,
            handshakes=told.handshakes,
            handlers=told.handlers,
            accepted=told.accepted,
            opened=told.opened,
            failed=told.failed,
            turned_away=told.turned_away,
            received_messages=total.received_messages,
            sent_messages=total.sent_messages,
            received_bytes=total.received_bytes,
            sent_bytes=total.sent_bytes,
            received_rate=self._rates[0],
            sent_rate=self._rates[1],
            received_byte_rate=self._rates[2],
            sent_byte_rate=self._rates[3],
        )
        is_leaving = self._server.endpoints[0].is_closing
        worker = WorkerRow(
            number=self._about.number,
            pid=self._table.pid,
            seconds=told.seconds,
            state="draining" if is_leaving else "serving",
            connections=totals.connections + told.streams,
            processor=self._machine.processor,
            memory_bytes=self._machine.memory(),
            children=self._server.children,
        )
        summary = Summary(
            addresses=list(told.addresses),
            seconds=told.seconds,
            totals=totals,
            types=self._types(),
            worker=worker,
            strikes=self._strikes.told(),
            log=self._lines.after(log_after),
        )
        return Overview(summary, [worker])

    def _types(self) -> list[TypeSummary]:
        hidden = OWN_TYPES - self._about.types
        return [
            TypeSummary(one.name, one.handled, one.rate, one.failed, one.failure_rate, one.recent)
            for one in (() if self._meter is None else self._meter.figures())
            if one.name not in hidden
        ]

    async def _refresh(self) -> None:
        async with self._looking:
            if self._loop.time() < self._looked_at + _FRESH:
                return
            await self._budget.wait()
            now = self._loop.time()
            seconds, self._looked_at = now - self._looked_at, now
            if self._resting is None:
                self._resting = self._loop.call_later(_IDLE, self._rest)
                self._meter = self._meter or Meter()
            self._pages.clear()
            self._add_up(await self._table.look(seconds), seconds)
            self._machine.look()

    def _rest(self) -> None:
        self._resting = None
        left = self._looked_at + _IDLE - self._loop.time()
        if left > 0 or self._looking.locked():
            self._resting = self._loop.call_later(max(left, _FRESH), self._rest)
        else:
            self._looked_at = -inf
            self._table.forget()
            self._pages.clear()
            self._look_away()

    def _look_away(self) -> None:
        self._closeups.stop()
        if self._meter is not None:
            self._meter.close()
            self._meter = None

    def _add_up(self, total: Moved, seconds: float) -> None:
        """What went over those that are gone, and over those that are not: together it does not go back."""
        before, self._total = self._total, Moved(*map(max, self._total, total))
        if seconds > 0:  # at the first look it is infinite
            self._rates = tuple(moved / seconds for moved in self._total - before)  # type: ignore[assignment] # four of them

    # Pages.

    async def page(self, asked: TurnPage) -> Rows:
        """As of `Source`."""
        await self._refresh()
        async with self._looking:
            question = msgspec.structs.astuple(asked)
            found = self._pages.get(question)
            if found is None:
                await self._budget.wait()
                matching, places = await self._table.places(asked, asked.first + asked.count)
                with self._budget:
                    rows = [seen.row(self._about.number) for _, seen in places[asked.first :]]
                found = Rows(matching, rows)
                if len(self._pages) < _MOST_PAGES:
                    self._pages[question] = found
            return found

    async def rank(self, asked: Rank) -> Ranks:
        """Where connections stand, to be compared with those of other processes."""
        await self._refresh()
        async with self._looking:
            await self._budget.wait()
            matching, places = await self._table.places(asked, asked.count)
            with self._budget:
                return Ranks(matching, [(key, seen.id) for key, seen in places])

    async def describe(self, ids: Sequence[str]) -> list[ConnectionRow]:
        """The rows of some connections."""
        with self._budget:
            found = [self._table.find(id_) for id_ in ids]
            return [seen.row(self._about.number) for seen in found if seen is not None]

    # One connection.

    async def closeup(self, asked: LookClosely) -> Closeup:
        """As of `Source`."""
        await self._refresh()
        with self._budget:
            return self._closeups.look(self._table.find(asked.connection), self._about.number, asked.after)

    async def close(self, connection: str) -> bool:
        """As of `Source`."""
        seen = self._table.find(connection)
        if seen is None or seen.end.ended.done():
            return False
        log.info("%s: closed from the dashboard", seen.peer)
        end = seen.end
        if end.loop is self._loop:
            self._begin_to_close(end)
        else:
            end.loop.call_soon_threadsafe(self._begin_to_close, end)
        return True

    def _begin_to_close(self, end: Link | Flow) -> None:
        work = end.connection.close() if isinstance(end, Link) else end.close("it was closed from the dashboard")
        task = end.loop.create_task(work)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def drain(self, worker: int) -> bool:  # noqa: ARG002 - as of `Source`
        """There is nobody here who would start another one."""
        return False
