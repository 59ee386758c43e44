"""The feed itself: an application that answers viewers, and, where one process is asked by a dashboard, that too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from tomada import App
from tomada.feed.inner import (
    Closeup,
    Describe,
    Introduce,
    Introduction,
    LookClosely,
    Rank,
    Ranks,
    Rows,
    Summarize,
    Summary,
    TurnPage,
)
from tomada.feed.messages import Close, ConnectionRow, Drain, NotAllowed, Picture, Watch
from tomada.feed.source import Marks

if TYPE_CHECKING:
    from tomada.feed.collector import Collector
    from tomada.feed.source import Source

_WHY_NOT = "open the dashboard with its token, as http://HOST:PORT/#token=TOKEN, or ask at ws://HOST:PORT/feed/TOKEN"


def feed_app(source: Source, *, may_act: bool) -> App:
    """An application that tells viewers what `source` sees.

    Args:
        source: What is looked at.
        may_act: Whether its viewers may close connections and drain workers.
    """
    app = App("feed")

    @app.on
    async def watch(question: Watch) -> AsyncIterator[Picture]:
        loop, marks = asyncio.get_running_loop(), Marks()
        while True:
            began = loop.time()
            # A viewer that does not read keeps this generator waiting: it gets fewer pictures, and never old ones by
            # the hundred.
            yield await source.picture(question, marks, may_act=may_act)
            await asyncio.sleep(began + question.every - loop.time())

    @app.on
    async def close(request: Close) -> bool:
        _check(may_act=may_act)
        return await source.close(request.connection)

    @app.on
    async def drain(request: Drain) -> bool:
        _check(may_act=may_act)
        return await source.drain(request.worker)

    return app


def _check(*, may_act: bool) -> None:
    if not may_act:
        raise NotAllowed(why=_WHY_NOT)


def inner_app(collector: Collector) -> App:
    """The feed of one process that serves, for its own user: also answers a dashboard that asks several."""
    app = feed_app(collector, may_act=True)

    @app.on
    async def introduce(_: Introduce) -> Introduction:
        return await collector.introduction()

    @app.on
    async def summarize(request: Summarize) -> Summary:
        return (await collector.overview(request.log_after)).summary

    @app.on
    async def turn_page(request: TurnPage) -> Rows:
        return await collector.page(request)

    @app.on
    async def rank(request: Rank) -> Ranks:
        return await collector.rank(request)

    @app.on
    async def describe(request: Describe) -> list[ConnectionRow]:
        return await collector.describe(request.ids)

    @app.on
    async def look_closely(request: LookClosely) -> Closeup:
        return await collector.closeup(request)

    return app
