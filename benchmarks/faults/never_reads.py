"""A peer that never reads, and 100 MB that are sent at it: by how much the server's memory grows."""

import argparse
import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import msgspec

import tomada
from benchmarks.faults.crowd import resident
from benchmarks.faults.table import Row, show
from benchmarks.load import run
from tomada.catalogue import Catalogue
from tomada.protocol import Engine, Hello, PeerLimits, Role, Welcome
from tomada.protocol.handshake import SESSION

ROOT = Path(__file__).parents[2]
PIECES = (1_000, 10_000, 100_000)
MEBIBYTE = 1_048_576


class Piece(tomada.Message):
    """What is sent."""

    data: bytes


class Flood(tomada.Request[None]):
    """Asks for so many bytes, in pieces of a size, by `send` or by `send_nowait`."""

    count: int
    size: int
    waits: bool


app = tomada.App("never reads")
refused = 0


@app.on
async def flood(request: Flood, connection: tomada.Connection) -> None:
    """Send them; what `send_nowait` refuses is tried no more, only counted."""
    global refused  # noqa: PLW0603 - the handler's state
    for number in range(request.count // request.size):
        piece = Piece(number.to_bytes(8, "big") * (request.size // 8))
        if request.waits:
            await connection.send(piece)
            continue
        try:
            connection.send_nowait(piece)
        except tomada.BufferFull:
            refused += 1
            await asyncio.sleep(0)  # the loop goes on, as it would between two events


def frames(*, session: bool, count: int, size: int, waits: bool) -> tuple[bytes, bytes]:
    """What the peer sends: its hello, and its request."""
    catalogue = Catalogue((Flood, Piece))
    types, limits = tuple(catalogue.entries), PeerLimits()
    features = (SESSION,) if session else ()
    engine = Engine(Role.CONNECTING, Hello(software="deaf", limits=limits, catalogue=types, features=features), 0.0)
    server = Engine(Role.ACCEPTING, Welcome(software="deaf", limits=limits, catalogue=types), 0.0)
    hello = bytes(engine.take())
    server.receive(hello, 0.0)
    engine.receive(bytes(server.take()), 0.0)
    engine.ask(catalogue.numbers[Flood], msgspec.msgpack.encode(Flood(count, size, waits)), None)
    return hello, bytes(engine.take())


@contextmanager
def serving() -> Iterator[tuple[int, int]]:
    """The server, in a process of its own: its port and its number."""
    command = [sys.executable, "-m", "benchmarks.faults.never_reads", "--serve"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield int(cast("IO[str]", process.stdout).readline()), process.pid
        finally:
            process.kill()


def _serve() -> None:
    async def main() -> None:
        async with tomada.serve(app, "tcp://127.0.0.1:0") as server:
            print(server.addresses[0].port, flush=True)
            await asyncio.Event().wait()

    run(main())


async def _warm(port: int) -> None:
    """Let the server do once, for a peer that reads, what it is about to do: so its code and its types are there."""
    async with tomada.connect(f"tcp://127.0.0.1:{port}") as connection:
        for waits in (True, False):
            asking = asyncio.ensure_future(connection.ask(Flood(100_000, 1_000, waits)))
            while True:
                try:
                    await connection.receive(timeout=0.2)
                except tomada.TimedOut:
                    break
            await asking


def growth(count: int, size: int, seconds: float, *, session: bool, waits: bool) -> float:
    """By how many mebibytes the server's memory grows, at the most, while it sends at a peer that never reads."""
    with serving() as (port, process):
        run(_warm(port))
        hello, request = frames(session=session, count=count, size=size, waits=waits)
        with socket.socket() as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            peer.connect(("127.0.0.1", port))
            peer.sendall(hello)
            if not peer.recv(65_536):
                raise ConnectionError("the server closed the connection")
            before = most = resident(process)
            peer.sendall(request)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                time.sleep(0.01)
                most = max(most, resident(process))
        return (most - before) / MEBIBYTE


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.never_reads", description=__doc__)
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=5.0, help="for which the memory is watched")
    arguments = parser.parse_args()
    if arguments.serve:
        _serve()
        return 0
    bound = tomada.Limits().buffer_bytes / MEBIBYTE + 1
    rows = []
    for session in (True, False):
        for waits in (True, False):
            for size in PIECES:
                grown = growth(arguments.megabytes * 10**6, size, arguments.seconds, session=session, waits=waits)
                way = "send" if waits else "send_nowait"
                with_session = "with" if session else "without"
                name = f"{arguments.megabytes} MB, {size:,} B each, by {way}, {with_session} a session"
                rows.append(Row(f"{name}: grown by, in MiB", bound, grown))
    return show(rows)


if __name__ == "__main__":
    raise SystemExit(main())
