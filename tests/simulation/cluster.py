"""A server and its clients, each a process on a host of its own; what survives a process; and the run of one seed."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
import warnings
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final

import tomada
from tests.simulation import face, invariants
from tests.simulation.disk import Disk
from tests.simulation.faults import Faults
from tests.simulation.ledger import Ledger
from tests.simulation.scenario import Scenario
from tests.simulation.workload import Client, Program, Server
from tests.simulation.world import World

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tomada.protocol import Engine

_LOOK: Final = 0.25
"""Seconds between two looks at what must hold at any time."""
_LAST: Final = 600.0
"""Seconds after the last fault by which all must have been done."""


class Cluster:
    """Who there is in one world."""

    server_host = "10.0.0.1"

    def __init__(self, world: World, scenario: Scenario) -> None:
        self.world = world
        self.scenario = scenario
        self._thread = get_ident()
        self.ledger = Ledger(world, is_durable=scenario.is_durable)
        self.disk = Disk(world) if scenario.is_durable else None
        if scenario.latency > 0.05:  # else no more than so much gets through in a round trip
            world.network.buffer = max(world.network.buffer, 16_384)
        chance = world.fork("paths")
        world.network.shape(lambda: scenario.path(chance))
        self.client_hosts = [f"10.0.1.{number}" for number in range(1, scenario.clients + 1)]
        self._count = 0
        self._is_ending = False
        """Whether all is done, and nothing goes wrong any more."""
        self.server = self._start_server()
        self._clients = {host: self._start_client(host) for host in self.client_hosts}
        self._joined: dict[Program, tomada.Connection] = {}

    def client(self, host: str) -> Client:
        """Who runs there."""
        return self._clients[host]

    def engine_of(self, host: str) -> Engine | None:
        """Of the connection that the client there has, or had."""
        connection = self._joined.get(self._clients[host])
        return None if connection is None else connection._link.engine

    @staticmethod
    def start(process: Process, main: Coroutine[Any, Any, None]) -> None:
        """Let a process do something."""
        with _inside(process):
            process.start(main, "main")

    def joined(self, client: Client, connection: tomada.Connection) -> None:
        """A client has connected."""
        self._joined[client] = connection
        self.ledger.connections += 1

    def heard(self, event: object) -> None:
        """The product tells what happens; other threads are none of this world."""
        if get_ident() != self._thread:
            return
        kind = type(event).__name__
        self.world.history.tell(f"{kind} {event}")
        if kind == "SessionResumed" and self.server_host not in str(event):
            self.ledger.resumes += 1

    def connections(self) -> Iterator[tomada.Connection]:
        """The ends of all connections, of programs that live."""
        yield from self._joined.values()
        if self.server.running is not None:
            yield from self.server.running.connections

    def wipe(self) -> None:
        """The world has ended."""
        if self.disk is not None:
            self.disk.wipe()

    # Processes begin and end.

    def _start_server(self) -> Server:
        self._count += 1
        process = self.world.process(self.server_host, f"server {self._count}", self.scenario.pace)
        with _inside(process):
            server = Server(self, process)
        process.start(server.main(), "main")
        return server

    def _start_client(self, host: str) -> Client:
        self._count += 1
        process = self.world.process(host, f"client {self._count}", self.scenario.pace)
        with _inside(process):
            client = Client(self, process)
        process.start(client.main(), "main")
        return client

    def replace_client(self, host: str, *, is_silent: bool) -> None:
        """End one at once, and let another begin."""
        client = self._clients[host]
        if client.is_done:
            return
        if is_silent:
            self.world.network.vanish(host)
        client.process.kill()
        self._joined.pop(client, None)
        self._clients[host] = successor = self._start_client(host)
        successor.left = client.left

    def kill_server(self, *, is_silent: bool, pause: float) -> None:
        """End it at once; another begins after a pause."""
        server = self.server
        if server.process.is_dead or self._is_ending:
            return  # its successor is about to begin
        if is_silent:
            self.world.network.vanish(self.server_host)
        server.process.kill()
        server.running = None
        if self.disk is not None:
            self.disk.release()
        self.world.later(pause, self._succeed)

    def put_back(self, backup: dict[str, bytes], pause: float) -> None:
        """Kill the server, and let its successor find an older state of the store."""
        self.kill_server(is_silent=False, pause=pause)
        if self.disk is not None and self.server.process.is_dead:
            self.disk.put_back(backup)

    def stop_server(self) -> None:
        """Stop it in order; another begins when it has ended."""
        server = self.server
        if server.is_stopping or server.process.is_dead:
            return
        server.is_stopping = True
        server.process.post(server.stop.set)
        self._succeed_when_stopped(server)

    def _succeed_when_stopped(self, server: Server) -> None:
        if server is not self.server or server.process.is_dead:
            return  # it was killed meanwhile, and has a successor
        if server.process.tasks():
            self.world.later(0.1, self._succeed_when_stopped, server)
        else:
            server.process.is_over = True
            self._succeed()

    def _succeed(self) -> None:
        self.server = self._start_server()

    # From the first to the last moment.

    async def direct(self) -> None:
        """The whole run, from outside."""
        Faults(self).plan()
        self._look()
        end = self.scenario.faults_until + _LAST
        while not all(client.is_done for client in self._clients.values()):
            await asyncio.sleep(0.5)
            if self.world.now > end:
                self.world.violate(f"clients have not come to their end within {_LAST:g} s")
                break
        while self.server.process.is_dead or self.server.is_stopping:
            await asyncio.sleep(0.1)
            if self.world.now > end + _LAST:
                self.world.violate("the server has not come to its end")
                return
        self._is_ending = True
        self.server.process.post(self.server.stop.set)
        while self.server.process.tasks() and self.world.now < end + _LAST:  # noqa: ASYNC110 - it is another loop's
            await asyncio.sleep(0.1)
        await asyncio.sleep(1.0)
        invariants.drained(self)

    def _look(self) -> None:
        invariants.bounds(self)
        invariants.calls_in_time(self)
        self.world.later(_LOOK, self._look)


class _inside:  # noqa: N801 - used as a function
    """Be in a process, to make what belongs to its loop."""

    def __init__(self, process: asyncio.AbstractEventLoop) -> None:
        self._process = process
        self._outer: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> None:
        self._outer = asyncio._get_running_loop()
        asyncio._set_running_loop(self._process)

    def __exit__(self, *_: object) -> None:
        asyncio._set_running_loop(self._outer)


@dataclass
class Outcome:
    """What came of one seed."""

    seed: int
    digest: str
    violations: list[str]
    last: list[str]
    faults: Counter[str] = field(default_factory=Counter)
    messages: int = 0
    connections: int = 0
    resumes: int = 0
    streams: int = 0
    cut: int = 0
    simulated: float = 0.0
    seconds: float = 0.0
    longest: float = 0.0
    most_waiting: int = 0


def run(seed: int, told: Callable[[str], object] | None = None) -> Outcome:
    """Run one seed, within `undisturbed`; `told` is told each line of its history."""
    begun = time.perf_counter()
    outcome = _run(seed, told)
    outcome.seconds = time.perf_counter() - begun
    return outcome


def _run(seed: int, told: Callable[[str], object] | None) -> Outcome:
    world = World(seed, told)
    made: list[Cluster] = []

    async def direct() -> None:
        made.append(Cluster(world, Scenario.of(seed)))
        with tomada.subscribe(made[0].heard, *face.EVENTS):
            await made[0].direct()

    try:
        world.run(direct())
    except Exception as error:  # noqa: BLE001 - a world that ends so has failed
        world.violate(f"the simulation ended: {error!r}", error)
    finally:
        for cluster in made:
            cluster.wipe()
    ledger = made[0].ledger
    return Outcome(
        seed,
        world.history.digest,
        world.violations,
        list(world.history.last),
        world.faults + Counter({"reset (struck)": world.network.struck}),
        messages=ledger.messages,
        connections=ledger.connections,
        resumes=ledger.resumes,
        streams=len(ledger.courses) + len(ledger.parts),
        cut=ledger.cut,
        simulated=world.now,
        longest=ledger.longest,
        most_waiting=ledger.most_waiting,
    )


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """To run seeds in: the garbage collector, which no seed governs, strikes only at the end.

    What was killed is left in the middle of whatever it did, so that Python complains of it.
    """
    collects = gc.isenabled()
    gc.disable()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        try:
            yield
        finally:
            gc.collect()
            if collects:
                gc.enable()
