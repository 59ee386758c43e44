"""A reconnect storm: thousands of sessions are cut at once, each with messages under way, and all come back.

The server cuts them. Each session asks one request after the other, whose handler takes a while, and sends a message
beside each; so at any moment something is under way, in both directions. The server sees that none comes twice, none
too late and none not at all; each client sees that every answer is the one to its request.
"""

import argparse
import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import tomada
from benchmarks.faults.table import Row, show
from benchmarks.load import run
from tomada.telemetry import SessionResumed

ROOT = Path(__file__).parents[2]
TOGETHER = 100
"""So many sessions of one client process are begun at a time."""
WORK = 5.0
"""Seconds that each handler takes."""
WITHIN = 10.0
PATIENCE = 60.0


class Note(tomada.Message):
    """Message `number` of a session."""

    session: int
    number: int


class Step(tomada.Request[int]):
    """Request `number` of a session; its reply is the number."""

    session: int
    number: int


class Count(tomada.Request[list[int]]):
    """How many notes and steps of a session were handled, and how many of them were not the next."""

    session: int


app = tomada.App("storm")
counts: dict[int, list[int]] = {}


def _handled(kind: int, session: int, number: int) -> None:
    count = counts.setdefault(session, [0, 0, 0])
    count[kind] += 1
    count[2] += count[kind] != number


@app.on
async def note(message: Note) -> None:
    """Count."""
    _handled(0, message.session, message.number)


@app.on
async def step(request: Step) -> int:
    """Count, and take a while."""
    _handled(1, request.session, request.number)
    await asyncio.sleep(WORK)
    return request.number


@app.on
async def count(request: Count) -> list[int]:
    """Tell."""
    return counts[request.session]


def _serve(most: int) -> None:
    """Serve; each line of standard input cuts all, and the time of the last resumption is told."""
    limits = tomada.Limits(connections=most, connections_per_host=most)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        lines: asyncio.Queue[str] = asyncio.Queue()
        resumed = 0

        def one_more(_: SessionResumed) -> None:
            nonlocal resumed
            resumed += 1

        def read() -> None:
            for line in sys.stdin:
                loop.call_soon_threadsafe(lines.put_nowait, line)

        tomada.subscribe(one_more, SessionResumed)
        async with tomada.serve(app, "tcp://127.0.0.1:0", limits=limits) as server:
            print(server.addresses[0], flush=True)
            threading.Thread(target=read, daemon=True).start()
            sessions = server._endpoint.sessions  # noqa: SLF001 - nobody else knows who is lost
            while True:
                await lines.get()
                links = [connection._link for connection in server.connections]  # noqa: SLF001 - as a network would
                resumed, wanted = 0, len(links)
                begun = time.monotonic()
                for link in links:
                    link.cut("cut by the storm")
                while (resumed < wanted or sessions.lost) and time.monotonic() < begun + PATIENCE:  # noqa: ASYNC110 - two counts of others are waited for
                    await asyncio.sleep(0.01)
                print(wanted, sessions.lost, time.monotonic() - begun, flush=True)

    run(main())


async def _live(
    address: str, session: int, begun: asyncio.Semaphore, started: asyncio.Event, end: asyncio.Event
) -> int:
    """One session, until the end: how many messages were lost, doubled or out of order."""
    async with begun:
        connection = await tomada.connect(address, wait=PATIENCE)
    number = wrong = 0
    async with connection:
        while not end.is_set():
            number += 1
            await connection.send(Note(session, number))
            asked = asyncio.ensure_future(connection.ask(Step(session, number)))
            await asyncio.sleep(0)
            started.set()
            wrong += await asked != number
        notes, steps, misplaced = await connection.ask(Count(session))
    return wrong + misplaced + abs(notes - number) + abs(steps - number)


def _clients(address: str, first: int, most: int) -> None:
    """So many sessions; a line of standard input ends them."""

    async def main() -> None:
        loop, end, begun = asyncio.get_running_loop(), asyncio.Event(), asyncio.Semaphore(TOGETHER)
        started = [asyncio.Event() for _ in range(most)]
        async with asyncio.TaskGroup() as group:
            living = [group.create_task(_live(address, first + n, begun, started[n], end)) for n in range(most)]
            for one in started:
                await one.wait()
            print("begun", flush=True)
            await loop.run_in_executor(None, sys.stdin.readline)
            end.set()
        print(sum(task.result() for task in living), flush=True)

    run(main())


@contextmanager
def program(*words: object) -> Iterator[subprocess.Popen[str]]:
    """One of the above, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.faults.storm", *map(str, words)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    """Its next line."""
    line = cast("IO[str]", process.stdout).readline()
    if not line:
        raise RuntimeError("a process of the storm ended")
    return line.strip()


def tell(process: subprocess.Popen[str]) -> None:
    """Let it go on."""
    stream = cast("IO[str]", process.stdin)
    stream.write("\n")
    stream.flush()


def storm(sessions: int, processes: int, times: int) -> tuple[list[float], int, int]:
    """Seconds until all were resumed, each time; how many were not; and how many messages went wrong."""
    seconds, left = [], 0
    each = sessions // processes
    with program("serve", 2 * sessions) as server:
        address = said(server)
        clients = [program("clients", address, number * each, each) for number in range(processes)]
        running = [client.__enter__() for client in clients]
        try:
            for client in running:
                said(client)
            for _ in range(times):
                tell(server)
                there, lost, taken = said(server).split()
                left += int(lost) + abs(int(there) - sessions)
                seconds.append(float(taken))
                time.sleep(WORK)
            for client in running:
                tell(client)
            wrong = sum(int(said(client)) for client in running)
        finally:
            for entered in clients:
                entered.__exit__(None, None, None)
    return seconds, left, wrong


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.storm", description=__doc__)
    parser.add_argument("--sessions", type=int, default=5_000)
    parser.add_argument("--processes", type=int, default=4, help="that hold them")
    parser.add_argument("--times", type=int, default=3, help="that all are cut")
    arguments = parser.parse_args()
    sessions = arguments.sessions // arguments.processes * arguments.processes
    seconds, left, wrong = storm(sessions, arguments.processes, arguments.times)
    name = f"{sessions:,} sessions cut at once"
    return show(
        [
            *[Row(f"{name}: all resumed, in s", WITHIN, taken) for taken in seconds],
            Row(f"{name}: not resumed", 0, left),
            Row(f"{name}: messages lost, doubled or out of order", 0, wrong),
        ]
    )


if __name__ == "__main__":
    words = sys.argv[1:]
    if words[:1] == ["serve"]:
        _serve(int(words[1]))
    elif words[:1] == ["clients"]:
        _clients(words[1], int(words[2]), int(words[3]))
    else:
        raise SystemExit(main())
