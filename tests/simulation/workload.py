"""What the programs of the simulation do: a server and its clients, of the product's public interface alone.

Everything that is sent has a number, everything that is handled is entered in the ledger.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from random import Random
from typing import TYPE_CHECKING

import tomada
from tests.simulation import face
from tests.simulation.messages import Done, Failed, Note, Subscribe, Tick, Work
from tests.simulation.streaming import Streaming
from tomada.errors import BufferFull, ConnectFailed, ConnectionLost, HandshakeFailed, RemoteError, TimedOut

if TYPE_CHECKING:
    from tests.simulation.cluster import Cluster
    from tests.simulation.ledger import Flow
    from tests.simulation.process import Process

PLACE = "10.0.0.1", 4477
ADDRESS = "tcp://10.0.0.1:4477"
_LONG = 3_000.0
"""For so long handlers wait whose callers do not."""


class Program(Streaming):
    """What both ends have: the handlers of notes and work, and the ways to send them."""

    def __init__(self, cluster: Cluster, process: Process) -> None:
        self.cluster = cluster
        self.process = process
        self.world = cluster.world
        self.ledger = cluster.ledger
        self.scenario = cluster.scenario
        self.random: Random = cluster.world.fork(f"program of {process.name}")
        self.app = tomada.App(process.name)

        @self.app.on
        async def note(message: Note) -> None:
            self.ledger.handled(message.flow, message.number, process)
            if message.pause:
                await asyncio.sleep(message.pause)
            if not process.is_dead:
                self.ledger.done(message.flow, message.number)

        @self.app.on
        async def work(request: Work) -> Done:
            self.ledger.begin(request.key, process)
            try:
                if request.pause:
                    await asyncio.sleep(request.pause)
                if request.fails:
                    raise Failed(request.key)
                return Done(request.key, bytes(request.size))
            finally:
                if not process.is_dead:
                    self.ledger.end(request.key)

        self.handle_streams()

    def size(self) -> int:
        """How long a message is to be: most are small, some take many fragments."""
        if self.random.random() < self.scenario.big:
            return self.random.randrange(self.scenario.longest)
        return self.random.choice((0, 1, 15, 16, 17, 100, 1_000))

    def pause(self) -> float:
        """For how long a handler waits: often not at all."""
        return 0.0 if self.random.random() < 0.5 else self.random.expovariate(5)

    async def rest(self, seconds: float) -> None:
        """Wait for about so long."""
        await asyncio.sleep(self.random.expovariate(1 / seconds))

    async def send(self, connection: tomada.Connection, flow: Flow, kind: type[Note | Tick], *, urgent: bool) -> None:
        """Send the next message of a flow."""
        number = flow.sent + 1
        pad = bytes(self.size())
        message = Tick(flow.name, number, pad) if kind is Tick else Note(flow.name, number, self.pause(), pad)
        with self.ledger.call(f"send {flow.name}", self.process, self.scenario.patience):
            if self.random.random() < 0.7 or not self._has_sent(connection, message, urgent=urgent):
                await face.send(connection, message, urgent=urgent)
        flow.sent = number

    @staticmethod
    def _has_sent(connection: tomada.Connection, message: Note | Tick, *, urgent: bool) -> bool:
        try:
            connection.send_nowait(message, urgent=urgent)
        except BufferFull:
            return False
        return True

    async def ask(self, connection: tomada.Connection, key: str, *, urgent: bool) -> None:
        """Ask, in one of several ways; what comes of it must be one of a few things. Raises `ConnectionLost`."""
        way = self.random.random()
        is_long = way > 0.85
        timeout = self.random.uniform(0.1, 4.0) if way > 0.6 else None
        request = Work(key, _LONG if is_long else self.pause(), way < 0.05, self.size(), bytes(self.size()))
        with self.ledger.call(f"ask {key}", self.process, self.scenario.patience):
            try:
                if way > 0.93:
                    await self._cancelled(face.ask(connection, request, urgent=urgent, timeout=None), timeout or 1.0)
                else:
                    reply = await face.ask(connection, request, urgent=urgent, timeout=timeout)
                    self.ledger.answered(key, reply.key)
            except Failed as error:
                self.ledger.answered(key, error.key)
            except TimedOut:
                if timeout is None:
                    self.world.violate(f"{key} timed out without a time-out")
            except face.NOT_SENT:
                self.ledger.not_sent(key)
                raise
            except RemoteError as error:
                # A server that stops cancels what it waits for.
                self.world.history.note(f"refused {key}: {error}")

    def take_back(self, connection: tomada.Connection) -> None:
        """The connection is over: enter what it could not deliver."""
        for message in face.undelivered(connection):
            if isinstance(message, (Note, Tick)):
                self.ledger.give_back(message.flow, message.number)

    async def _cancelled(self, call: face.Call, after: float) -> None:
        task = asyncio.create_task(call, name="a call that is cancelled")
        await asyncio.wait([task], timeout=after)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Server(Program):
    """The server's program."""

    def __init__(self, cluster: Cluster, process: Process) -> None:
        super().__init__(cluster, process)
        self.stop = asyncio.Event()
        self.is_stopping = False
        self.running: tomada.Server | None = None
        self.pushers: list[asyncio.Task[None]] = []

        @self.app.on
        async def subscribe(request: Subscribe, connection: tomada.Connection) -> bool:
            self.pushers.append(asyncio.create_task(self.push(request, connection), name=f"pusher {request.name}"))
            return True

        @self.app.on_disconnect
        async def disconnect(connection: tomada.Connection) -> None:
            self.take_back(connection)

    async def main(self) -> None:
        """Serve until `stop`."""
        scenario, disk = self.scenario, self.cluster.disk
        async with tomada.serve(
            self.app,
            ADDRESS,
            limits=scenario.limits,
            deadlines=scenario.deadlines,
            **face.serving(scenario.keep, None if disk is None else disk.store(scenario.keep)),
        ) as server:
            self.running = server
            self.world.history.tell(f"{self.process.name} listens")
            await self.stop.wait()
            with self.ledger.call("close the server", self.process, scenario.patience):
                await server.close()
        for pusher in self.pushers:
            with self.ledger.call("the end of a pusher", self.process, scenario.patience):
                await pusher

    async def push(self, request: Subscribe, connection: tomada.Connection) -> None:
        """Send and ask on the server's own account."""
        name = f"{request.name} from {self.process.name}"
        in_session = face.in_session(connection)
        flows = {
            (kind, urgent): self.ledger.flow(f"{name} {kind.__name__} {'urgent' if urgent else 'normal'}", self.process)
            for kind in (Note, Tick)
            for urgent in face.LANES
        }
        for flow in flows.values():
            flow.in_session = in_session
        asked = 0
        try:
            for _ in range(request.count):
                await self.rest(request.pause)
                urgent = self.random.choice(face.LANES)
                way = self.random.random()
                if way < 0.1:
                    asked += 1
                    await self.stream(connection, f"{name} stream {asked}", urgent=urgent)
                elif way < 0.25:
                    asked += 1
                    await self.ask(connection, f"{name} ask {asked}", urgent=urgent)
                else:
                    kind: type[Note | Tick] = self.random.choice((Note, Tick))
                    await self.send(connection, flows[kind, urgent], kind, urgent=urgent)
        except ConnectionLost:
            for flow in flows.values():
                flow.is_told = True
        else:
            # It has sent all, and does not wait for its peer: that knows whether the connection came to a whole end.
            for flow in flows.values():
                flow.connection = request.name


class Client(Program):
    """A client's program: connects, does a part of its work, and connects anew when that is lost."""

    def __init__(self, cluster: Cluster, process: Process) -> None:
        super().__init__(cluster, process)
        self.left = self.scenario.messages
        self.lives = 0
        self.is_done = False

    async def main(self) -> None:
        """Do all the work, through whatever faults."""
        while self.left > 0 or self.world.now < self.scenario.faults_until:
            self.lives += 1
            scenario = self.scenario
            try:
                with self.ledger.call("connect", self.process, scenario.patience):
                    connection = await tomada.connect(
                        ADDRESS,
                        app=self.app,
                        wait=1.0,
                        limits=scenario.limits,
                        deadlines=scenario.deadlines,
                        **face.connecting(sessions=scenario.sessions),
                    )
            except (ConnectFailed, HandshakeFailed, ConnectionLost) as error:
                self.world.history.note(f"{self.process.name} could not connect: {error}")
                await self.rest(0.5)
                continue
            self.cluster.joined(self, connection)
            await self.use(connection, f"{self.process.name}.{self.lives}")
        self.is_done = True

    async def use(self, connection: tomada.Connection, name: str) -> None:
        """Work over one connection until all is done or it is lost; then close it."""
        flows: list[Flow] = []
        workers = [
            self._guarded(self.subscribe(connection, name)),
            *(self._guarded(self.notes(connection, name, flows, urgent=urgent)) for urgent in face.LANES),
            *(self._guarded(self.asks(connection, f"{name} asker {number}")) for number in range(2)),
            *(self._guarded(self.streams(connection, f"{name} streamer {number}")) for number in range(2)),
        ]
        reader = asyncio.create_task(self.read(connection), name="reader")
        await asyncio.gather(*workers)
        with self.ledger.call("close", self.process, self.scenario.patience):
            await connection.close()
        with self.ledger.call("the reader's end", self.process, self.scenario.patience):
            await reader
        self.take_back(connection)
        if face.is_whole(connection):
            self.ledger.whole.add(name)
        for flow in flows:
            flow.connection = name

    @staticmethod
    async def _guarded(work: face.Call) -> None:
        with contextlib.suppress(ConnectionLost):
            await work

    async def _turns(self, connection: tomada.Connection) -> AsyncIterator[None]:
        """One turn for each message that is left, and a seldom one after the last for as long as there are faults."""
        while connection.is_open and (self.left > 0 or self.world.now < self.scenario.faults_until):
            await self.rest(self.scenario.pause if self.left > 0 else 5.0)
            self.left -= 1
            yield

    async def notes(self, connection: tomada.Connection, name: str, flows: list[Flow], *, urgent: bool) -> None:
        """Send one-way messages."""
        flow = self.ledger.flow(f"{name} {'urgent' if urgent else 'normal'}", self.process)
        flow.in_session = face.in_session(connection)
        flows.append(flow)
        async for _ in self._turns(connection):
            for _ in range(self.random.choice((1, 1, 1, 3, 10))):
                await self.send(connection, flow, Note, urgent=urgent)

    async def asks(self, connection: tomada.Connection, name: str) -> None:
        """Ask, one after the other."""
        number = 0
        async for _ in self._turns(connection):
            number += 1
            await self.ask(connection, f"{name} {number}", urgent=self.random.choice(face.LANES))

    async def streams(self, connection: tomada.Connection, name: str) -> None:
        """Take streams, give them, and both, one after the other."""
        number = 0
        async for _ in self._turns(connection):
            number += 1
            await self.stream(connection, f"{name} {number}", urgent=self.random.choice(face.LANES))

    async def subscribe(self, connection: tomada.Connection, name: str) -> None:
        """Let the server send as well."""
        request = Subscribe(name, self.scenario.pushes, self.scenario.pause)
        with self.ledger.call("subscribe", self.process, self.scenario.patience):
            await face.ask(connection, request, urgent=False, timeout=None)

    async def read(self, connection: tomada.Connection) -> None:
        """Receive what has no handler, now and then slowly."""
        with contextlib.suppress(ConnectionLost):
            while True:
                message = await connection.receive()
                assert isinstance(message, Tick)
                self.ledger.handled(message.flow, message.number, self.process)
                self.ledger.done(message.flow, message.number)
                if self.random.random() < self.scenario.slow:
                    await self.rest(1.0)
