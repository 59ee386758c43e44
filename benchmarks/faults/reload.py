"""``python -m benchmarks.faults.reload``: reloads under load, and what the clients see of them.

Four kinds of clients ask all the time: over one connection for as long as it stands, many requests at once, over a
Unix socket, and one connection for each request. When they are told goodbye they connect again. None may fail.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

import tomada
from benchmarks.faults.table import Row, show

_APP = """
import asyncio, tomada

VERSION = 0

class Version(tomada.Request[int]):
    seconds: float

app = tomada.App("reloaded")

@app.on
async def version(request: Version) -> int:
    await asyncio.sleep(request.seconds)
    return VERSION
"""
_HANDLER_SECONDS = 0.003
_PATIENCE = 30.0


class Version(tomada.Request[int]):
    """Which version answers, after so many seconds."""

    seconds: float


class Counts(msgspec.Struct):
    """What became of one kind of clients."""

    answered: int = 0
    failed: int = 0
    refused: int = 0
    connections: int = 0
    slowest: float = 0.0
    versions: set[int] = msgspec.field(default_factory=set)
    errors: list[str] = msgspec.field(default_factory=list)


class Load:
    """Clients of one kind, until `stop` is set."""

    def __init__(self, name: str, address: str, work: Callable[[Load], Awaitable[None]]) -> None:
        self.name = name
        self.address = address
        self.counts = Counts()
        self.stop = asyncio.Event()
        self._work = work

    async def run(self) -> None:
        """Go on until it is stopped."""
        while not self.stop.is_set():
            try:
                await self._work(self)
            except (tomada.ConnectFailed, tomada.HandshakeFailed) as error:
                self.counts.refused += 1
                self.counts.errors.append(repr(error))

    def connect(self) -> tomada.opening.Opening[tomada.Connection]:
        """A new connection: one attempt, so that each that is refused is seen."""
        self.counts.connections += 1
        return tomada.connect(self.address)

    async def ask(self, connection: tomada.Connection) -> None:
        """One request."""
        began = time.perf_counter()
        try:
            self.counts.versions.add(await connection.ask(Version(_HANDLER_SECONDS)))
        except tomada.TomadaError as error:
            self.counts.failed += 1
            self.counts.errors.append(repr(error))
        else:
            self.counts.answered += 1
        self.counts.slowest = max(self.counts.slowest, time.perf_counter() - began)


async def one_after_the_other(load: Load) -> None:
    """Ask over one connection until it says goodbye."""
    async with load.connect() as connection:
        while connection.is_open and not load.stop.is_set():
            await load.ask(connection)


async def many_at_once(load: Load) -> None:
    """Sixteen ask over one connection until it says goodbye."""
    async with load.connect() as connection:

        async def go_on() -> None:
            while connection.is_open and not load.stop.is_set():
                await load.ask(connection)

        await asyncio.gather(*[go_on() for _ in range(16)])


async def one_each(load: Load) -> None:
    """Connect, ask, close."""
    async with load.connect() as connection:
        await load.ask(connection)


async def reload_often(reloads: int, workers: int, *words: str) -> tuple[list[float], list[Load]]:
    """Reload a server with that many workers so often under load: the seconds that each took, and the clients.

    Args:
        reloads: How often.
        workers: Of the server.
        words: Further options of ``tomada serve``.
    """
    with tempfile.TemporaryDirectory(prefix="tomada-") as name:
        folder = Path(name)
        app = folder / "reloaded.py"
        app.write_text(_APP)
        command = ["-m", "tomada", "serve", str(app), "--workers", str(workers), *words, "--json"]
        binds = ["--bind", "tcp://127.0.0.1:0", "--bind", f"unix://{folder}/reloaded.sock"]
        server = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            *binds,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "XDG_RUNTIME_DIR": name, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        try:
            addresses = (await _said(server, "listening"))["addresses"]
            loads = _loads(*addresses)
            tasks = [asyncio.create_task(load.run()) for load in loads]
            seconds = []
            for version in range(1, reloads + 1):
                app.write_text(_APP.replace("VERSION = 0", f"VERSION = {version}"))
                server.send_signal(signal.SIGHUP)
                seconds.append((await _said(server, "reloaded"))["seconds"])
            for load in loads:
                load.stop.set()
            await asyncio.gather(*tasks)
        finally:
            server.terminate()
            await server.wait()
    return seconds, loads


async def _said(server: asyncio.subprocess.Process, event: str) -> dict[str, Any]:
    if server.stdout is None:
        raise TypeError("the server has no pipe")
    async with asyncio.timeout(_PATIENCE):
        while True:
            line = json.loads(await server.stdout.readline())
            if line["event"] == event:
                found: dict[str, Any] = line
                return found


def _loads(tcp: str, unix: str) -> list[Load]:
    return [
        Load("one after the other", tcp, one_after_the_other),
        Load("sixteen at once", tcp, many_at_once),
        Load("Unix socket", unix, many_at_once),
        Load("a connection each", tcp, one_each),
        Load("a connection each", tcp, one_each),
        Load("a connection each, Unix socket", unix, one_each),
    ]


def describe(seconds: list[float], loads: list[Load]) -> None:
    """Print what each kind of clients has seen."""
    table = Table(title=f"{len(seconds)} reloads under load, {sum(seconds) / len(seconds):.2f} s each")
    for column in ("clients", "answered", "failed", "connections", "refused", "slowest answer", "versions seen"):
        table.add_column(column, justify="left" if column == "clients" else "right")
    for load in loads:
        counts = load.counts
        table.add_row(
            load.name,
            f"{counts.answered:,}",
            f"{counts.failed:,}",
            f"{counts.connections:,}",
            f"{counts.refused:,}",
            f"{1000 * counts.slowest:.0f} ms",
            str(len(counts.versions)),
        )
    console = Console()
    console.print(table)
    for load in loads:
        for error in load.counts.errors[:3]:
            console.print(f"{load.name}: {error}", style="red", markup=False)


def main() -> int:
    """The exit status is 1 if a request failed or a connection was refused."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.reload", description=__doc__)
    parser.add_argument("--reloads", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--placement", choices=("spread", "shared"), default="spread")
    parser.add_argument("--isolation", choices=("task", "thread", "process"), default="task")
    arguments = parser.parse_args()
    words = ("--placement", arguments.placement, "--isolation", arguments.isolation)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        seconds, loads = runner.run(reload_often(arguments.reloads, arguments.workers, *words))
    describe(seconds, loads)
    answered = sum(load.counts.answered for load in loads)
    print(f"{answered:,} requests answered, {sum(load.counts.connections for load in loads):,} connections")
    return show(
        [
            Row("requests that failed", 0, sum(load.counts.failed for load in loads)),
            Row("connections refused", 0, sum(load.counts.refused for load in loads)),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
