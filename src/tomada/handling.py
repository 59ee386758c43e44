"""The handlers of one connection: their order, how many run at once, their cancellation, and what becomes of their end.

The lower half of a `Link`. No timer and no task per message: a handler that never suspends runs in the turn of the loop
that brought its message; one that does goes on in a task.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from tomada.eager import Suspended
from tomada.endpoint import log
from tomada.errors import ConnectionLost, InvalidMessage, RemoteError
from tomada.items.carrying import Carrying
from tomada.items.pouring import WrongItem, pour
from tomada.messenger import MISSED_TURN, WRONG_REPLY
from tomada.protocol import FailureCode, GoodbyeCode
from tomada.protocol.state import FINAL
from tomada.telemetry import tally as tallies
from tomada.telemetry.spans import Rest, ended

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine

    from tomada.address import Address
    from tomada.connection import Connection
    from tomada.endpoint import Endpoint
    from tomada.messenger import Route
    from tomada.protocol import Engine

Failing: TypeAlias = "tuple[FailureCode, str]"
"""Why a request has no reply."""

CANCELLED: Final = FailureCode.CANCELLED, "the handler was cancelled"
GIVEN_UP: Final = FailureCode.CANCELLED, "the caller cancelled it"
REFUSED: Final = "the application refused the connection"
_ENDED: Final = "its handler has ended"
_NONE: Final[OrderedDict[Any, Any]] = OrderedDict()
BURST_BYTES: Final = 1_024
"""So much queued within a turn of the loop is written, so that the other end works while this one goes on."""


class Handling(Carrying):
    """Runs the handlers of one connection. The face that they are given, and the way out of bytes, are the subclass's.

    Args:
        endpoint: What the connection shares with its siblings.
        engine: The connection's.
    """

    __slots__ = (
        "_busy",
        "_cap",
        "_held",
        "_queued",
        "_running",
        "_starting",
        "_urgent",
        "_waiting",
        "blocked",
        "connection",
        "endpoint",
        "greeter",
        "in_line",
        "is_refused",
        "name",
        "peer",
    )

    connection: Connection
    peer: Address

    def __init__(self, endpoint: Endpoint, engine: Engine) -> None:
        super().__init__()
        self.endpoint = endpoint
        self.loop = endpoint.loop
        self.engine = engine
        self.blocked = False
        """Whether too much waits to be sent."""
        self.greeter: asyncio.Task[None] | None = None
        """Runs the ``on_connect`` functions."""
        self.is_refused = False
        """Whether ``on_connect`` raised."""
        self.in_line = False
        """Whether it waits for a place that all connections share."""
        self.name = ""
        """What the peer is called, once somebody has asked: see `__str__`."""
        self._cap = endpoint.limits.handlers
        """How many handlers may run just now."""
        self._busy = 0
        self._held = False
        self._starting = False
        # Made when first needed: most connections of a large server are idle.
        self._waiting: OrderedDict[int, tuple[Route, Any, int]] | None = None
        """Route, message and origin, by the request's id; one-way messages by a negative number of their own."""
        self._urgent: OrderedDict[int, tuple[Route, Any, int]] = _NONE
        """As `_waiting`, and before it."""
        self._queued = 0
        self._running: dict[int, tuple[asyncio.Task[None], Route | Failing, int]] = {}
        """Task, route and origin, by the request's id; where the handler was cancelled, why, in place of its route."""

    def write(self) -> None:
        """Write what is queued now."""
        raise NotImplementedError

    def leave(self, code: GoodbyeCode, reason: str) -> None:
        """Say goodbye."""
        raise NotImplementedError

    # Before the first message.

    def greet(self) -> None:
        """Run the ``on_connect`` functions; messages wait meanwhile."""
        self._hold(held=True)
        self.greeter = self.endpoint.spawn(self._greet())

    async def _greet(self) -> None:
        try:
            await self.endpoint.connected(self.connection)
        except Exception as error:  # noqa: BLE001 - told to the log
            log.exception("%s: on_connect raised, the connection is refused", self.peer)
            self.endpoint.heed(error)
            self.refuse_all()
            self.leave(GoodbyeCode.REFUSED, REFUSED)
        self._hold(held=False)

    def _hold(self, *, held: bool) -> None:
        self._held = held
        self._admit()

    def block(self, *, blocked: bool) -> None:
        """Start no handler while too much waits to be sent: its answer would wait as well."""
        self.blocked = blocked
        self._admit()

    def _admit(self) -> None:
        self._cap = 0 if self._held or self.blocked else self.endpoint.limits.handlers
        if self._cap:
            self._start_soon()

    def refuse_all(self) -> None:
        """Start no handler any more: what waits for one is refused, and so is what still comes."""
        self.is_refused = True
        lines = self._urgent, self._waiting or _NONE
        self._waiting, self._urgent = None, _NONE
        for line in lines:
            for key, (_, _, origin) in line.items():
                self.engine.refuse(max(key, 0), FailureCode.CANCELLED, "", REFUSED)
                self.engine.release(origin)

    # Start.

    def handle(self, route: Route, message: Any, id_: int, origin: int) -> bool:
        """Start the handler now, or in its turn: when one of those that run has ended, and its reply can be sent.

        Whether it has not ended yet; then `Engine.release` tells its end.
        """
        if self.is_refused:
            self.engine.refuse(id_, FailureCode.CANCELLED, "", REFUSED)
            return False
        if route.parts is not None:
            self.begin_parts(route, id_)
        if (
            self._busy >= self._cap
            or self._waiting
            or self._urgent
            or self.endpoint.places.is_full
            or self.engine.stuffed
        ):
            self._keep(route, message, id_, origin)
            return True
        return self._start(route, message, id_, origin)

    def _keep(self, route: Route, message: Any, id_: int, origin: int) -> None:
        if self._waiting is None:
            self._waiting = OrderedDict()
            self._urgent = OrderedDict()
        self._queued += not id_
        line = self._waiting if origin >= 0 else self._urgent
        line[id_ or -self._queued] = route, message, origin
        self._start_soon()

    def _start_soon(self) -> None:
        """Start what waits, where it may; in a turn of its own, outside any task."""
        must = self._may_start or (self.endpoint.is_cut and bool(self._waiting or self._urgent))
        if must and not self._starting and not self.in_line:
            self._starting = True
            self.loop.call_soon(self._start_waiting)

    def _start_waiting(self) -> None:
        self._starting = False
        if self.endpoint.is_cut:
            self._waiting, self._urgent = None, _NONE
        places = self.endpoint.places
        has_started = False
        with self.endpoint.starter:
            while self._may_start and not places.is_full:
                self._start_first()
                has_started = True
        if has_started:  # else nothing is new, and who writes looks here again: the two would wake each other for ever
            self.wake()
        if self._may_start:
            places.wait(self)

    @property
    def _may_start(self) -> bool:
        """Whether there is one that waits, and this connection's own limits let it start."""
        return bool(self._waiting or self._urgent) and self._busy < self._cap and not self.engine.stuffed

    def _start_first(self) -> None:
        line = self._urgent or self._waiting
        assert line, "whoever calls has looked"  # noqa: S101 - the house's own order
        key, (route, message, origin) = line.popitem(last=False)
        if key > 0 and self.engine.is_late(key, self.loop.time()):
            self.engine.refuse(key, FailureCode.DEADLINE, "", MISSED_TURN)
            self.engine.release(origin)
        elif not self._start(route, message, max(key, 0), origin):
            self.engine.release(origin)

    def start_one(self) -> bool:
        """Take a place that all connections share, where this one can; whether it would take another."""
        if not self._may_start or self.endpoint.is_cut:
            self._start_soon()
            return False
        with self.endpoint.starter:
            self._start_first()
        self.wake()
        return self._may_start

    def _start(self, route: Route, message: Any, id_: int, origin: int) -> bool:
        """Start the handler; whether it goes on in a task."""
        begun = 0.0
        if tallies.is_wanted:
            begun = perf_counter() if tallies.subscribers else route.tally.start()
        try:
            call = self._stream(route, message, id_) if route.has_stream else route.call(message, self.connection)
            outcome = self.endpoint.starter.start(call)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is answered, and told to the log
            self._tell(route, begun, "raised")
            self._raised(route, id_, error)
        except asyncio.CancelledError:
            self._tell(route, begun, "cancelled")
            self._refuse(id_, CANCELLED)
        else:
            if outcome.__class__ is Suspended:
                self._carry_on(route, id_, origin, outcome, begun)
                return True
            if begun:
                ended(begun, route.tally, self.name or str(self))
            if id_:
                self._reply(route, id_, outcome)
        if route.has_stream:
            self.end_parts(id_, _ENDED)
        return False

    def _carry_on(self, route: Route, id_: int, origin: int, suspended: Suspended, begun: float) -> None:
        """Let a handler that waits go on in a task."""
        rest = Rest(suspended, begun, route.tally, self) if tallies.is_wanted else suspended
        task = self.endpoint.starter.carry(suspended, self._finish(route, id_, origin, rest))
        self._busy += 1
        self.endpoint.places.take()
        self.endpoint.tasks.add(task)
        if id_:
            self._running[id_] = task, route, origin

    def _tell(self, route: Route, begun: float, failure: str) -> None:
        route.tally.failed += tallies.is_metered
        ended(begun, route.tally, str(self), failure)

    def _stream(self, route: Route, message: Any, id_: int) -> Coroutine[Any, Any, Any]:
        given = (message, self.connection) if route.parts is None else (message, self.connection, self.parts(id_))
        call = route.call(*given)
        work = call if route.items is None else pour(self, id_, route.items, call)
        return work if route.around is None else route.around().within(work)

    # Cancellation.

    def cancelled(self, id_: int) -> None:
        """Cancel the handler of a request, or do not start it."""
        self._stop(id_, GIVEN_UP)

    def misused(self, id_: int, reason: str) -> None:
        """The peer broke the rules of its request: cancel the handler, and tell why."""
        self._stop(id_, (FailureCode.INVALID, reason))
        self.wake()

    def expire(self, now: float) -> float:
        """Cancel what is later than its caller waits for; when to look again, `inf` where nothing has a deadline.

        What still waits for its turn is not started. To be called at `Engine.answer_by`, or later.
        """
        late = self.engine.late(now)
        for id_, seconds in late:
            self._stop(id_, (FailureCode.DEADLINE, f"no reply within the {seconds:g} s that its caller gave it"))
        if late:
            self.wake()
        return self.engine.answer_by

    def _stop(self, id_: int, why: Failing) -> None:
        running = self._running.get(id_)
        if running is not None:
            task, route, origin = running
            if isinstance(route, tuple):
                return  # it knows, and may be putting things in order: it is not disturbed a second time
            if route.handler.is_async:
                self._cancel(id_, task, why)
            else:
                # Nobody can stop a thread. The caller is answered; the call holds its place until it ends.
                del self._running[id_]
                self.engine.release(origin)
                self._refuse(id_, why)
        else:
            waiting = (self._waiting or _NONE).pop(id_, None) or self._urgent.pop(id_, None)
            if waiting is not None:
                self.end_parts(id_, why[1])
                self._refuse(id_, why)
                self.engine.release(waiting[2])

    def _refuse(self, id_: int, why: Failing) -> None:
        code, text = why
        self.engine.refuse(id_, code, "", text)

    def _cancel(self, id_: int, task: asyncio.Task[None], why: Failing) -> None:
        self._running[id_] = task, why, self._running[id_][2]
        # Not at once: its task may not have begun, and would never tell the handler.
        self.loop.call_soon(task.cancel)

    async def _finish(self, route: Route, id_: int, origin: int, suspended: Awaitable[Any]) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())
        try:
            try:
                value = await suspended
            finally:
                # First of all: it may be stored with the answer that it is handled, and must not be without it.
                self.engine.release(origin)
        except Exception as error:  # noqa: BLE001 - as in _start
            self._raised(route, id_ if self._ended(id_, task) else 0, error)
        except asyncio.CancelledError:
            why = self._ended(id_, task)
            if why or not id_:
                self._refuse(id_, why if isinstance(why, tuple) else CANCELLED)
        else:
            if self._ended(id_, task):
                self._reply(route, id_, value)
        finally:
            self._ended(id_, task)
            if route.has_stream:
                self.end_parts(id_, _ENDED)
            self._busy -= 1
            self.endpoint.places.free()
            self.endpoint.tasks.discard(task)
            self._start_soon()
            self.wake()

    def _ended(self, id_: int, task: asyncio.Task[None]) -> Route | Failing | None:
        """What `_running` has for a request whose handler, in `task`, has ended: None where it is not to be answered.

        A thread that was given up comes late: its request has its answer, and the id may be another one's by now.
        """
        if id_ in self._running and self._running[id_][0] is task:
            return self._running.pop(id_)[1]
        return None

    def _reply(self, route: Route, id_: int, value: Any) -> None:
        if route.items is not None:
            self.engine.end(id_)
            return
        try:
            self.messenger.reply(id_, route, value)
            if len(self.engine.normal.gathered) > BURST_BYTES:
                self.write()
        except InvalidMessage as error:
            self._built_wrongly(route, id_, error)

    def _built_wrongly(self, route: Route, id_: int, error: Exception) -> None:
        log.error("%s: %s built a wrong reply: %s", self.peer, route.handler.where, error)
        if id_:
            self.engine.refuse(id_, FailureCode.INTERNAL, "InternalError", WRONG_REPLY)

    def _raised(self, route: Route, id_: int, error: Exception) -> None:
        if isinstance(error, WrongItem):
            self._built_wrongly(route, id_, error)
            return
        if isinstance(error, ConnectionLost) and self.engine.state in FINAL:
            log.info("%s: %s was left alone: %s", self.peer, route.handler.where, error)
        elif not id_ or not isinstance(error, RemoteError):
            log.error("%s: %s raised", self.peer, route.handler.where, exc_info=error)
        self.endpoint.heed(error)
        if id_:
            try:
                self.messenger.fail(id_, error)
            except Exception as fault:  # noqa: BLE001 - its own __str__ may raise anything
                log.error("%s: %s raised what cannot be told: %r", self.peer, route.handler.where, fault)
                self.engine.refuse(id_, FailureCode.INTERNAL, "InternalError", WRONG_REPLY)
