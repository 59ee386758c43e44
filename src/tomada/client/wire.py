"""The socket under a blocking connection, which any number of threads share: one reads, one writes, the others wait.

There is no loop, and no hand-over between threads on the way of a message: whoever waits for an answer reads the socket
until its own answer is there, and delivers those of the others on the way. The lowest part of a `Pump`.
"""

from __future__ import annotations

import time
from functools import wraps
from threading import Condition, RLock, get_ident, main_thread
from traceback import walk_tb
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from tomada.client.lifetime import Lifetime
from tomada.endpoint import log
from tomada.errors import HandshakeFailed
from tomada.protocol import State
from tomada.recording import tap as taps
from tomada.transports import blocking, readiness

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from tomada.address import Address
    from tomada.protocol import Engine
    from tomada.settings import Deadlines

_READ_BYTES: Final = 65_536
QUIET_SECONDS: Final = 0.05
_INSIDE: Final = ("tomada.protocol", "tomada.messenger", "tomada.vocabulary")


F = TypeVar("F", bound="Callable[..., Any]")


def letting_go(call: F) -> F:
    """`call`, of a face; where Ctrl-C comes in the middle of it, nothing of it stays behind."""

    @wraps(call)
    def guarded(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        try:
            return call(self, *args, **kwargs)
        except BaseException as error:
            if not isinstance(error, Exception) and _touched(error.__traceback__):
                self._pump.interrupted()
            if get_ident() == main_thread().ident:
                self._pump.let_go()  # a signal may raise anything
            raise

    return cast("F", guarded)


def _touched(place: TracebackType | None) -> bool:
    """Whether what was raised there came in the middle of a change to what is said and heard."""
    return any(frame.f_globals["__name__"].startswith(_INSIDE) for frame, _ in walk_tb(place))


def owns(lock: Any) -> bool:
    """Whether this thread holds the lock."""
    return lock._is_owned()  # type: ignore[no-any-return] # noqa: SLF001 - as `threading.Condition` asks it


class Wire:
    """Moves the bytes of one blocking connection, in the threads that wait.

    Three locks, taken in this order: `_sending`, by who writes to the socket; `_reading`, by who reads from it;
    `state`, by who touches the engine and all above it, for moments only and never over a wait. The socket is exchanged
    by who holds all three, so it is never closed, and its number never another's, while a thread still uses it.

    No thread takes one of them twice. They know their owner because of Ctrl-C, which may come in the moment after one
    was taken, or before it is given back: `let_go`.

    Args:
        connected: The first socket, which is the wire's from here on.
        engine: The connection's.
        deadlines: How long things may take.
    """

    __slots__ = (
        "_active",
        "_followers",
        "_is_led",
        "_reading",
        "_rest",
        "_sending",
        "_turn",
        "connected",
        "engine",
        "is_up",
        "lifetime",
        "state",
        "tap",
    )

    def __init__(self, connected: blocking.Connected, engine: Engine, deadlines: Deadlines) -> None:
        self.engine = engine
        self.lifetime = Lifetime(engine, connected, deadlines)
        self.connected = connected
        """The socket, or the last one where there is none just now."""
        self.is_up = True
        """Whether there is one. It is changed under `state`."""
        self.tap: taps.Tap | None = None
        """Who looks at what comes and goes; nobody, mostly. Touched under `state`."""
        self.state = RLock()
        self._turn = Condition(self.state)
        self._followers = 0
        self._sending = RLock()
        self._rest = memoryview(b"")
        """What has been taken from the engine and not been sent; of the holder of `_sending`."""
        self._reading = RLock()
        self._is_led = False
        """Whether a thread reads, which will tell those who wait when it stops."""
        self._active = 0.0

    @property
    def types(self) -> taps.Types:
        """What the numbers of types mean, at either end."""
        raise NotImplementedError

    @property
    def places(self) -> tuple[str, str]:
        """The addresses of this end and of the other one."""
        peer = self.lifetime.peer
        return str(blocking.own_address(self.connected, peer)), str(peer)

    def take_in(self, data: bytes) -> None:
        """Act on what has come, or on the end, which is no bytes. Called under `state`."""
        raise NotImplementedError

    def settle(self) -> None:
        """Take the consequences of what has come, where it is the end of the connection or of the session."""
        raise NotImplementedError

    def cut(self, reason: str, *, refused: bool = False, is_wrong: bool = False) -> None:
        """The connection is lost: its session goes on over another one, or all ends."""
        raise NotImplementedError

    def end(self, reason: str) -> None:
        """All is over, the session too, and not as it should be."""
        raise NotImplementedError

    def interrupted(self) -> None:
        """Ctrl-C came in the middle of something: nobody knows what has been done, so nothing more can be said."""
        self.end("interrupted")

    def let_go(self) -> None:
        """Ctrl-C, or whatever a signal raises, has left a call of the main thread: nothing of it stays behind."""
        if owns(self._reading):
            self._stop_reading()
        for lock in (self.state, self._sending):
            while owns(lock):
                lock.release()

    @property
    def peer(self) -> Address:
        """The address of the other end."""
        return self.lifetime.peer

    # Reading.

    def until(self, done: Callable[[], bool], deadline: float | None = None) -> bool:
        """Wait until `done`, reading whenever no other thread does; False when the deadline has passed first."""
        self._active = time.monotonic()
        while not done():
            if self.is_up and self._reading.acquire(blocking=False):
                in_time = self._lead(done, deadline)
            else:
                in_time = self._follow(done, deadline)
            if not in_time:
                return done()
        return True

    def _lead(self, done: Callable[[], bool], deadline: float | None) -> bool:
        """Read until `done`, or until there is no connection any more; False when the deadline has passed first."""
        try:
            self._is_led = True
            # Ctrl-C is for the main thread. There it waits first: while it receives, an interruption may cost bytes.
            at_once = deadline is not None or get_ident() == main_thread().ident
            while self.is_up and not done():
                if not at_once:
                    self._read(self.connected.recv)
                elif self._wait_to_read(deadline):
                    self._read(self._receive_some)
                else:
                    return False
        finally:
            self._stop_reading()
        return True

    def _wait_to_read(self, deadline: float | None) -> bool:
        left = None if deadline is None else deadline - time.monotonic()
        return (left is None or left > 0) and readiness.wait(self.connected, left)

    def _follow(self, done: Callable[[], bool], deadline: float | None) -> bool:
        """Wait for the leader to deliver, or to give up the lead; or for a connection."""
        with self._turn:
            self._followers += 1
            try:
                # The leader tells its end under this lock: where it still leads, the word is still to come.
                if done() or (self.is_up and not self._is_led):
                    return True
                left = None if deadline is None else deadline - time.monotonic()
                return (left is None or left > 0) and self._turn.wait(left)
            finally:
                self._followers -= 1

    def _stop_reading(self) -> None:
        self._is_led = False
        self._reading.release()
        if self._followers:
            with self._turn:
                self._turn.notify_all()

    def _read(self, receive: Callable[[int], bytes | None]) -> None:
        """Take what has come, and act on it. By the holder of `_reading` only."""
        try:
            data = receive(_READ_BYTES)
        except (OSError, HandshakeFailed) as error:
            refused = isinstance(error, HandshakeFailed)
            self.cut(f"the connection was lost: {error}", refused=refused, is_wrong=True)
            return
        except BaseException:
            if self.engine.can_resume:  # what had come may be gone; over another connection it comes again
                self.cut("interrupted", is_wrong=True)
            raise
        if data is None:
            return
        try:
            with self.state:
                # Another thread may have found out that it is lost: then nobody acts on what came last, and it comes
                # again.
                if self.is_up:
                    self.take_in(data)
                if self._followers:
                    self._turn.notify_all()
        except Exception:  # noqa: BLE001 - told to the log
            log.exception("%s: this end failed", self.lifetime.peer)
            self.end("this end failed; its log says more")
        except BaseException:
            self.interrupted()
            raise
        if self.engine.unsent:
            self.flush(wait=False)
        self.settle()

    def _receive_some(self, most: int) -> bytes | None:
        return blocking.receive_some(self.connected, most)

    # Writing.

    def flush(self, deadline: float | None = None, *, wait: bool = True) -> None:
        """Write what is queued; what has not gone at the deadline goes later.

        Without `wait` it writes what the kernel takes at once, and nothing where another thread writes: that one writes
        this too. Without a connection it does nothing.
        """
        while (self.engine.unsent or self._rest) and self.is_up and self._acquire_sending(deadline, wait=wait):
            try:
                if not self._send(deadline, wait=wait):
                    return
            except OSError as error:
                self.cut(f"the connection was lost: {error}", is_wrong=True)
                return
            except BaseException as error:
                # How much of it has gone is not known; over another connection it goes again.
                if self.engine.can_resume and not _touched(error.__traceback__):
                    self.cut("interrupted", is_wrong=True)
                else:
                    self.interrupted()
                raise
            finally:
                self._sending.release()

    def _acquire_sending(self, deadline: float | None, *, wait: bool) -> bool:
        if not wait:
            return not owns(self._sending) and self._sending.acquire(blocking=False)
        return self._sending.acquire(timeout=-1 if deadline is None else max(0.0, deadline - time.monotonic()))

    def _send(self, deadline: float | None, *, wait: bool) -> bool:
        if not self._rest:
            with self.state:
                out = self.engine.take()
                if self.tap is not None and out:
                    self.tap.sent(out)
            if not out:
                return True  # another thread has sent it
            self._rest = memoryview(out)
            self.lifetime.taken_bytes += len(out)
        while self._rest and self.is_up:
            sent = blocking.send_some(self.connected, self._rest)
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
                self._is_led = True
                if readiness.wait(self.connected, left, to_send=True):
                    self._read(self._receive_some)
            finally:
                self._stop_reading()
        else:
            # Not for long: the other thread may stop reading when it has its answer.
            left = QUIET_SECONDS if left is None else min(left, QUIET_SECONDS)
            readiness.wait(self.connected, left, to_receive=False, to_send=True)
        return self.is_up

    # The socket is exchanged.

    def disconnect(self) -> None:
        """Give the lost socket's number back; `cut` has woken all who used it."""
        with self._sending, self._reading:
            self.connected.close()
            self._rest = memoryview(b"")
            self.lifetime.taken_bytes = self.lifetime.sent_bytes

    def reconnect(self, connected: blocking.Connected) -> None:
        """Go on with the session over another socket, which is the wire's from here on."""
        with self._sending, self._reading, self.state:
            if self.engine.state is not State.LOST:  # all is over meanwhile
                connected.close()
                return
            self.connected = connected
            self.lifetime.begin(connected)
            if taps.makers:
                taps.begun(self)
            self.engine.hello(time.monotonic())
            self.is_up = True
        with self._turn:
            self._turn.notify_all()
