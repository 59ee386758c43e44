"""The workers that there are: what they say, whether they hang, when those that died are replaced.

It decides about one worker at a time; ``supervisor.py`` about all of them together.
"""

from __future__ import annotations

import os
import selectors
import time
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from tomada.endpoint import log
from tomada.errors import TomadaError
from tomada.server.workers.backoff import BackOff
from tomada.server.workers.channel import ChannelBroken
from tomada.server.workers.messages import Beat, Deaf, Failed, Start, Want
from tomada.server.workers.worker import Worker
from tomada.telemetry import WorkerEnded, WorkerStarted, emit

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomada.server.workers.messages import FromWorker

LATE_START: Final = 30.0
"""Seconds after which the log says that a worker is still starting; it may take as long as it likes."""
_AWAY: Final = 5.0
"""Who has not been running for so long, as a stopped process, does not blame others for having said nothing."""


class NotStarted(TomadaError):
    """The system gives no process."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to run.

    Attributes:
        name: What people call it.
        command: The program of a worker, and its arguments.
        settings: What each worker is told to serve; nobody else reads it.
        workers: How many there are.
        is_spread: Whether each has an own socket at TCP addresses; else they share one.
        timeout: Seconds without a sign of life after which a worker that was ready is killed and replaced.
        drain: Seconds that what is under way may take when a worker ends.
        persists: Whether a first start that fails waits for a reload, in place of ending everything.
    """

    name: str
    command: tuple[str, ...]
    settings: bytes
    workers: int
    is_spread: bool = True
    timeout: float = 30.0
    drain: float = 10.0
    persists: bool = False

    @property
    def patience(self) -> float:
        """Seconds from the word to end until a worker is killed."""
        # Connections, then handlers, then those that were cancelled have the drain deadline; and then come the
        # functions that the application runs at its end.
        return 3 * self.drain + 5.0


class Told(Protocol):
    """Whom a crew tells of its workers."""

    def wanted(self, worker: Worker, /) -> None:
        """It has said where it serves, and waits for sockets."""

    def is_ready(self, worker: Worker, /) -> None:
        """It accepts."""

    def is_deaf(self, worker: Worker, /) -> None:
        """It accepts nobody any more."""

    def has_ended(self, worker: Worker, how: str, /, *, was_serving: bool) -> None:
        """It is gone."""

    def is_alive(self, now: float, /) -> None:
        """One of them gave a sign of life."""


class Crew:
    """All workers of one supervisor.

    Args:
        plan: What they are.
        selector: Of the supervisor's loop.
        told: Whom to tell.
        clock: Seconds; it does not go back.
    """

    def __init__(
        self, plan: Plan, selector: selectors.BaseSelector, told: Told, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._plan = plan
        self._selector = selector
        self._told = told
        self._clock = clock
        self.members: dict[int, Worker] = {}
        """All that have not ended, by process id."""
        self.serving: dict[int, Worker] = {}
        """Those that are to serve, by number; others come, or leave."""
        self._back_offs = {number: BackOff() for number in range(1, plan.workers + 1)}
        self._due: dict[int, float] = {}
        self._next_look = inf
        self._late_told: set[int] = set()

    def start(self, number: int) -> Worker:
        """A new process for the place `number`.

        Raises:
            NotStarted: The system gives no process.
        """
        try:
            start = Start(self._plan.settings, number, self._plan.workers)
            worker = Worker(number, self._plan.command, start, self._clock())
        except OSError as error:
            raise NotStarted(f"worker {number} cannot be started: {error}") from error
        self.members[worker.pid] = worker
        self._selector.register(worker.channel.socket, selectors.EVENT_READ, lambda: self._read(worker))
        return worker

    def stop(self, worker: Worker, why: str, *, handover: bool) -> None:
        """Let one serve what is under way, and end."""
        worker.stop(why, self._clock(), self._plan.patience, handover=handover)

    # Replacement.

    def replace(self, worker: Worker) -> None:
        """Start another one in the place of one that died: at once, or in a while if they keep dying."""
        self._replace(worker.number, worker.served(self._clock()))

    def _replace(self, number: int, served: float) -> None:
        pause = self._back_offs[number].pause(served)
        self._due[number] = self._clock() + pause
        if pause:
            log.warning("worker %d is started again in %g s: it keeps ending", number, pause)

    def replace_missing(self, count: int) -> None:
        """Start those, up to the number `count`, that are not there."""
        for number in range(1, count + 1):
            if number not in self.serving:
                self._due.setdefault(number, self._clock())

    def replace_none(self) -> None:
        """Start no other ones."""
        self._due.clear()

    # Messages.

    def _read(self, worker: Worker) -> None:
        try:
            for message in worker.channel.receive():
                self._take(worker, message)
        except ChannelBroken as error:
            worker.kill(str(error))
        if worker.channel.is_ended:
            self._selector.unregister(worker.channel.socket)

    def _take(self, worker: Worker, message: FromWorker) -> None:
        now = self._clock()
        if isinstance(message, Beat):
            worker.beat_at = now
            self._told.is_alive(now)
        elif isinstance(message, Want):
            worker.places = message.places
            self._introduce(worker)
            self._told.wanted(worker)
        elif isinstance(message, Failed):
            worker.failure = message
        elif isinstance(message, Deaf):
            worker.is_deaf = True
            self._told.is_deaf(worker)
        elif worker.ready is None:
            worker.ready, worker.ready_at, worker.beat_at = message, now, now
            if WorkerStarted.subscribers:
                emit(WorkerStarted(number=worker.number, pid=worker.pid, seconds=now - worker.started_at))
            self._announce(worker)
            self._told.is_ready(worker)

    def _introduce(self, worker: Worker) -> None:
        """Tell a worker of those that serve: before it gets the sockets, for it may keep sessions of none of them."""
        for other in self.members.values():
            if other.ready is not None:
                worker.meet(other)

    def _announce(self, worker: Worker) -> None:
        """Tell the others of a worker that is ready; those before it at its own place do not hand over to it."""
        for other in self.members.values():
            if other.number != worker.number:
                other.meet(worker)

    # Time.

    def due(self) -> float:
        """When to `look` again."""
        times = [*self._due.values()]
        for worker in self.members.values():
            times.append(worker.kill_at)
            times.append(worker.beat_at + self._plan.timeout)
            if worker.ready is None and worker.pid not in self._late_told:
                times.append(worker.started_at + LATE_START)
        self._next_look = min(times, default=inf)
        return self._next_look

    def look(self) -> None:
        """Do what is due: kill those that hang, or do not end; start those that are to be replaced."""
        now = self._clock()
        was_away = now - self._next_look > _AWAY
        for worker in tuple(self.members.values()):
            if was_away and worker.ready is not None:
                worker.beat_at = now
            self._look_at(worker, now)
        for number in [number for number, at in self._due.items() if now >= at]:
            del self._due[number]
            try:
                self.serving[number] = self.start(number)
            except NotStarted as error:
                log.error("%s", error)
                self._replace(number, 0.0)

    def _look_at(self, worker: Worker, now: float) -> None:
        if now >= worker.kill_at:
            worker.kill("it had not ended in time")
        elif now >= worker.beat_at + self._plan.timeout:
            worker.beat_at = inf
            worker.kill(f"no sign of life for {self._plan.timeout:g} s")
        elif worker.ready is None and now >= worker.started_at + LATE_START and worker.pid not in self._late_told:
            self._late_told.add(worker.pid)
            log.warning("worker %d (%d) is still starting, after %g s", worker.number, worker.pid, LATE_START)

    # Ends.

    def reap(self) -> None:
        """Take leave of all processes that have ended, also of those whom nobody knows: no zombie stays."""
        if not hasattr(os, "waitid"):  # macOS before Python 3.13
            for member in tuple(self.members.values()):
                if member.process.poll() is not None:
                    self._ended(member)
            return
        while True:
            try:
                # To look first leaves the status to who started the process.
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            worker = self.members.get(found.si_pid)
            if worker is None:
                # A worker's own child, which this process got as number 1 of a container; or the dashboard, for
                # which another thread waits, and may be faster.
                with suppress(ChildProcessError):
                    os.waitpid(found.si_pid, 0)
            elif worker.process.poll() is not None:
                self._ended(worker)

    def _ended(self, worker: Worker) -> None:
        if not worker.channel.is_ended:
            self._read(worker)  # its last words
        if worker.channel.socket in self._selector.get_map():
            self._selector.unregister(worker.channel.socket)
        del self.members[worker.pid]
        self._late_told.discard(worker.pid)
        how = worker.end()
        if WorkerEnded.subscribers:
            # One that says why it cannot start ends as it should; the supervisor tells what becomes of that.
            is_wrong = worker.failure is None and (not worker.is_told or bool(worker.process.returncode))
            seconds = self._clock() - worker.started_at
            ended = WorkerEnded(number=worker.number, pid=worker.pid, seconds=seconds, reason=how, is_wrong=is_wrong)
            emit(ended)
        was_serving = self.serving.get(worker.number) is worker
        if was_serving:
            del self.serving[worker.number]
        self._told.has_ended(worker, how, was_serving=was_serving)
