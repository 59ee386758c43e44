"""Thousands of connections held by one process without an event loop, and calls that are timed beside them."""

import asyncio
import math
import resource
import select
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
from benchmarks.load import run
from tomada.catalogue import Catalogue
from tomada.protocol import Engine, Hello, PeerLimits, Role, Welcome

ROOT = Path(__file__).parents[2]
CALLERS = 4
"""So many connections call beside the crowd, one request after the other on each."""


class Make(tomada.Request[bytes]):
    """Asks for so many bytes."""

    count: int


app = tomada.App("crowd")


@app.on
async def make(request: Make) -> bytes:
    """The bytes."""
    return b"x" * request.count


def frames(count: int) -> tuple[bytes, bytes]:
    """What a client sends: its hello, and a request for so many bytes."""
    catalogue = Catalogue((Make,))
    limits = PeerLimits()
    engine = Engine(Role.CONNECTING, Hello(software="crowd", limits=limits, catalogue=tuple(catalogue.entries)), 0.0)
    server = Engine(Role.ACCEPTING, Welcome(software="crowd", limits=limits, catalogue=tuple(catalogue.entries)), 0.0)
    hello = bytes(engine.take())
    server.receive(hello, 0.0)
    engine.receive(bytes(server.take()), 0.0)
    engine.ask(catalogue.numbers[Make], msgspec.msgpack.encode(Make(count)), None)
    return hello, bytes(engine.take())


@contextmanager
def serving(most: int) -> Iterator[tuple[int, int]]:
    """The application's server, in a process of its own with room for so many connections: its port and its number."""
    command = [sys.executable, "-m", "benchmarks.faults.crowd", str(most)]
    quiet = subprocess.DEVNULL  # each that is cut is a line of the log
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=quiet, text=True) as process:
        try:
            said = cast("IO[str]", process.stdout).readline()
            yield int(said), process.pid
        finally:
            process.kill()


class Crowd:
    """Connections that do what they are told, and nothing else.

    Args:
        port: Of the server.
        count: How many.
        sends: What each sends, a piece at a time; between two pieces it waits for something to come.
        window: The receive buffer of each, in bytes; the system's by default.
    """

    def __init__(self, port: int, count: int, sends: tuple[bytes, ...], window: int = 0) -> None:
        self._poll = select.poll()
        self._sockets: dict[int, socket.socket] = {}
        for begin in range(0, count, 500):
            self._sockets |= self._come(port, min(500, count - begin), sends, window)
        for number in self._sockets:
            self._poll.register(number, select.POLLRDHUP)

    @staticmethod
    def _come(port: int, count: int, sends: tuple[bytes, ...], window: int) -> dict[int, socket.socket]:
        come = []
        for _ in range(count):
            one = socket.socket()
            if window:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
            one.connect(("127.0.0.1", port))
            come.append(one)
        for number, piece in enumerate(sends):
            for one in come:
                one.sendall(piece)
            for one in come if number + 1 < len(sends) else ():
                if not one.recv(65_536):
                    raise ConnectionError("the server closed the connection")
        return {one.fileno(): one for one in come}

    def __len__(self) -> int:
        return len(self._sockets)

    def look(self) -> None:
        """Let go those whom the server has let go."""
        for number, _ in self._poll.poll(0):
            self._poll.unregister(number)
            self._sockets.pop(number).close()

    def leave(self) -> None:
        """Close all."""
        for one in self._sockets.values():
            one.close()
        self._sockets.clear()


async def call(port: int, until: asyncio.Event) -> list[float]:
    """Seconds that each call took, one after the other over some connections, from now on until it is enough."""
    taken: list[float] = []

    async def caller() -> None:
        async with tomada.connect(f"tcp://127.0.0.1:{port}") as connection:
            while not until.is_set():
                begun = time.perf_counter()
                await connection.ask(Make(20))
                taken.append(time.perf_counter() - begun)

    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(caller())
    return taken


def call_for(port: int, seconds: float) -> list[float]:
    """The same for a time."""

    async def main() -> list[float]:
        until = asyncio.Event()
        asyncio.get_running_loop().call_later(seconds, until.set)
        return await call(port, until)

    return run(main())


def p99(taken: list[float]) -> float:
    """What 99 of 100 calls took at most."""
    return sorted(taken)[math.ceil(0.99 * len(taken)) - 1]


def resident(process: int) -> int:
    """How much memory a process has, in bytes."""
    with Path(f"/proc/{process}/statm").open() as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def _serve(most: int) -> None:
    limits = tomada.Limits(connections=most, connections_per_host=most, handshakes=most, handshakes_early=most)

    async def main() -> None:
        async with tomada.serve(app, "tcp://127.0.0.1:0", limits=limits) as server:
            print(server.addresses[0].port, flush=True)
            await asyncio.Event().wait()

    run(main())


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
