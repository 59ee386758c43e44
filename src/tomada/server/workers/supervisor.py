"""Starts the workers of one application, replaces those that die, reloads and stops them.

One thread, no event loop, and never the application itself: so there is little that could break, and a worker is always
a fresh process. What there is to wait for, the workers' channels, signals and ``tomada reload``, is one selector.
"""

from __future__ import annotations

import selectors
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from tomada.endpoint import log
from tomada.errors import ListenFailed, TomadaError
from tomada.server.terminal import has_terminal
from tomada.server.workers.crew import Crew, NotStarted
from tomada.server.workers.generation import Generation
from tomada.server.workers.holder import Holder
from tomada.server.workers.messages import Sockets
from tomada.server.workers.signals import Signals
from tomada.telemetry import Reloaded, emit

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from tomada.server.activation import Activation
    from tomada.server.notifier import Notifier
    from tomada.server.workers.crew import Plan
    from tomada.server.workers.worker import Worker

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_NOT_STARTED: Final = 3
_LONGEST_WAIT: Final = 60.0
_SUPERSEDED: Final = "another reload was asked for before this one was over"


class StartFailed(TomadaError):
    """The application could not be started. What its author needs to see, the worker has written to standard error.

    Attributes:
        code: The exit code that says so.
    """

    def __init__(self, text: str, code: int = _NOT_STARTED) -> None:
        super().__init__(text)
        self.code = code


class Relief(NamedTuple):
    """Of one worker by another one."""

    before: Worker
    caller: Callable[[str], None]


class Face(Protocol):
    """Who shows people, or programs, what the supervisor does."""

    def listening(self, supervisor: Supervisor) -> None:
        """All workers accept, for the first time."""

    def reloaded(self, supervisor: Supervisor, seconds: float, failure: str) -> None:
        """The application was loaded anew, or could not be: then `failure` says why."""

    def failed(self, failure: str) -> None:
        """The application could not be started; it will be tried again when a reload is asked for."""


class Supervisor:
    """Runs a plan until a signal ends it.

    Args:
        plan: What to run.
        face: Who shows it.
        activation: Sockets that were given to this process.
        notifier: Tells the service manager.
    """

    def __init__(self, plan: Plan, face: Face, activation: Activation, notifier: Notifier) -> None:
        self.plan = plan
        self.addresses: tuple[str, ...] = ()
        """Where the workers accept."""
        self.app = ""
        """What the application calls itself."""
        self.about = b""
        """What the workers say of the application."""
        self._face = face
        self._notifier = notifier
        self._holder = Holder(activation, plan.workers, is_spread=plan.is_spread)
        self._selector = selectors.DefaultSelector()
        self._crew = Crew(plan, self._selector, self)
        self._coming: Generation | None = None
        self._arrived: Generation | None = None
        """One that serves, whose forerunners may still accept."""
        self._reliefs: dict[Worker, Relief] = {}
        """Workers that are being started in the place of one that serves."""
        self._has_served = False
        self._had_terminal = has_terminal()
        self._stops = 0
        self._failure: StartFailed | None = None

    @property
    def pids(self) -> list[int]:
        """The processes that serve."""
        return [worker.pid for _, worker in sorted(self._crew.serving.items())]

    def workers(self) -> list[tuple[int, int, float]]:
        """Number, process and seconds of service of those that serve."""
        now = time.monotonic()
        return [(number, one.pid, one.served(now)) for number, one in sorted(self._crew.serving.items())]

    # The loop.

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT has been obeyed.

        Raises:
            StartFailed: The application could not be started.
        """
        with self._selector, Signals(_SIGNALS) as signals:
            self.watch(signals.socket, lambda: self._take_signals(signals))
            try:
                self.reload()
                while not self._is_over:
                    self._turn()
            finally:
                self._end_at_once()
        if self._failure is not None:
            raise self._failure

    def watch(self, readable: socket.socket, call: Callable[[], None]) -> None:
        """Call `call` whenever there is something to read."""
        self._selector.register(readable, selectors.EVENT_READ, call)

    def forget(self, readable: socket.socket) -> None:
        """Watch it no more."""
        with suppress(KeyError):
            self._selector.unregister(readable)

    def _turn(self) -> None:
        wait = self._crew.due() - time.monotonic()
        for key, _ in self._selector.select(min(max(wait, 0), _LONGEST_WAIT)):
            key.data()
        self._crew.reap()
        self._crew.look()

    @property
    def _is_over(self) -> bool:
        return bool(self._stops) and not self._crew.members

    def _end_at_once(self) -> None:
        """Leave no process behind, whatever has happened."""
        self._holder.close()
        for worker in self._crew.members.values():
            worker.kill("the supervisor ends")
        for worker in self._crew.members.values():
            worker.process.wait()
            worker.end()

    # Signals.

    def _take_signals(self, signals: Signals) -> None:
        for number in signals.take():
            if number in (signal.SIGTERM, signal.SIGINT):
                self.stop()
            elif number == signal.SIGHUP:
                if self._had_terminal and not has_terminal():
                    self.stop()  # the terminal is gone, and nobody is left who could end this
                else:
                    self.reload()

    def stop(self) -> None:
        """Let the workers serve what is under way and end; the second time: end them now; the third: kill them."""
        self._stops += 1
        if self._stops == 1:
            if self._arrived is not None:
                self._tell_reloaded(self._arrived)
            self._notifier.stopping()
            self._give_up_coming("stopped")
            self._give_up_reliefs("the server stops")
            self._crew.replace_none()
            self._holder.close()
            for worker in tuple(self._crew.serving.values()):
                self._crew.stop(worker, "stopped", handover=False)
        elif self._stops == 2:  # noqa: PLR2004 - the second
            for worker in self._crew.members.values():
                worker.cut(time.monotonic())
        else:
            for worker in self._crew.members.values():
                worker.kill("stopped at once")

    # Start and reload.

    def reload(self, caller: Callable[[str], None] | None = None) -> None:
        """Start new workers, and let the present ones end when the new ones are ready.

        Args:
            caller: Called with the outcome: nothing, or why it failed.
        """
        if self._stops:
            if caller is not None:
                caller("the server stops")
            return
        if self._arrived is not None:
            self._tell_reloaded(self._arrived)
        if self._has_served:
            self._notifier.reloading()
        self._give_up_coming(_SUPERSEDED)
        self._give_up_reliefs("the application is loaded anew, in all workers")
        self._coming = Generation(self.plan.workers, self._crew.start, time.monotonic())
        if caller is not None:
            self._coming.callers.append(caller)
        self._start_more(self._coming)

    def drain(self, number: int, caller: Callable[[str], None]) -> None:
        """Start another worker in the place of one, and let that end when the new one is ready.

        Args:
            number: Of the place.
            caller: Called with the outcome: nothing, or why it failed.
        """
        before = self._crew.serving.get(number)
        if self._stops or self._coming is not None:
            caller("the server stops" if self._stops else "the application is being loaded anew, in all workers")
        elif before is None or before.is_told or any(one.before is before for one in self._reliefs.values()):
            caller(f"there is no worker {number} that serves" if before is None else f"worker {number} ends already")
        else:
            try:
                self._reliefs[self._crew.start(number)] = Relief(before, caller)
            except NotStarted as error:
                caller(str(error))

    def _relieve(self, worker: Worker) -> None:
        relief = self._reliefs.pop(worker)
        self._crew.serving[worker.number] = worker
        self._crew.stop(relief.before, "drained", handover=True)
        relief.caller("")

    def _give_up_reliefs(self, why: str) -> None:
        while self._reliefs:
            worker, relief = self._reliefs.popitem()
            self._crew.stop(worker, why, handover=True)
            relief.caller(why)

    def _start_more(self, coming: Generation) -> None:
        try:
            coming.go_on()
        except NotStarted as error:
            self._fail(str(error), _NOT_STARTED)

    def _give_up_coming(self, why: str) -> None:
        coming, self._coming = self._coming, None
        if coming is None:
            return
        for worker in coming.workers.values():
            self._crew.stop(worker, why, handover=True)
        coming.tell(why)

    def _complete(self, coming: Generation) -> None:
        """All are ready: they serve, and those before them leave."""
        self._coming = None
        crew = self._crew
        crew.replace_none()
        before, crew.serving = crew.serving, coming.workers
        self._describe()
        for worker in before.values():
            crew.stop(worker, "replaced by a reload", handover=True)
        self._holder.keep_only(coming.workers[1].places)
        if self._has_served:
            self._arrived = coming
            coming.before = {worker for worker in before.values() if worker.ready is not None}
            self._leave_behind(None)
            return
        self._has_served = True
        self._tell_ready()
        self._face.listening(self)

    def _leave_behind(self, deaf: Worker | None) -> None:
        """The reload is over when none of those before it accepts any more: who calls now gets the new version."""
        arrived = self._arrived
        if arrived is None:
            return
        if deaf is not None:
            arrived.before.discard(deaf)
        if not arrived.before:
            self._tell_reloaded(arrived)

    def _tell_reloaded(self, arrived: Generation) -> None:
        self._arrived = None
        self._tell_ready()
        seconds = time.monotonic() - arrived.began
        if Reloaded.subscribers:
            emit(Reloaded(seconds=seconds))
        self._face.reloaded(self, seconds, "")
        arrived.tell("")

    def _describe(self) -> None:
        ready = self._crew.serving[1].ready
        assert ready is not None, "it is among those that are ready"  # noqa: S101 - the house's own order
        self.app, self.addresses, self.about = ready.app, ready.addresses, ready.about

    def _tell_ready(self) -> None:
        self._notifier.ready(f"{self.plan.workers} workers serve {self.app} at {', '.join(self.addresses)}")

    def _fail(self, failure: str, code: int) -> None:
        """The generation that was to come does not: what serves goes on."""
        coming = self._coming
        self._give_up_coming(failure)
        if not self._has_served:
            if self.plan.persists:
                self._face.failed(failure)
            else:
                self._failure = StartFailed(failure, code)
                self.stop()
            return
        self._crew.replace_missing(self.plan.workers)
        self._tell_ready()
        seconds = time.monotonic() - (coming.began if coming is not None else 0)
        if Reloaded.subscribers:
            emit(Reloaded(seconds=seconds, reason=f"{failure}; the old version goes on"))
        self._face.reloaded(self, seconds, failure)

    # The crew tells.

    def wanted(self, worker: Worker) -> None:
        """Give a worker the sockets it asks for."""
        try:
            self._holder.claim(worker.places)
            for sockets, addresses in self._holder.sockets(worker.places, worker.number):
                worker.tell(Sockets(addresses), sockets)
        except ListenFailed as error:
            if self._coming is not None and worker in self._coming:
                self._fail(str(error), _NOT_STARTED)
            else:
                worker.kill(str(error))

    def is_ready(self, worker: Worker) -> None:
        """Go on with the start or the reload that it belongs to."""
        coming = self._coming
        if worker in self._reliefs:
            self._relieve(worker)
        if coming is None or worker not in coming:
            return
        self._start_more(coming)
        if coming is self._coming and coming.is_ready:
            self._complete(coming)

    def is_deaf(self, worker: Worker) -> None:
        """A reload is over, if that was the last of those before it."""
        self._leave_behind(worker)

    def has_ended(self, worker: Worker, how: str, *, was_serving: bool) -> None:
        """Replace it, if it was to serve."""
        self._leave_behind(worker)
        relief = self._reliefs.pop(worker, None)
        if relief is not None:
            relief.caller(f"the worker that was to come in its place did not start: {how}")
            was_serving = worker.number not in self._crew.serving  # the one before it has ended meanwhile
        if self._stops or worker.is_told or any(one.before is worker for one in self._reliefs.values()):
            return
        coming = self._coming
        if coming is not None and worker in coming:
            code = _NOT_STARTED if worker.failure is None else worker.failure.code
            if worker.failure is None:
                how = f"worker {worker.number} did not start: {how}"
            self._fail(how, code)
        elif was_serving:
            if worker.failure is not None:
                log.error("worker %d: %s", worker.number, how)
            if coming is None:  # else the reload brings another one, or its failure does
                self._crew.replace(worker)

    def is_alive(self, now: float) -> None:
        """Tell the service manager."""
        self._notifier.alive(now)
