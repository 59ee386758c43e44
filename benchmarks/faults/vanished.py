"""Peers that vanish without a word: how long it takes until they are found out, against two heartbeats.

A process is stopped, or the link of a network is taken down; the latter needs Linux, root and the program ip.
"""

import argparse
import asyncio
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, cast

import tomada
from benchmarks.faults.table import Row, show
from benchmarks.load import run
from tomada import Deadlines
from tomada.telemetry import ConnectionEnded

ROOT = Path(__file__).parents[2]
NUMBERS = itertools.count()
ADDRESSES = ("10.214.9.1", "10.214.9.2")
QUIET = 1.0
"""Heartbeats that pass before the peer vanishes."""


class Wait(tomada.Request[None]):
    """Is not answered."""


app = tomada.App("vanished")


@app.on
async def wait(request: Wait) -> None:  # noqa: ARG001 - the annotation is the route
    """Until it is cancelled."""
    await asyncio.Event().wait()


def _say(*words: object) -> None:
    print(time.monotonic(), *words, flush=True)


def _serve(address: str, heartbeat: float) -> None:
    """Tell when a connection has ended."""
    tomada.subscribe(lambda event: _say("ended", event.reason), ConnectionEnded)
    serving = tomada.serve(app, address, deadlines=Deadlines(heartbeat=heartbeat))
    serving.run(ready=lambda server: _say(server.addresses[0]))


def _ask(address: str, heartbeat: float, calls: int) -> None:
    """Ask, on a connection each, and tell when a call has failed."""

    async def one() -> None:
        client = await tomada.connect(address, deadlines=Deadlines(heartbeat=heartbeat))
        call = asyncio.ensure_future(client.ask(Wait()))
        await client.ping()
        _say("asked")
        try:
            await call
        except tomada.ConnectionLost as error:
            _say("lost", error)

    async def all_of_them() -> None:
        await asyncio.gather(*[one() for _ in range(calls)])

    run(all_of_them())


def _ask_without_a_loop(address: str, heartbeat: float) -> None:
    client = tomada.sync.connect(address, deadlines=Deadlines(heartbeat=heartbeat))
    _say("asked")
    try:
        client.ask(Wait())
    except tomada.ConnectionLost as error:
        _say("lost", error)


@contextmanager
def program(*words: object, inside: str = "") -> Iterator[subprocess.Popen[str]]:
    """One of the above, in a process of its own."""
    where = [_ip(), "netns", "exec", inside] if inside else []
    command = [*where, sys.executable, "-m", "benchmarks.faults.vanished", *map(str, words)]
    quiet = subprocess.DEVNULL  # each end is a line of the log
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=quiet, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str], word: str = "") -> tuple[float, str]:
    """When it said what begins so, and what."""
    for line in cast("IO[str]", process.stdout):
        at, _, text = line.strip().partition(" ")
        if text.startswith(word):
            return float(at), text
    raise RuntimeError(f"it ended, and did not say {word!r}")


def stopped(scheme: str, stops: str, heartbeat: float, calls: int) -> list[float]:
    """Seconds until the other end finds out each connection to a process that is stopped."""
    address = "unix:///tmp/tomada-vanished.sock" if scheme == "unix" else f"{scheme}://127.0.0.1:0"
    with program("serve", address, heartbeat) as server:
        there = said(server)[1]
        with program("ask", there, heartbeat, calls) as client:
            for _ in range(calls):
                said(client, "asked")
            time.sleep(QUIET * heartbeat)
            victim, witness = (server, client) if stops == "server" else (client, server)
            begun = time.monotonic()
            victim.send_signal(signal.SIGSTOP)
            return [said(witness)[0] - begun for _ in range(calls)]


def stopped_without_a_loop(heartbeat: float) -> list[float]:
    """The same of a client that blocks."""
    with (
        program("serve", "tcp://127.0.0.1:0", heartbeat) as server,
        program("block", said(server)[1], heartbeat) as client,
    ):
        said(client, "asked")
        time.sleep(QUIET * heartbeat)
        begun = time.monotonic()
        server.send_signal(signal.SIGSTOP)
        return [said(client, "lost")[0] - begun]


def _ip() -> str:
    found = shutil.which("ip")
    if found is None:
        raise FileNotFoundError("there is no program ip")
    return found


def _do(*words: str) -> None:
    subprocess.run([_ip(), *words], check=True, capture_output=True)


@contextmanager
def linked() -> Iterator[list[str]]:
    """Two network namespaces with a cable between them."""
    names = [f"tomada-faults-{os.getpid()}-{next(NUMBERS)}-{side}" for side in "ab"]
    try:
        for name in names:
            _do("netns", "add", name)
        _do("-n", names[0], "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", names[1])
        for name, device, address in zip(names, ("near", "far"), ADDRESSES, strict=True):
            _do("-n", name, "address", "add", f"{address}/24", "dev", device)
            _do("-n", name, "link", "set", device, "up")
        yield names
    finally:
        for name in names:
            with suppress(subprocess.CalledProcessError):
                _do("netns", "del", name)


def unplugged(heartbeat: float, calls: int) -> tuple[list[float], list[float]]:
    """Seconds until the server, and the client, find out each connection when the link between them is taken down."""
    with linked() as (near, far), program("serve", f"tcp://{ADDRESSES[0]}:4477", heartbeat, inside=near) as server:
        there = said(server)[1]
        with program("ask", there, heartbeat, calls, inside=far) as client:
            for _ in range(calls):
                said(client, "asked")
            time.sleep(QUIET * heartbeat)
            begun = time.monotonic()
            _do("-n", far, "link", "set", "far", "down")
            ends = [[said(end)[0] - begun for _ in range(calls)] for end in (server, client)]
            return ends[0], ends[1]


def _measured(heartbeat: float, calls: int) -> Iterator[tuple[str, list[float]]]:
    for scheme in ("tcp", "unix", "ws"):
        for stops in ("server", "client"):
            yield f"a {stops} is stopped, {scheme}", stopped(scheme, stops, heartbeat, calls)
    yield "a server is stopped, its client blocks", stopped_without_a_loop(heartbeat)
    try:
        server, client = unplugged(heartbeat, calls)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"no network namespaces here, the link is not taken down: {error}", file=sys.stderr)
        return
    yield "the link is taken down, found out by the server", server
    yield "the link is taken down, found out by the client", client


def _run(words: list[str]) -> None:
    role, address, heartbeat, *more = words
    if role == "serve":
        _serve(address, float(heartbeat))
    elif role == "block":
        _ask_without_a_loop(address, float(heartbeat))
    else:
        _ask(address, float(heartbeat), int(more[0]))


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.vanished", description=__doc__)
    parser.add_argument("--heartbeat", type=float, default=2.0, help="seconds")
    parser.add_argument("--connections", type=int, default=100, help="to each that vanishes")
    arguments = parser.parse_args()
    rows = []
    for name, seconds in _measured(arguments.heartbeat, arguments.connections):
        rows.append(Row(f"{name}: the last of {len(seconds)}, in heartbeats", 2, max(seconds) / arguments.heartbeat))
    late = sum(row.reached > row.wanted for row in rows)
    return show([*rows, Row("found out later than after two heartbeats", 0, late)])


if __name__ == "__main__":
    if sys.argv[1:2] and not sys.argv[1].startswith("-"):
        _run(sys.argv[1:])
    else:
        raise SystemExit(main())
