"""Streams of items, down, up and both: the handlers of both ends, and the calls.

Every item has a number: none is lost, doubled, or comes before its time, whatever becomes of connections and processes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from random import Random
from typing import TYPE_CHECKING

import tomada
from tests.simulation import face
from tests.simulation.messages import Collect, Collected, Failed, Item, Mirror, Part, Watch
from tomada.errors import ConnectionLost, OutcomeUnknown, RemoteError, TimedOut

if TYPE_CHECKING:
    from tests.simulation.ledger import Ledger
    from tests.simulation.process import Process
    from tests.simulation.scenario import Scenario
    from tests.simulation.world import World

_NEVER = 1_000_000


class Streaming:
    """What a program does with streams."""

    world: World
    process: Process
    ledger: Ledger
    scenario: Scenario
    random: Random
    app: tomada.App

    def size(self) -> int:
        """How long a message is to be."""
        raise NotImplementedError

    # Handlers.

    def handle_streams(self) -> None:  # noqa: C901 - three handlers, each of them short
        """Put the handlers in the application."""
        ledger, process = self.ledger, self.process

        @self.app.on
        async def watch(request: Watch) -> AsyncIterator[Item]:
            with self._handling(request.key):
                for number in range(1, request.count + 1):
                    if request.pause:
                        await asyncio.sleep(request.pause)
                    yield Item(request.key, number, process.name, bytes(request.size))
                if request.fails:
                    raise Failed(request.key)

        @self.app.on
        async def collect(request: Collect, parts: AsyncIterator[Part]) -> Collected:
            with self._handling(request.key):
                count = 0
                async for part in parts:
                    ledger.part(part.key, part.number, process)
                    count += 1
                    if request.pause:
                        await asyncio.sleep(request.pause)
                    if count == request.enough:
                        break
                return Collected(request.key, count)

        @self.app.on
        async def mirror(request: Mirror, parts: AsyncIterator[Part]) -> AsyncIterator[Item]:
            with self._handling(request.key):
                async for part in parts:
                    ledger.part(part.key, part.number, process)
                    if request.pause:
                        await asyncio.sleep(request.pause)
                    yield Item(request.key, part.number, process.name, part.pad)

    @contextlib.contextmanager
    def _handling(self, key: str) -> Iterator[None]:
        self.ledger.begin(key, self.process)
        try:
            yield
        finally:
            if not self.process.is_dead:
                self.ledger.end(key)

    # Calls.

    async def stream(self, connection: tomada.Connection, key: str, *, urgent: bool) -> None:
        """One stream, of one of the three kinds. Raises `ConnectionLost` when the connection is over."""
        way = self.random.choice((self._watch, self._collect, self._mirror))
        with self.ledger.call(f"stream {key}", self.process, self.scenario.patience):
            try:
                await way(connection, key, urgent=urgent)
            except face.NOT_SENT:
                self.ledger.not_sent(key)
                raise
            except OutcomeUnknown:
                self.ledger.cut_short(key)
                if not connection.is_open:
                    raise
            except ConnectionLost:
                raise
            except RemoteError as error:
                self.world.history.note(f"refused {key}: {error}")  # a server that stops cancels what it waits for

    def _draw(self) -> tuple[int, int, float]:
        """How many items, how long each, and the handler's pause before each."""
        chance = self.random
        count = chance.choice((0, 1, 2, 10, 40))
        size = self.size() if count < 10 else chance.choice((1, 100, 1_000))
        return count, size, chance.choice((0.0, 0.0, 0.01, 0.1))

    async def _watch(self, connection: tomada.Connection, key: str, *, urgent: bool) -> None:
        count, size, pause = self._draw()
        fails = self.random.random() < 0.1
        try:
            await self._take(connection.stream(Watch(key, count, size, pause, fails), urgent=urgent), key, count)
        except Failed:
            self.ledger.complete(key, count)
        else:
            if fails and not self.ledger.is_left(key):
                self.world.violate(f"{key}: its handler's error was lost")

    async def _mirror(self, connection: tomada.Connection, key: str, *, urgent: bool) -> None:
        count, size, pause = self._draw()
        parts = self._parts(key, count, size)
        await self._take(connection.stream(Mirror(key, pause), upload=parts, urgent=urgent), key, count)

    async def _take(self, stream: AsyncIterator[Item], key: str, count: int) -> None:
        chance = self.random
        leave = chance.randint(0, count) if chance.random() < 0.2 else _NEVER
        async with stream:  # type: ignore[attr-defined] # an ItemStream
            async for item in stream:
                self.ledger.item(key, item.key, item.number, item.maker)
                if item.number >= leave:
                    self.ledger.leave(key)
                    return
                if chance.random() < self.scenario.slow / 10:
                    await asyncio.sleep(0.5)
        self.ledger.complete(key, count)

    async def _collect(self, connection: tomada.Connection, key: str, *, urgent: bool) -> None:
        count, size, pause = self._draw()
        chance = self.random
        enough = chance.randint(1, count + 1) if chance.random() < 0.2 else _NEVER
        timeout = chance.uniform(0.1, 4.0) if chance.random() < 0.2 else None
        request = Collect(key, enough, pause)
        try:
            reply = await connection.ask(request, upload=self._parts(key, count, size), urgent=urgent, timeout=timeout)
        except TimedOut:
            if timeout is None:
                self.world.violate(f"{key} timed out without a time-out")
            return
        self.ledger.answered(key, reply.key)
        if reply.count != min(count, enough):
            self.world.violate(f"{key}: {reply.count} parts were collected, {min(count, enough)} were to be")

    async def _parts(self, key: str, count: int, size: int) -> AsyncIterator[Part]:
        pause = self.random.choice((0.0, 0.0, 0.05))
        for number in range(1, count + 1):
            if pause:
                await asyncio.sleep(pause)
            yield Part(key, number, bytes(size))
