"""What a blocking connection calls and is called with: answers that threads wait for, and handlers in threads."""

from __future__ import annotations

from contextlib import nullcontext
from threading import Event, Lock
from time import monotonic
from typing import TYPE_CHECKING, Any

from tomada.endpoint import log
from tomada.errors import InvalidMessage, RemoteError, TimedOut
from tomada.messenger import MISSED_TURN, WRONG_REPLY
from tomada.protocol import FailureCode
from tomada.telemetry import tally as tallies
from tomada.telemetry.spans import measured
from tomada.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomada.client.pump import Pump
    from tomada.messenger import Route
    from tomada.settings import Limits


class Answer:
    """Where the answer to one call goes."""

    __slots__ = ("error", "is_done", "value")

    def __init__(self) -> None:
        self.is_done = False
        self.value: Any = None
        self.error: BaseException | None = None

    def done(self) -> bool:
        """Whether it is there."""
        return self.is_done

    def set_result(self, value: Any, /) -> None:
        """Deliver a reply."""
        self.value = value
        self.is_done = True

    def set_exception(self, error: BaseException, /) -> None:
        """Deliver a failure."""
        self.error = error
        self.is_done = True

    @property
    def is_late(self) -> bool:
        """Whether the peer has said that the deadline of the request has passed."""
        return isinstance(self.error, TimedOut)

    def result(self) -> Any:
        """The reply; raises the failure."""
        if self.error is not None:
            raise self.error
        return self.value


class Calls:
    """Runs the handlers of one blocking connection, in threads.

    Args:
        pump: Sends their answers.
        limits: `Limits.threads` run at once.
    """

    __slots__ = ("_greeted", "_limits", "_lock", "_pump", "_threads", "running")

    def __init__(self, pump: Pump, limits: Limits) -> None:
        self._pump = pump
        self._limits = limits
        self._greeted = Event()
        self._lock = Lock()
        self.running = 0
        """How many handlers have begun, and not ended."""
        self._threads: Threads | None = None

    def greeted(self) -> None:
        """The ``on_connect`` functions have run: now messages are handled."""
        self._greeted.set()

    def begin(self, route: Route, message: Any, id_: int, origin: int) -> bool:
        """Run the handler; `id_` is 0 for a one-way message. Called with the lock of the pump's state."""
        if self._pump.is_over:
            return False
        self._started().submit(self._run, route, message, id_, origin)
        return True

    def _started(self) -> Threads:
        with self._lock:
            if self._threads is None:
                self._threads = Threads(self._limits.threads)
            return self._threads

    def run(self, function: Callable[[], None]) -> None:
        """Run one of the application's own functions, beside the handlers."""
        if not self._pump.is_over:
            self._started().submit(self._run_beside, function)

    def close(self) -> None:
        """Let the threads end when they have handled what has come."""
        self._greeted.set()
        if self._threads is not None:
            self._threads.shutdown()

    def _run_beside(self, function: Callable[[], None]) -> None:
        self._greeted.wait()
        function()

    def _run(self, route: Route, message: Any, id_: int, origin: int) -> None:
        self._greeted.wait()
        self._pump.until_answerable()
        try:
            self._run_now(route, message, id_)
        finally:
            self._pump.answer(lambda: self._pump.engine.release(origin))

    def _run_now(self, route: Route, message: Any, id_: int) -> None:
        if id_ and self._pump.engine.is_late(id_, monotonic()):
            self._pump.answer(lambda: self._pump.engine.refuse(id_, FailureCode.DEADLINE, "", MISSED_TURN))
            return
        try:
            with route.around() if route.around is not None else nullcontext():
                value = self._call(route, message)
        except BaseException as error:  # noqa: BLE001 - whatever a handler raises is answered, and told to the log
            self._raised(route, id_, error)
        else:
            if id_:
                self._pump.answer(lambda: self._reply(route, id_, value))

    def _call(self, route: Route, message: Any) -> Any:
        with self._lock:
            self.running += 1
        try:
            if not tallies.is_wanted:
                return route.call(message, self._pump.connection)
            with measured(route.name, self._pump.connection.peer):
                return route.call(message, self._pump.connection)
        finally:
            with self._lock:
                self.running -= 1

    def _raised(self, route: Route, id_: int, error: BaseException) -> None:
        peer = self._pump.connection.peer
        if not id_ or not isinstance(error, RemoteError):
            log.error("%s: %s raised", peer, route.handler.where, exc_info=error)
        if id_:
            self._pump.answer(lambda: self._fail(route, id_, error))

    # Under the lock of the pump's state.

    def _reply(self, route: Route, id_: int, value: Any) -> None:
        try:
            self._pump.messenger.reply(id_, route, value)
        except InvalidMessage as error:
            log.error("%s: %s built a wrong reply: %s", self._pump.connection.peer, route.handler.where, error)
            self._pump.engine.refuse(id_, FailureCode.INTERNAL, "InternalError", WRONG_REPLY)

    def _fail(self, route: Route, id_: int, error: BaseException) -> None:
        try:
            self._pump.messenger.fail(id_, error)
        except Exception as fault:  # noqa: BLE001 - its own __str__ may raise anything
            peer = self._pump.connection.peer
            log.error("%s: %s raised what cannot be told: %r", peer, route.handler.where, fault)
            self._pump.engine.refuse(id_, FailureCode.INTERNAL, "InternalError", WRONG_REPLY)
