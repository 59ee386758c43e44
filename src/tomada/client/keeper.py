"""Who keeps a blocking connection: a thread that watches over it, connects again when it is lost, and clears up.

The part of a `Pump` above its wire.
"""

from __future__ import annotations

import socket
import time
from concurrent.futures import Future, wait
from contextlib import suppress
from threading import Event, Thread, current_thread, main_thread
from typing import TYPE_CHECKING, Any, Final

from tomada.client.calls import Answer, Calls
from tomada.client.pauses import Pauses, until_forgotten
from tomada.client.wire import QUIET_SECONDS, Wire
from tomada.endpoint import log
from tomada.errors import (
    ConnectFailed,
    ConnectionLost,
    HandshakeFailed,
    OutcomeUnknown,
    ProtocolError,
    SessionLost,
    TransportError,
)
from tomada.protocol import GoodbyeCode, State
from tomada.protocol.state import FINAL
from tomada.recording import tap as taps
from tomada.telemetry import ConnectionInterrupted, SessionEnded, SessionResumed, emit, late
from tomada.telemetry.tracer import Tracer
from tomada.transports import readiness

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomada.protocol import Engine
    from tomada.settings import Deadlines
    from tomada.transports.blocking import Connected

_WATCH_SECONDS: Final = 0.25
_LOOKS: Final = 16
"""So often between two heartbeats, at least, the keeper looks whether something is late."""


class Keeper(Wire):
    """Keeps a session when its connection is lost, and ends it in the end.

    Args:
        reach: Connects to the server; it may take its time.
        engine: The connection's.
        deadlines: How long things may take.
    """

    __slots__ = (
        "_deadlines",
        "_is_back",
        "_keeper",
        "_lost_at",
        "_over",
        "_pauses",
        "_reach",
        "_stir",
        "_verdict",
        "at_end",
        "at_return",
        "calls",
        "opened",
        "pings",
    )

    calls: Calls

    def __init__(self, reach: Callable[[], Connected], engine: Engine, deadlines: Deadlines) -> None:
        super().__init__(reach(), engine, deadlines)
        self.opened = Answer()
        self.pings: dict[bytes, Answer] = {}
        self.at_end: Callable[[], None] = lambda: None
        """Called once, in the keeper thread, when all has ended."""
        self.at_return: Callable[[], None] | None = None
        """Called in a handler's thread, each time that the session goes on over a new connection."""
        self._reach = reach
        self._deadlines = deadlines
        self._over = Event()
        self._stir = Event()
        """Set when all is over, or is to be: the keeper waits for nothing else."""
        self._verdict: tuple[str, bool, bool] | None = None
        """How the keeper is to end it, as of `_end`."""
        self._keeper: Thread | None = None
        self._pauses: Pauses | None = None
        """From the loss of a connection until the session goes on."""
        self._lost_at = 0.0
        self._is_back = False
        """Whether the session goes on, and nobody has been told."""

    def tidy(self) -> None:
        """Do what could not be done at once. Called under `state`."""
        raise NotImplementedError

    @property
    def is_over(self) -> bool:
        """Whether all has ended."""
        return self._over.is_set()

    def start(self) -> None:
        """Complete the handshake, then begin to keep the connection. Raises `ConnectFailed`, `HandshakeFailed`."""
        if taps.makers:
            with self.state:
                taps.begun(self)
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
            self.connected.close()
            raise
        self._keeper = Thread(target=self._keep, name="tomada keeper", daemon=True)
        self._keeper.start()

    # The keeper's thread.

    def _keep(self) -> None:
        try:
            while not self.is_over:
                if self._verdict is not None:
                    reason, refused, is_wrong = self._verdict
                    self._end(reason, refused=refused, is_wrong=is_wrong)
                elif self.is_up:
                    self._watch()
                else:
                    self._come_back()
        finally:
            self.end("this end failed")  # without effect where all is over, as it should be
            _shut(self.connected)
            self.disconnect()
            self.at_end()

    def _watch(self) -> None:
        """Read while nobody waits. Not while calls come thick and fast: then it would only wake up for nothing."""
        patience = min(_WATCH_SECONDS, self._deadlines.heartbeat / _LOOKS)
        while not self._stir.wait(QUIET_SECONDS) and self.is_up:
            with self.state:
                self.tidy()
                reason = self.lifetime.look(time.monotonic())
            if reason:
                self.cut(reason, is_wrong=True)
                return
            if self.engine.unsent or self._rest:
                self.flush(wait=False)
            self.settle()
            if time.monotonic() - self._active < QUIET_SECONDS or self._is_led or not self.is_up:
                continue
            if readiness.wait(self.connected, patience) and self._reading.acquire(blocking=False):
                try:
                    self._is_led = True
                    self._read(self._receive_some)
                finally:
                    self._stop_reading()

    def _come_back(self) -> None:
        """Connect again, and say hello; whoever reads hears whether the session goes on."""
        _shut(self.connected)  # as `cut` has, unless it was interrupted
        self.disconnect()
        reason, pauses = self.engine.reason, self._pauses
        assert pauses is not None, "it has been lost"  # noqa: S101 - the house's own order
        while (pause := pauses.next(time.monotonic())) is not None:
            if self._stir.wait(pause):
                return
            try:
                connected = self._attempt()
            except (TransportError, ProtocolError, OSError) as error:
                reason = str(error)
                continue
            if connected is not None:
                self.reconnect(connected)
                self.flush(wait=False)
            return
        self._end(f"the connection could not be made again within {pauses.seconds:g} s: {reason}", is_wrong=True)

    def _attempt(self) -> Connected | None:
        """A new socket; None where all is over first, and nobody waits for the attempt."""
        attempt: Future[Connected] = Future()

        def reach() -> None:
            try:
                attempt.set_result(self._reach())
            except BaseException as error:  # noqa: BLE001 - it belongs to who waits for it
                attempt.set_exception(error)

        Thread(target=reach, name="tomada attempt", daemon=True).start()
        while not attempt.done():
            if self._stir.is_set():
                attempt.add_done_callback(_discard)
                return None
            wait([attempt], timeout=QUIET_SECONDS)
        return attempt.result()

    # The connection is lost, and back.

    def cut(self, reason: str, *, refused: bool = False, is_wrong: bool = False) -> None:
        """The connection is lost: its session goes on over another one, or all ends."""
        with self._turn:
            engine, connected, now = self.engine, self.connected, time.monotonic()
            if engine.can_resume:
                engine.lose(reason)
            is_lost = engine.state is State.LOST
            was_up, was_open = self.is_up, self._pauses is None
            if is_lost and was_up:
                if self._pauses is None:
                    self._lost_at = now
                    self._pauses = until_forgotten(engine, self._deadlines.drain, now)
                for ping in self.pings.values():
                    ping.set_exception(ConnectionLost(engine.reason))
                if self.tap is not None:
                    taps.ended(self)
                self.is_up = False
                self._turn.notify_all()
        if not is_lost:
            self._end(reason, refused=refused, is_wrong=is_wrong)
        elif was_up:
            _shut(connected)
            if was_open and ConnectionInterrupted.subscribers:
                emit(ConnectionInterrupted(peer=str(self.lifetime.peer), reason=engine.reason))

    def resumed(self) -> None:
        """The session goes on over a new connection. Called under `state`."""
        self._pauses = None
        self._is_back = True

    def _tell_return(self) -> None:
        self._is_back = False
        if Tracer.active is not None:
            Tracer.active.resumed(self)
        if SessionResumed.subscribers:
            away = time.monotonic() - self._lost_at
            emit(SessionResumed(peer=str(self.lifetime.peer), seconds=away, epoch=self.engine.epoch))
        if self.at_return is not None:
            self.calls.run(self.at_return)

    def settle(self) -> None:
        """Take the consequences of what has come, where it is the end of the connection or of the session."""
        state = self.engine.state
        if self._is_back:
            self._tell_return()
        if state in FINAL:
            self._end(self.engine.reason)
        elif state is State.LOST and self.is_up:
            self.cut(self.engine.reason, is_wrong=True)

    # The end.

    def end(self, reason: str) -> None:
        """All is over, the session too, and not as it should be."""
        self._end(reason, is_wrong=True)

    def _end(self, reason: str, *, refused: bool = False, is_wrong: bool = False) -> None:
        """All is over: what waits for it fails.

        The main thread leaves that to the keeper: Ctrl-C must not come in the middle of it.
        """
        if self._keeper is not None and current_thread() is main_thread():
            if not self.is_over:
                self._verdict = self._verdict or (reason, refused, is_wrong)
                self.is_up = False
                self._stir.set()
                _shut(self.connected)
            return
        with self._turn:
            if self.is_over:
                return
            self.is_up = False
            engine, connected = self.engine, self.connected
            is_parting = engine.parted and engine.state not in FINAL
            self._drop(engine.reason if is_parting else reason)
            if self.tap is not None:
                taps.over(self)
            if not self.opened.done():
                # A server that is being stopped may still take a connection, and drop it, or say that it goes away.
                is_answer = (engine.heard or refused) and engine.farewell is not GoodbyeCode.GOING_AWAY
                self.opened.set_exception((HandshakeFailed if is_answer else ConnectFailed)(engine.reason))
            self._over.set()
            self._stir.set()
            self._turn.notify_all()
        self.lifetime.tell_end(is_wrong=is_wrong and not is_parting)
        _shut(connected)
        if engine.undelivered:
            self._tell_undelivered()
        self.calls.close()

    def _drop(self, reason: str) -> None:
        engine = self.engine
        unsent = engine.unsent_requests()
        try:
            tags = engine.drop(reason)
        except Exception:  # noqa: BLE001 - told to the log; whoever waits must hear of the end in any case
            log.exception("%s: what was not delivered cannot be told", self.lifetime.peer)
            engine.session = None
            tags = engine.drop(reason)
        reason, is_plain = engine.reason, engine.session is None
        for id_, (_, answer) in tags:
            kind = SessionLost if id_ in unsent else OutcomeUnknown
            answer.set_exception((ConnectionLost if is_plain else kind)(reason))
        for ping in self.pings.values():
            ping.set_exception(ConnectionLost(reason))

    def _tell_undelivered(self) -> None:
        peer, count = self.lifetime.peer, len(self.engine.undelivered)
        log.warning("%s: the fate of %d messages is not known: Connection.undelivered() has them", peer, count)
        if SessionEnded.subscribers:
            emit(SessionEnded(peer=str(peer), reason=self.engine.reason, undelivered=count))

    def let_go(self) -> None:
        """Ctrl-C, or whatever a signal raises, has left a call of the main thread: nothing of it stays behind."""
        super().let_go()
        if self._verdict is not None and self._keeper is not current_thread():
            self._over.wait(QUIET_SECONDS)

    def close(self) -> None:
        """Say goodbye, wait for the end of what is under way, up to the drain deadline; then cut the connection."""
        deadline = time.monotonic() + self._deadlines.drain
        try:
            with self._turn:
                for _, answer in self.engine.cancel_all():
                    answer.set_exception(ConnectionLost("the connection was closed at this end"))
                self.engine.leave(GoodbyeCode.CLOSED, "")
                self._turn.notify_all()
            self.flush(deadline)
            self.settle()
            if not self.until(self._over.is_set, deadline):
                late("drain", self._deadlines.drain, self.lifetime.peer)
                self.end(f"not closed within {self._deadlines.drain:g} s")
        except BaseException:
            self.interrupted()
            raise
        if self._keeper is not None and self._keeper is not current_thread():
            self._keeper.join()


def _shut(connected: Connected) -> None:
    """Wake all who wait on a socket, which closing would not."""
    with suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


def _discard(attempt: Future[Any]) -> None:
    """Nobody waits for the attempt any more."""
    if attempt.exception() is None:
        attempt.result().close()
