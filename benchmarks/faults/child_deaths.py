"""Child processes that die in every way, thousands of them, beside connections that exchange numbered messages."""

import argparse
import asyncio
import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain, cycle, repeat
from pathlib import Path

import tomada
from benchmarks.faults.table import Row, show
from benchmarks.load import run

MIB = 1_048_576
BYSTANDERS = 4
"""So many connections must not notice anything."""
AT_ONCE = 12
"""So many connections have their process killed at a time."""
PATIENCE = 20.0
CHILDREN = tomada.Children(spare=8, memory_bytes=48 * MIB, processor_seconds=1)


class Number(tomada.Request[int]):
    """Answered with itself."""

    value: int


class Die(tomada.Request[int]):
    """Ends the process of its connection."""

    how: str


app = tomada.App("deaths")


@app.on
async def number(request: Number) -> int:
    """The number."""
    return request.value


@app.on
async def die(request: Die) -> int:
    """Never an answer."""
    DEATHS[request.how][1]()
    return 0


def _leak() -> None:
    kept = []
    while True:
        kept.append(bytearray(MIB))


def _spin() -> None:
    while True:
        pass


DEATHS: dict[str, tuple[int, Callable[[], object], str]] = {
    "kill": (44, lambda: os.kill(os.getpid(), signal.SIGKILL), r"killed by signal 9 \(SIGKILL\)"),
    "segmentation fault": (24, lambda: ctypes.string_at(0), r"killed by signal 11 \(SIGSEGV\)"),
    "abort": (10, os.abort, r"killed by signal 6 \(SIGABRT\)"),
    "exit": (10, lambda: os._exit(3), "ended with exit status 3"),
    "memory": (11, _leak, "used more than its 48 MiB of memory"),
    "endless loop": (1, _spin, "used more than its 1 s of processor time"),
}
"""How many of a hundred, what they do, and what their callers are told."""


class Tally:
    """What has happened so far."""

    def __init__(self) -> None:
        self.deaths: Counter[str] = Counter()
        self.untold: Counter[str] = Counter()
        """Callers that were not told how their process died."""
        self.lost = 0
        """Messages of others."""
        self.exchanged = 0


async def _stand_by(port: int, tally: Tally, enough: asyncio.Event) -> None:
    """Exchange numbers one after the other; each that is not answered is lost."""
    async with tomada.connect(f"tcp://127.0.0.1:{port}") as connection:
        while not enough.is_set():
            tally.exchanged += 1
            try:
                tally.lost += await connection.ask(Number(tally.exchanged), timeout=PATIENCE) < 1
            except tomada.TomadaError:
                tally.lost += 1
                return
            await asyncio.sleep(0.001)


async def _die(port: int, tally: Tally, ways: Iterator[str]) -> None:
    for way in ways:
        try:
            async with tomada.connect(f"tcp://127.0.0.1:{port}", wait=PATIENCE) as connection:
                await connection.ask(Die(way), timeout=PATIENCE)
        except tomada.TomadaError as error:
            tally.deaths[way] += 1
            tally.untold[way] += re.search(DEATHS[way][2], str(error)) is None


async def _deaths(server: subprocess.Popen[str], port: int, count: int) -> tuple[Tally, int, int]:
    """The tally, and how many descriptors the server and its template had before and after."""
    tally, enough = Tally(), asyncio.Event()
    standing = [asyncio.create_task(_stand_by(port, tally, enough)) for _ in range(BYSTANDERS)]
    await _settled(server)
    before = _descriptors(server)
    ways = _ways(count)
    await asyncio.gather(*(_die(port, tally, ways) for _ in range(AT_ONCE)))
    await _settled(server)
    after = _descriptors(server)
    enough.set()
    await asyncio.gather(*standing)
    return tally, before, after


def _ways(count: int) -> Iterator[str]:
    mixed = list(chain.from_iterable(repeat(way, share) for way, (share, *_) in DEATHS.items()))
    # Spread: a step that has no divisor in common with a hundred.
    order = [mixed[37 * place % len(mixed)] for place in range(len(mixed))]
    return (way for way, _ in zip(cycle(order), range(count), strict=False))


async def _settled(server: subprocess.Popen[str]) -> None:
    """Wait until as many children wait as should."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        living = sum(state != "Z" for _, state in _below(_template(server)))
        if living == CHILDREN.spare + BYSTANDERS:
            break
        await asyncio.sleep(0.05)
    await asyncio.sleep(1.5)  # what was said to the last ones has been read by then, and its sockets are closed


def _below(parent: int) -> list[tuple[int, str]]:
    """The child processes of one, and the state of each."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            try:
                state, above = (place / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if int(above) == parent:
                found.append((int(place.name), state))
    return found


def _template(server: subprocess.Popen[str]) -> int:
    return _below(server.pid)[0][0]


def _descriptors(server: subprocess.Popen[str]) -> int:
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in (server.pid, _template(server)))


@contextmanager
def _serving() -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-m", "benchmarks.faults.child_deaths", "--serve"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None, "it has a pipe"  # noqa: S101 - for the type
            yield server, int(server.stdout.readline())
        finally:
            server.kill()


def _serve() -> None:
    serving = tomada.serve(app, "tcp://127.0.0.1:0", isolation="process", children=CHILDREN)
    serving.run(ready=lambda server: print(server.addresses[0].port, flush=True))


def main() -> int:
    """Kill, count, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.child_deaths", description=__doc__)
    parser.add_argument("--deaths", type=int, default=10_000)
    parser.add_argument("--serve", action="store_true", help="be the server")
    arguments = parser.parse_args()
    if arguments.serve:
        _serve()
        return 0
    begun = time.monotonic()
    with _serving() as (server, port):
        tally, before, after = run(_deaths(server, port, arguments.deaths))
        zombies = sum(state == "Z" for pid in (server.pid, _template(server)) for _, state in _below(pid))
        server.terminate()
        server.wait(PATIENCE)
    for way, count in tally.deaths.items():
        print(f"deaths by {way}: {count:,}, of which {tally.untold[way]:,} were not told to their caller as such")
    seconds = time.monotonic() - begun
    print(f"{sum(tally.deaths.values()):,} deaths and {tally.exchanged:,} numbered messages in {seconds:,.0f} s")
    return show(
        [
            Row("messages of other connections lost", 0, tally.lost),
            Row("deaths that did not happen", 0, arguments.deaths - sum(tally.deaths.values())),
            Row("callers not told how their process died", 0, sum(tally.untold.values())),
            Row("zombies", 0, zombies),
            Row("descriptors more than before", 0, max(0, after - before)),
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
