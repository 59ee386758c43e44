"""The pump under a blocking connection: joins the protocol to a socket, to the clock and to the handlers, in threads.

What `tomada.link` is to the other face: the driver of the messenger.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

from tomada.client.calls import Calls
from tomada.client.keeper import Keeper
from tomada.client.wire import owns
from tomada.endpoint import SOFTWARE, log, peer_limits
from tomada.messenger import REMEMBERED_REFUSALS, Messenger, Repertoire, Route
from tomada.protocol import Engine, FailureCode, GoodbyeCode, Hello, Role, State, Welcome
from tomada.protocol.handshake import SESSION

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomada.client.calls import Answer
    from tomada.declaration import Items
    from tomada.errors import TomadaError
    from tomada.message import Message
    from tomada.recording.tap import Types
    from tomada.settings import Deadlines, Limits
    from tomada.transports.blocking import Connected

T = TypeVar("T")


class Pump(Keeper):
    """What is under one blocking connection.

    Args:
        reach: Connects to the server: once now, and each time that the connection is lost.
        repertoire: This end's types and handlers.
        limits: What the connection may use.
        deadlines: How long things may take.
        sessions: Whether a lost connection is made again.
    """

    __slots__ = (
        "_lines",
        "connection",
        "given_up",
        "inbox",
        "messenger",
        "ping_count",
        "refusals",
    )

    def __init__(
        self,
        reach: Callable[[], Connected],
        repertoire: Repertoire,
        limits: Limits,
        deadlines: Deadlines,
        *,
        sessions: bool,
    ) -> None:
        hello = Hello(
            software=SOFTWARE,
            limits=peer_limits(limits),
            catalogue=tuple(repertoire.catalogue.entries),
            features=(SESSION,) if sessions else (),
        )
        super().__init__(reach, Engine(Role.CONNECTING, hello, time.monotonic()), deadlines)
        self.messenger = Messenger(self.engine, repertoire, self)
        self.connection: Any = None
        self.calls = Calls(self, limits)
        self.inbox: deque[tuple[Message, int]] = deque()
        self.given_up: deque[int] = deque()
        """Requests of this end that nobody waits for, which the engine does not know yet."""
        self.ping_count = 0
        self.refusals: tuple[TomadaError, ...] = ()
        self._lines: tuple[deque[object], ...] = (deque(), deque(), deque(), deque())
        """The threads that wait, in their order: to send, to send urgently, to ask, to ask urgently."""

    # Those who send and ask.

    def enter(
        self, queue: Callable[[], T], *, asks: bool = False, urgent: bool = False, deadline: float | None = None
    ) -> tuple[T] | None:
        """What `queue` returns, called under `state` when there is room for a message, or nothing can be begun at all.

        Threads that wait go on in their order. None where the deadline has passed first; then it was not called.
        """
        line = self._lines[2 * asks + urgent]
        if not line:
            entered = self._try(queue, asks=asks, urgent=urgent)
            if entered is not None:
                return entered
        place = object()
        try:
            line.append(place)
            return self._wait_in_line(line, place, queue, deadline, asks=asks, urgent=urgent)
        finally:
            with self._turn:
                line.remove(place)
                self._turn.notify_all()

    def has_room(self, *, asks: bool = False, urgent: bool = False) -> bool:
        """Whether a message can be queued, or cannot be at all, which its sender is to be told."""
        engine = self.engine
        if not engine.begins:
            return True
        return not (engine.urgent_full if urgent else engine.full) and not (asks and engine.room <= 0)

    def _try(self, queue: Callable[[], T], *, asks: bool, urgent: bool) -> tuple[T] | None:
        try:
            with self.state:
                return (queue(),) if self.has_room(asks=asks, urgent=urgent) else None
        except KeyboardInterrupt:
            self.interrupted()
            raise

    def _wait_in_line(
        self,
        line: deque[object],
        place: object,
        queue: Callable[[], T],
        deadline: float | None,
        *,
        asks: bool,
        urgent: bool,
    ) -> tuple[T] | None:
        with self._turn:
            while line[0] is not place:
                left = None if deadline is None else deadline - time.monotonic()
                if (left is not None and left <= 0) or not self._turn.wait(left):
                    return None

        def may_try() -> bool:
            return self.has_room(asks=asks, urgent=urgent) or self.engine.unsent > 0

        while True:
            self.flush(deadline)  # this alone may make room; else only the server can
            self.until(may_try, deadline)
            entered = self._try(queue, asks=asks, urgent=urgent)
            if entered is not None or (deadline is not None and time.monotonic() >= deadline):
                return entered

    def give_up(self, id_: int) -> None:
        """Nobody waits for the answer to this end's request any more."""
        with self.state:
            self.engine.cancel(id_)
        self.flush(wait=False)

    def give_up_sometime(self, id_: int) -> None:
        """As `give_up`, for who may hold any lock: if it must be, the keeper does it."""
        if not owns(self.state) and self.state.acquire(blocking=False):
            try:
                self.engine.cancel(id_)
            finally:
                self.state.release()
            self.flush(wait=False)
        else:
            self.given_up.append(id_)

    def given_out(self) -> Message | None:
        """The next message for who receives, which is handled now; None where there is none."""
        with self.state:
            if not self.inbox:
                return None
            message, origin = self.inbox[0]
            self.engine.release(origin)  # twice does no harm
            self.engine.report()
            self.inbox.popleft()
            return message

    # Streams.

    def put(self, id_: int, items: Items, part: Any, answer: Answer, deadline: float | None) -> bool:
        """Send a part of this end's request when there is room; False where it is answered, or too late.

        Raises `InvalidMessage` where it is none of `items`, or longer than the peer takes.
        """
        engine = self.engine
        urgent = engine.is_urgent(id_)

        def may_try() -> bool:
            return answer.done() or (
                engine.has_stream_room(id_) and (not engine.is_stuffed(urgent=urgent) or engine.unsent > 0)
            )

        while not answer.done():
            with self.state:
                has_room = engine.has_stream_room(id_) and not engine.is_stuffed(urgent=urgent)
                if has_room:
                    self.messenger.item(id_, items, part)
            self.flush(deadline)
            if has_room:
                return True
            self.until(may_try, deadline)
            if deadline is not None and time.monotonic() >= deadline:
                break
        return False

    def end_parts(self, id_: int) -> None:
        """All parts of this end's request have been sent."""
        with self.state:
            self.engine.end(id_)
        self.flush()

    def fail_asked(self, id_: int, answer: Answer, error: BaseException) -> None:
        """A request of this end cannot go on: it is given up, and who waits is told why."""
        with self._turn:
            self.engine.cancel(id_)
            answer.set_exception(error)
            self._turn.notify_all()
        self.flush(wait=False)

    def consume(self, id_: int, size: int) -> None:
        """An item with a payload of `size` bytes has been taken."""
        with self.state:
            is_told = self.engine.consume(id_, size)
        if is_told:
            self.flush(wait=False)

    @property
    def types(self) -> Types:
        """What the numbers of types mean, at either end."""
        return self.messenger

    # The messenger calls these, under `state`.

    def tidy(self) -> None:
        """Do what could not be done at once."""
        while self.given_up:
            self.engine.cancel(self.given_up.popleft())

    def take_in(self, data: bytes) -> None:
        """Act on what has come, or on the end, which is no bytes."""
        if data:
            if self.tap is not None:
                self.tap.received(data)
            now = self.lifetime.heard_at = time.monotonic()
            self.lifetime.received_bytes += len(data)
            self.messenger.receive(data, now)
            self.engine.report()
        else:
            self.engine.receive_end()
        self._part_when_idle()

    def opened_by(self, peer: Hello | Welcome) -> None:
        """The handshake is complete."""
        self.lifetime.tell_open()
        self.opened.set_result(peer)

    def resuming(self, hello: Hello) -> None:
        """Nobody goes on with a session here: this is the connecting end."""

    def handle(self, route: Route, message: Any, id_: int, origin: int) -> bool:
        """Run the handler in a thread."""
        return self.calls.begin(route, message, id_, origin)

    def deliver(self, message: Message, origin: int) -> bool:
        """Keep a message for who receives."""
        self.inbox.append((message, origin))
        return True

    def due(self, at: float) -> None:
        """A thread cannot be cancelled; `Calls` looks whether a request is late when its turn comes."""

    def cancelled(self, id_: int) -> None:
        """A thread cannot be cancelled: its answer comes, and is passed over at the other end."""

    def part(self, id_: int, type_: int, payload: bytes) -> None:  # noqa: ARG002 - as `Driver` has it
        """No handler takes parts here."""
        self.engine.refuse(id_, FailureCode.INVALID, "", "parts came for a request that none follow")

    def parts_ended(self, id_: int) -> None:
        """As little."""
        self.part(id_, 0, b"")

    def credited(self, id_: int) -> None:
        """Nothing waits for it."""

    def ponged(self, payload: bytes) -> None:
        """Tell who pinged."""
        ping = self.pings.pop(payload, None)
        if ping is not None:
            ping.set_result(None)

    def refused(self, error: TomadaError) -> None:
        """A one-way message met nobody; its sender has gone on, so the log is told."""
        self.refusals = (*self.refusals[1 - REMEMBERED_REFUSALS :], error)
        log.warning("%s: a one-way message was refused: %s", self.connection.peer, error)

    def left(self) -> None:
        """The peer has said goodbye; it is answered when nothing is under way."""

    def _part_when_idle(self) -> None:
        """Answer the server's goodbye when nothing is under way any more."""
        # What has arrived and was not received is not waited for, nor acknowledged: `receive` still gives it out.
        if self.engine.state is State.LEFT and self.engine.idle and self.engine.held <= len(self.inbox):
            self.engine.report(at_once=True)
            self.engine.leave(GoodbyeCode.CLOSED, "")

    # The handlers' threads call these.

    def until_answerable(self) -> None:
        """Wait while as much is held for the server as may be: an answer would be too much."""
        if self.engine.stuffed:
            self.until(lambda: not self.engine.stuffed or self.is_over)

    def answer(self, queue: Callable[[], None]) -> None:
        """Queue the answer of a handler, and send it."""
        with self.state:
            queue()
            self.engine.report()
            self._part_when_idle()
        self.flush()
        self.settle()
