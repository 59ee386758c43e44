"""The pump under a blocking connection: moves bytes between socket and messenger in the threads that wait.

There is no loop, and no hand-over between threads on the way of a message: whoever waits for an answer reads the socket
until its own answer is there, and delivers those of the others on the way. A keeper thread reads while nobody waits, so
that the server's pings, messages and requests are taken at any time.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from contextlib import suppress
from threading import Condition, Event, Lock, Thread, current_thread
from typing import TYPE_CHECKING, Any, Final

from tomada.client.calls import Answer, Calls
from tomada.client.lifetime import Lifetime
from tomada.endpoint import SOFTWARE, log, peer_limits
from tomada.errors import ConnectFailed, ConnectionLost, HandshakeFailed, TomadaError
from tomada.messenger import REMEMBERED_REFUSALS, Messenger, Repertoire, Route
from tomada.protocol import Engine, FailureCode, GoodbyeCode, Hello, Role, State, Welcome
from tomada.protocol.state import FINAL
from tomada.telemetry import late
from tomada.transports import blocking, readiness

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomada.message import Message
    from tomada.settings import Deadlines, Limits

_READ_BYTES: Final = 65_536
_QUIET_SECONDS: Final = 0.05
_WATCH_SECONDS: Final = 0.25
_LOOKS: Final = 16
"""So often between two heartbeats, at least, the keeper looks whether something is late."""


class Pump:
    """What is under one blocking connection.

    Three locks, taken in this order: `_sending`, by who writes to the socket; `_reading`, by who reads from it;
    `state`, by who touches the messenger, for moments only and never over a wait.

    Args:
        connected: The socket, which is the pump's from here on.
        repertoire: This end's types and handlers.
        limits: What the connection may use.
        deadlines: How long things may take.
    """

    __slots__ = (
        "_active",
        "_connected",
        "_deadlines",
        "_followers",
        "_keeper",
        "_limits",
        "_over",
        "_reading",
        "_rest",
        "_sending",
        "_turn",
        "at_end",
        "calls",
        "connection",
        "engine",
        "inbox",
        "lifetime",
        "messenger",
        "opened",
        "ping_count",
        "pings",
        "refusals",
        "state",
    )

    def __init__(
        self, connected: blocking.Connected, repertoire: Repertoire, limits: Limits, deadlines: Deadlines
    ) -> None:
        hello = Hello(software=SOFTWARE, limits=peer_limits(limits), catalogue=tuple(repertoire.catalogue.entries))
        self.engine = Engine(Role.CONNECTING, hello, time.monotonic())
        self.messenger = Messenger(self.engine, repertoire, self)
        self.connection: Any = None
        self.inbox: deque[tuple[Message, int]] = deque()
        self.opened = Answer()
        self.ping_count = 0
        self.pings: dict[bytes, Answer] = {}
        self.refusals: tuple[TomadaError, ...] = ()
        self.state = Lock()
        self.at_end: Callable[[], None] = lambda: None
        """Called once, in the keeper thread, when the connection has ended."""
        self.calls = Calls(self, limits)
        self.lifetime = Lifetime(self.engine, connected, deadlines)
        self._connected = connected
        self._limits = limits
        self._deadlines = deadlines
        self._turn = Condition(self.state)
        self._followers = 0
        self._sending = Lock()
        self._rest = memoryview(b"")
        """What has been taken from the engine and not been sent; of the holder of `_sending`."""
        self._reading = Lock()
        self._active = 0.0
        self._over = Event()
        self._keeper: Thread | None = None

    def start(self) -> None:
        """Complete the handshake, then begin to keep the connection. Raises `ConnectFailed`, `HandshakeFailed`."""
        deadline = time.monotonic() + self._deadlines.handshake
        try:
            self.flush(deadline)
            if not self.until(self.opened.done, deadline):
                late("handshake", self._deadlines.handshake, self.lifetime.peer)
                reason = f"no handshake within {self._deadlines.handshake:g} s"
                self.opened.set_exception(HandshakeFailed(reason))
                self._end(reason)
            self.opened.result()
        except BaseException:
            self._end("the program gave up connecting")
            self._connected.close()
            raise
        self._keeper = Thread(target=self._keep, name="tomada keeper", daemon=True)
        self._keeper.start()

    # Reading.

    def until(self, done: Callable[[], bool], deadline: float | None = None) -> bool:
        """Wait until `done`, reading whenever no other thread does; False when the deadline has passed first."""
        self._active = time.monotonic()
        while not done():
            if self._reading.acquire(blocking=False):
                in_time = self._lead(done, deadline)
            else:
                in_time = self._follow(done, deadline)
            if not in_time:
                return done()
        return True

    def _lead(self, done: Callable[[], bool], deadline: float | None) -> bool:
        try:
            while not done():
                if deadline is None:
                    self._read(self._connected.recv)
                elif (left := deadline - time.monotonic()) > 0 and readiness.wait(self._connected, left):
                    self._read(self._receive_some)
                else:
                    return False
        finally:
            self._stop_reading()
        return True

    def _follow(self, done: Callable[[], bool], deadline: float | None) -> bool:
        """Wait for the leader to deliver, or to give up the lead."""
        with self._turn:
            self._followers += 1
            try:
                # The leader tells its end under this lock: where it still leads, the word is still to come.
                if done() or not self._reading.locked():
                    return True
                left = None if deadline is None else deadline - time.monotonic()
                return (left is None or left > 0) and self._turn.wait(left)
            finally:
                self._followers -= 1

    def _stop_reading(self) -> None:
        self._reading.release()
        if self._followers:
            with self._turn:
                self._turn.notify_all()

    def _read(self, receive: Callable[[int], bytes | None]) -> None:
        """Take what has come, and act on it. By the holder of `_reading` only."""
        try:
            data = receive(_READ_BYTES)
        except (OSError, HandshakeFailed) as error:
            self._end(f"the connection was lost: {error}", refused=isinstance(error, HandshakeFailed), is_wrong=True)
            return
        if data is None:
            return
        try:
            with self.state:
                if data:
                    now = self.lifetime.heard_at = time.monotonic()
                    self.lifetime.received_bytes += len(data)
                    self.messenger.receive(data, now)
                    self.engine.report()
                else:
                    self.engine.receive_end()
                self._part_when_idle()
                if self._followers:
                    self._turn.notify_all()
        except Exception:  # noqa: BLE001 - told to the log
            log.exception("%s: this end failed", self.connection.peer)
            self._end("this end failed; its log says more", is_wrong=True)
        except BaseException:
            self.interrupted()
            raise
        if self.engine.unsent:
            self.flush(wait=False)
        self.end_if_final()

    def _receive_some(self, most: int) -> bytes | None:
        return blocking.receive_some(self._connected, most)

    # Writing.

    def flush(self, deadline: float | None = None, *, wait: bool = True) -> None:
        """Write what is queued; what has not gone at the deadline goes later.

        Without `wait` it writes what the kernel takes at once, and nothing where another thread writes: that one writes
        this too.
        """
        while (self.engine.unsent or self._rest) and self._acquire_sending(deadline, wait=wait):
            try:
                if not self._send(deadline, wait=wait):
                    return
            except OSError as error:
                self._end(f"the connection was lost: {error}", is_wrong=True)
                return
            except BaseException:
                self.interrupted()
                raise
            finally:
                self._sending.release()

    def _acquire_sending(self, deadline: float | None, *, wait: bool) -> bool:
        if not wait:
            return self._sending.acquire(blocking=False)
        return self._sending.acquire(timeout=-1 if deadline is None else max(0.0, deadline - time.monotonic()))

    def _send(self, deadline: float | None, *, wait: bool) -> bool:
        if not self._rest:
            with self.state:
                self._rest = memoryview(self.engine.take())
            self.lifetime.taken_bytes += len(self._rest)
        while self._rest:
            sent = blocking.send_some(self._connected, self._rest)
            self._rest = self._rest[sent:]
            self.lifetime.sent_bytes += sent
            if not sent and not (wait and self._wait_to_send(deadline)):
                return False
        return True

    def _wait_to_send(self, deadline: float | None) -> bool:
        """Wait until the kernel takes more; read meanwhile, for the server may be waiting for just that."""
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            return False
        if self._reading.acquire(blocking=False):
            try:
                if readiness.wait(self._connected, left, to_send=True):
                    self._read(self._receive_some)
            finally:
                self._stop_reading()
        else:
            # Not for long: the other thread may stop reading when it has its answer.
            left = _QUIET_SECONDS if left is None else min(left, _QUIET_SECONDS)
            readiness.wait(self._connected, left, to_receive=False, to_send=True)
        return not self.is_over

    # The keeper, and the end.

    def _keep(self) -> None:
        """Watch over the connection, and clear up after its end."""
        try:
            self._watch()
        finally:
            self._end("this end failed", is_wrong=True)  # without effect where the connection is over, as it should be
            # `_end` has woken all who used the socket; its number must not become another's while one still does.
            with self._sending, self._reading:
                self._connected.close()
            self.at_end()

    def _watch(self) -> None:
        """Read while nobody waits. Not while calls come thick and fast: then it would only wake up for nothing."""
        patience = min(_WATCH_SECONDS, self._deadlines.heartbeat / _LOOKS)
        while not self._over.wait(_QUIET_SECONDS):
            with self.state:
                reason = self.lifetime.look(time.monotonic())
            if reason:
                self._end(reason, is_wrong=True)
                return
            if self.engine.unsent or self._rest:
                self.flush(wait=False)
            self.end_if_final()
            if time.monotonic() - self._active < _QUIET_SECONDS or self._reading.locked():
                continue
            if readiness.wait(self._connected, patience) and self._reading.acquire(blocking=False):
                try:
                    self._read(self._receive_some)
                finally:
                    self._stop_reading()

    def interrupted(self) -> None:
        """Ctrl-C came in the middle of something: nobody knows what has been done, so nothing more can be said."""
        self._end("interrupted", is_wrong=True)

    def end_if_final(self) -> None:
        """Take the consequences where the protocol has come to its end."""
        if self.engine.state in FINAL:
            self._end(self.engine.reason)

    def _part_when_idle(self) -> None:
        """Answer the server's goodbye when nothing is under way any more."""
        if self.engine.state is State.LEFT and self.engine.idle and not self.engine.held:
            self.engine.leave(GoodbyeCode.CLOSED, "")

    def _end(self, reason: str, *, refused: bool = False, is_wrong: bool = False) -> None:
        """The connection is over: all that waits for it fails."""
        with self._turn:
            if self.is_over:
                return
            self._over.set()
            is_parting = self.engine.parted and self.engine.state not in FINAL
            tags = self.engine.drop(self.engine.reason if is_parting else reason)
            for answer in (*[answer for _, (_, answer) in tags], *self.pings.values()):
                answer.set_exception(ConnectionLost(self.engine.reason))
            if not self.opened.done():
                # A server that is being stopped may still take a connection, and drop it without a word.
                kind = HandshakeFailed if self.engine.heard or refused else ConnectFailed
                self.opened.set_exception(kind(self.engine.reason))
            self._turn.notify_all()
        self.lifetime.tell_end(is_wrong=is_wrong and not is_parting)
        # Closing would not wake the threads that wait on the socket.
        with suppress(OSError):
            self._connected.shutdown(socket.SHUT_RDWR)
        self.calls.close()

    def close(self) -> None:
        """Say goodbye, wait for the end of what is under way, up to the drain deadline; then cut the connection."""
        with self.state:
            for _, answer in self.engine.cancel_all():
                answer.set_exception(ConnectionLost("the connection was closed at this end"))
            self.engine.leave(GoodbyeCode.CLOSED, "")
            self._turn.notify_all()
        deadline = time.monotonic() + self._deadlines.drain
        self.flush(deadline)
        self.end_if_final()
        if not self.until(self._over.is_set, deadline):
            late("drain", self._deadlines.drain, self.lifetime.peer)
            self._end(f"not closed within {self._deadlines.drain:g} s", is_wrong=True)
        if self._keeper is not None and self._keeper is not current_thread():
            self._keeper.join()

    @property
    def is_over(self) -> bool:
        """Whether the connection has ended."""
        return self._over.is_set()

    # The messenger calls these, under `state`.

    def opened_by(self, peer: Hello | Welcome) -> None:
        """The handshake is complete."""
        self.lifetime.tell_open()
        self.opened.set_result(peer)

    def resuming(self, hello: Hello) -> None:
        """Nobody goes on with a session here: this is the connecting end."""

    def resumed(self) -> None:
        """This end asks for no session."""

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
        for _, origin in self.inbox:
            self.engine.release(origin)  # they have arrived: `receive` still gives them out

    # The handlers' threads call this.

    def answer(self, queue: Callable[[], None]) -> None:
        """Queue the answer of a handler, and send it."""
        with self.state:
            queue()
            self.engine.report()
            self._part_when_idle()
        self.flush()
        self.end_if_final()
