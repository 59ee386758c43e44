"""The world: one seed's time, chance, network, processes and history.

simloop gives virtual time and the order of what is due at once, and whatever is drawn is drawn from the seed: so the
same seed is the same history, byte for byte. Whatever the product draws, or asks of the machine, is put in place of the
machine's own while a world lasts.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import random
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator, MutableSet
from contextvars import Context
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from unittest import mock

import simloop

from tests.simulation.network import Network
from tests.simulation.process import Process
from tomada.endpoint import Endpoint
from tomada.protocol import Engine, GoodbyeCode, Session
from tomada.telemetry.throttle import Throttle

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")
_SPIN = 3_000


class History:
    """What has happened, in order: as a digest, and, where somebody wants to read it, as text."""

    def __init__(self, world: World, told: Callable[[str], object] | None) -> None:
        self._world = world
        self._digest = hashlib.blake2b(digest_size=16)
        self._told = told
        self.last: deque[str] = deque(maxlen=40)

    def note(self, what: str) -> None:
        """Something has happened, now."""
        line = f"{self._world.now:.9f} {what}\n"
        self._digest.update(line.encode())
        if self._told is not None:
            self._told(line)

    def tell(self, what: str) -> None:
        """The same, for what a reader of a failure wants to see."""
        self.note(what)
        self.last.append(f"{self._world.now:.3f} {what}")

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()


class _NoTrace:
    """In place of simloop's own record of all steps, which the history makes needless."""

    def record(self, *args: object) -> None:
        pass


class World:
    """One run.

    Args:
        seed: Decides everything.
        told: Is told each line of the history.
    """

    def __init__(self, seed: int, told: Callable[[str], object] | None = None) -> None:
        self.seed = seed
        self.loop = simloop.SimLoop(seed)
        self.loop._recorder = _NoTrace()
        self.loop.set_exception_handler(lambda _, context: self.violate(f"outside: {context}"))
        self._context = Context()
        self.history = History(self, told)
        self.network = Network(self)
        self.processes: list[Process] = []
        self.violations: list[str] = []
        self.faults: Counter[str] = Counter()
        self._turns = 0
        self._then = -1.0

    def fork(self, purpose: str) -> random.Random:
        """Chance of its own for one purpose: what it draws moves nothing else."""
        return random.Random(f"{self.seed} {purpose}")

    @property
    def now(self) -> float:
        now: float = self.loop._now
        return now

    def at(self, when: float, callback: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        """Let something happen at a time."""
        handle: asyncio.TimerHandle = self.loop.call_at(when, callback, *args, context=self._context)
        return handle

    def later(self, seconds: float, callback: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        """Let something happen after a time."""
        return self.at(self.now + seconds, callback, *args)

    def process(self, host: str, name: str, pace: float) -> Process:
        """A new process."""
        process = Process(self, host, name, pace)
        self.processes.append(process)
        return process

    def violate(self, what: str, error: object = None) -> None:
        """Something that must never be has happened."""
        if isinstance(error, BaseException):
            what += f" ({type(error).__name__})"
        self.history.tell(f"VIOLATION {what}")
        self.violations.append(f"{self.now:.3f} {what}")

    def run(self, director: Coroutine[Any, Any, None]) -> None:
        """Let the world last until `director`, which stands outside of it, has ended."""
        with _in_place_of_the_machine(self):
            # Not `run_until_complete`, which has garbage collected each time: nothing is left to the collector here.
            task = self.loop.create_task(director)
            task.add_done_callback(lambda _: self.loop.stop())
            try:
                self.loop.run_forever()
                if task.done():
                    task.result()
            finally:
                for process in self.processes:
                    process.bury()
                self.loop.close()
                self.loop._ready.clear()
                self.loop._timers.clear()

    def count_turn(self) -> None:
        """A process has its turn. Too many of them without any time passing are an endless loop."""
        self._turns += 1
        if self.now > self._then:
            self._then, self._turns = self.now, 0
        elif self._turns > _SPIN:
            self.violate(f"time stands still: {_SPIN} turns at one moment")
            self.loop.stop()


class Ordered(MutableSet[T], Generic[T]):
    """A set in the order of its making: one of objects has the order of their places in memory, which no seed gives."""

    def __init__(self) -> None:
        self._items: dict[T, None] = {}

    def __contains__(self, item: object) -> bool:
        return item in self._items

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def add(self, value: T) -> None:
        self._items[value] = None

    def discard(self, value: T) -> None:
        self._items.pop(value, None)


class _Complaints(logging.Handler):
    """What the product logs as its own failure is a violation."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.WARNING)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        self._world.history.tell(f"log {text}")
        if "this end failed" in text or "cannot be told" in text or "wrong reply" in text:
            self._world.violate(text, record.exc_info[1] if record.exc_info else None)


@contextlib.contextmanager
def _in_place_of_the_machine(world: World) -> Iterator[None]:
    """The seed's chance in place of the system's, the simulated kernel's answers in place of the kernel's."""
    chance = world.fork("bytes of the system")
    made, fails, resumed = Endpoint.__init__, Engine._fail, Engine._resumed

    def ordered(self: Endpoint, *args: Any, **named: Any) -> None:
        made(self, *args, **named)
        self.connections = Ordered()  # type: ignore[assignment] # as good a set
        self.tasks = Ordered()  # type: ignore[assignment] # as above

    def failed(self: Engine, code: GoodbyeCode, reason: str) -> None:
        if code is GoodbyeCode.VIOLATION and not (world.faults["restore backup"] and "the credit shrinks" in reason):
            # Two honest ends never break the protocol, whatever happens between them; a server with an older state
            # takes back what it has granted.
            world.violate(f"an end accuses the other: {reason}")
        fails(self, code, reason)

    def went_on(self: Engine, session: Session | None) -> bool:
        before = self.epoch
        does = resumed(self, session)
        if does and self.epoch <= before:
            world.violate(f"a session went on with epoch {self.epoch}, its client had seen {before} before")
        return does

    log = logging.getLogger("tomada")
    complaints = _Complaints(world)
    state, propagates = random.getstate(), log.propagate
    with (
        mock.patch.object(os, "urandom", chance.randbytes),
        mock.patch.object(random, "_urandom", chance.randbytes),
        mock.patch.object(Throttle, "pass_on"),  # it goes by the machine's clock
        mock.patch("tomada.transports.held_by_kernel", world.network.held),
        mock.patch.object(Endpoint, "__init__", ordered),
        mock.patch.object(Engine, "_fail", failed),
        mock.patch.object(Engine, "_resumed", went_on),
    ):
        random.seed(f"{world.seed} of the product")
        log.addHandler(complaints)
        log.propagate = False
        try:
            yield
        finally:
            log.propagate = propagates
            log.removeHandler(complaints)
            random.setstate(state)
