"""A server that is not there: ``python -m tests.dashboard.page.scenery TOKEN CONNECTIONS``; prints its dashboard's URL.

The dashboard is the real one, and so is the application behind "Try it", that of the tests of the browser's client.
What the feed tells is made up: thousands of connections, names that are markup, limits that strike, a frame of every
kind.
"""

# ruff: noqa: T201 - it tells its test where it listens

from __future__ import annotations

import asyncio
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

import tomada
from tests.dashboard.page.painted import HOSTILE, connection_at, frames_at, log_at, strikes_at, types_at, workers_at
from tests.web import program, streaming  # noqa: F401 - it adds its handlers to the application
from tomada.dashboard.access import Access
from tomada.dashboard.relay import connected
from tomada.dashboard.told import Told
from tomada.dashboard.ways import ACT, WATCH, Ways
from tomada.dashboard.web import Dashboard
from tomada.feed.app import feed_app
from tomada.feed.messages import Picture, Totals
from tomada.feed.source import Source
from tomada.settings import Deadlines, Limits

if TYPE_CHECKING:
    from tomada.feed.messages import ConnectionRow, Watch
    from tomada.feed.source import Marks


class Scenery(Source):
    """Paints the pictures."""

    def __init__(self, count: int) -> None:
        self._began = time.monotonic()
        self._rows = [connection_at(number) for number in range(count)]
        self._drained: set[int] = set()

    async def picture(self, question: Watch, marks: Marks, *, may_act: bool) -> Picture:
        """As the real one, of what is made up."""
        seconds = time.monotonic() - self._began
        fitting = self._fitting(question)
        looked_at = next((row for row in self._rows if row.id == question.connection), None)
        frames = frames_at(marks.frames + 1) if looked_at is not None else []
        marks.frames = frames[-1].sequence if frames else marks.frames
        picture = Picture(
            time=time.time(),
            app=f"scenery {HOSTILE}",
            addresses=["tcp://127.0.0.1:4477", "wss://bank.example:8443/"],
            seconds=seconds + 40,
            totals=_totals(self._rows, seconds),
            types=types_at(seconds),
            workers=workers_at(self._drained),
            strikes=strikes_at(),
            log=log_at(marks.log + 1, seconds),
            matching=len(fitting),
            connections=fitting[question.first : question.first + question.count],
            looked_at=looked_at,
            frames=frames,
            frames_passed_over=3 if len(frames) > 1 and marks.frames > 20 else 0,
            settings=_settings() if marks.is_first else {},
            may_act=may_act,
        )
        marks.log, marks.is_first = picture.log[-1].number if picture.log else marks.log, False
        return picture

    def _fitting(self, question: Watch) -> list[ConnectionRow]:
        words = question.query.lower()
        rows = [row for row in self._rows if words in _words(row)] if words else self._rows
        if not question.count:
            return rows
        return sorted(rows, key=lambda row: _key(getattr(row, question.sort)), reverse=question.descending)

    async def close(self, connection: str) -> bool:
        """Paint it no more."""
        before = len(self._rows)
        self._rows = [row for row in self._rows if row.id != connection]
        return len(self._rows) < before

    async def drain(self, worker: int) -> bool:
        """Paint it as draining; the one that would take the place of the first needs a moment to start."""
        await asyncio.sleep(int(worker == 1))
        self._drained.add(worker)
        return True


def _words(row: ConnectionRow) -> str:
    return f"{row.peer} {row.state} {row.kind} {row.software} {row.id}".lower()


def _key(value: str | float | None) -> tuple[bool, str | float]:
    return (value is not None, value if value is not None else 0)


def _totals(rows: list[ConnectionRow], seconds: float) -> Totals:
    wave = 1 + math.sin(seconds / 3) / 4
    return Totals(
        connections=sum(row.kind == "messages" for row in rows),
        streams=sum(row.kind == "stream" for row in rows),
        handshakes=2,
        handlers=round(20 * wave),
        accepted=len(rows) + 40,
        opened=len(rows) + 30,
        failed=10,
        turned_away={"limit": 7, HOSTILE: 1},
        received_messages=8_000_000,
        sent_messages=9_000_000,
        received_bytes=640_000_000,
        sent_bytes=1_200_000_000,
        received_rate=42_000 * wave,
        sent_rate=47_000 * wave,
        received_byte_rate=3_400_000 * wave,
        sent_byte_rate=6_100_000 * wave,
    )


def _settings() -> dict[str, float | None]:
    named = [*_named(Limits()), *_named(Deadlines(idle=math.inf))]
    return {name: None if math.isinf(value) else value for name, value in named}


def _named(settings: Limits | Deadlines) -> list[tuple[str, float]]:
    return [(name, getattr(settings, name)) for name in settings.__struct_fields__]


class _Ways(Ways):
    """To the feed that is made up, and to an application that is not."""

    def __init__(self, folder: Path, source: Source) -> None:
        super().__init__(folder, source)
        self._app = str(folder / "app.socket")

    async def is_open(self) -> bool:
        return True

    async def application(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await connected(self._app)


async def show(token: str, count: int) -> None:
    """Serve until this process is told to end."""
    source = Scenery(count)
    with tempfile.TemporaryDirectory(prefix="tomada-") as name:
        folder = Path(name)
        async with (
            tomada.serve(feed_app(source, may_act=False), f"unix://{folder / WATCH}", sessions=None),
            tomada.serve(feed_app(source, may_act=True), f"unix://{folder / ACT}", sessions=None),
            tomada.serve(program.app, f"unix://{folder / 'app.socket'}"),
        ):
            dashboard = Dashboard(Access(Told(folder=name, token=token)), _Ways(folder, source))
            config = uvicorn.Config(
                dashboard.application(), port=0, ws="websockets-sansio", lifespan="off", log_level="error"
            )
            server = uvicorn.Server(config)
            sock = config.bind_socket()
            print(f"http://127.0.0.1:{sock.getsockname()[1]}/", flush=True)
            await server.serve([sock])


if __name__ == "__main__":
    asyncio.run(show(sys.argv[1], int(sys.argv[2])))
