"""Urgent calls while a connection is full: one gibibyte goes one way, large messages and small, and calls beside it."""

import argparse
import asyncio
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import IO, cast

import tomada
from benchmarks.faults.crowd import p99
from benchmarks.faults.table import Row, show
from benchmarks.load import run

ROOT = Path(__file__).parents[2]
SIZES = (1_048_576, 65_536)
PAUSE = 0.001
"""Seconds between two calls of one kind."""


class Load(tomada.Message):
    """What fills the connection."""

    data: bytes


class Look(tomada.Request[int]):
    """How much has come."""


app = tomada.App("urgent")
come = 0


@app.on
async def load(message: Load) -> None:
    """Count."""
    global come  # noqa: PLW0603 - the handler's state
    come += len(message.data)


@app.on
async def look(_: Look) -> int:
    """Tell."""
    return come


@contextmanager
def serving(address: str) -> Iterator[str]:
    """The server, in a process of its own: where it listens."""
    command = [sys.executable, "-m", "benchmarks.faults.urgent", "--serve", address]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield cast("IO[str]", process.stdout).readline().strip()
        finally:
            process.kill()


def _serve(address: str) -> None:
    async def main() -> None:
        async with tomada.serve(app, address) as server:
            print(server.addresses[0], flush=True)
            await asyncio.Event().wait()

    run(main())


async def _beside(address: str, most: int) -> tuple[float, dict[bool, list[float]]]:
    """Megabytes per second, and the seconds that urgent calls (True) and others (False) took meanwhile."""
    taken: dict[bool, list[float]] = {True: [], False: []}
    async with tomada.connect(address) as connection:
        before = await connection.ask(Look())
        full = asyncio.Event()

        async def call(*, urgent: bool) -> None:
            while not full.is_set():
                begun = time.perf_counter()
                await connection.ask(Look(), urgent=urgent)
                taken[urgent].append(time.perf_counter() - begun)
                await asyncio.sleep(PAUSE)

        messages = [Load(bytes(size)) for size in SIZES]
        calling = [asyncio.ensure_future(call(urgent=urgent)) for urgent in (True, False)]
        begun, sent = time.perf_counter(), 0
        while sent < most:
            for message in messages:
                await connection.send(message)
                sent += len(message.data)
        handled = await connection.ask(Look()) - before
        seconds = time.perf_counter() - begun
        full.set()
        await asyncio.gather(*calling)
    if handled != sent:
        raise ValueError(f"{sent} bytes were sent, {handled} came")
    return sent / 1e6 / seconds, taken


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.urgent", description=__doc__)
    parser.add_argument("--serve", metavar="ADDRESS")
    parser.add_argument("--address", default="tcp://127.0.0.1:0")
    parser.add_argument("--mebibytes", type=int, default=1_024)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.serve:
        _serve(arguments.serve)
        return 0
    rates = []
    calls: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(arguments.rounds):
        with serving(arguments.address) as address:
            rate, taken = run(_beside(address, arguments.mebibytes << 20))
        rates.append(rate)
        for urgent, seconds in taken.items():
            calls[urgent] += seconds
    print(f"{arguments.mebibytes} MiB each of {arguments.rounds} times, at {median(rates):,.0f} MB/s (median)")
    rows = []
    for urgent, name in ((True, "urgent"), (False, "other")):
        bound = 10 if urgent else math.inf
        rows += [
            Row(f"{len(calls[urgent]):,} {name} calls beside it: p50, in ms", bound, 1e3 * median(calls[urgent])),
            Row(f"{len(calls[urgent]):,} {name} calls beside it: p99, in ms", bound, 1e3 * p99(calls[urgent])),
            Row(f"{len(calls[urgent]):,} {name} calls beside it: longest, in ms", math.inf, 1e3 * max(calls[urgent])),
        ]
    return show(rows)


if __name__ == "__main__":
    raise SystemExit(main())
