"""The face for programs without an event loop. `tomada.sync` is its public name."""

from __future__ import annotations

import time
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from tomada.address import Address
from tomada.binding import Binding
from tomada.client.calls import Answer
from tomada.client.connect import unfinished
from tomada.client.pump import Pump
from tomada.endpoint import SUBPROTOCOL, log
from tomada.errors import ConnectFailed, ConnectionLost, DeclarationError, HandshakeFailed, TimedOut, TomadaError
from tomada.messenger import Repertoire
from tomada.protocol import State
from tomada.protocol.metadata import milliseconds
from tomada.settings import FIRST_PAUSE, LONGEST_PAUSE, TLS, Deadlines, Limits
from tomada.telemetry import late
from tomada.transports import Options, blocking

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from tomada.app import App, Handler, Hook
    from tomada.message import Message, Request
    from tomada.protocol import TypeEntry
    from tomada.telemetry.statistics import ConnectionStatistics
    from tomada.transports import Credentials, Identity

ReplyT = TypeVar("ReplyT")


class Connection:
    """One end of a connection, for threads: what `tomada.Connection` does, with calls that block.

    Got from `tomada.sync.connect`. Any number of threads may use it at once.
    """

    def __init__(self, address: Address, pump: Pump, connected: blocking.Connected) -> None:
        self._pump = pump
        self._peer = address
        self._connected = connected
        pump.connection = self
        pump.lifetime.peer = address

    def ask(self, request: Request[ReplyT], *, timeout: float | None = None) -> ReplyT:
        """The server's reply to `request`. See `tomada.Connection.ask`.

        Args:
            request: An instance of a subclass of `Request`.
            timeout: In seconds; none by default. The server is told how much of it is left, and cancels its handler
                when it has passed.

        Raises:
            RemoteError: The handler raised.
            MessageError: The request, or its reply, does not fit its type.
            TimedOut: No reply came in time.
            ConnectionLost: The connection ended first.
        """
        pump = self._pump
        deadline = None if timeout is None else time.monotonic() + timeout
        answer = Answer()
        id_ = self._begin(request, answer, deadline)
        try:
            pump.flush(deadline)
            # Late is late, by the clock of this end or by the server's.
            if not (id_ and pump.until(answer.done, deadline)) or (timeout is not None and answer.is_late):
                late("ask", timeout or 0, self._peer)
                raise TimedOut(f"no reply to {type(request).__name__} from {self._peer} within {timeout:g} s")
            return answer.result()  # type: ignore[no-any-return] # decoded as the reply of this request
        finally:
            if id_ and not answer.done():
                with pump.state:
                    pump.engine.cancel(id_)
                pump.flush(wait=False)
            del answer  # or an error, its traceback and this frame would hold each other

    def _begin(self, request: Request[Any], answer: Answer, deadline: float | None) -> int:
        """Queue the request, in its turn under the server's limit; 0 where the deadline has passed first."""
        pump = self._pump
        engine = pump.engine
        while True:
            left = inf if deadline is None else deadline - time.monotonic()
            if left <= 0:
                return 0
            try:
                with pump.state:
                    if not engine.begins or (engine.room > 0 and not engine.full):
                        return pump.messenger.ask(request, answer, milliseconds(left))
            except KeyboardInterrupt:
                pump.interrupted()
                raise
            pump.flush(deadline)
            if not pump.until(lambda: not engine.begins or (engine.room > 0 and not engine.full), deadline):
                return 0

    def send(self, message: Message) -> None:
        """Send a one-way message; returns when the kernel has taken it. Raises `MessageError`, `ConnectionLost`."""
        pump = self._pump
        engine = pump.engine
        while True:
            with pump.state:
                if not (engine.full and engine.begins):
                    pump.messenger.send(message)
                    break
            pump.flush()
            pump.until(lambda: not (engine.full and engine.begins))
        pump.flush()

    def receive(self, *, timeout: float | None = None) -> Message:
        """The next one-way message of the server that has no handler here.

        Raises:
            TimedOut: Nothing came within `timeout` seconds.
            ConnectionLost: The server has said goodbye or is lost, and all messages have been received.
        """
        pump = self._pump
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            with pump.state:
                if pump.inbox:
                    message, origin = pump.inbox.popleft()
                    pump.engine.release(origin)
                    pump.engine.report()
                    return message
            if pump.engine.parted or pump.is_over:
                raise ConnectionLost(pump.engine.reason)
            if not pump.until(lambda: bool(pump.inbox) or pump.engine.parted or pump.is_over, deadline):
                raise TimedOut(f"no message from {self._peer} within {timeout:g} s")

    def __iter__(self) -> Iterator[Message]:
        """The messages that `receive` returns, until the server says goodbye."""
        while True:
            try:
                yield self.receive()
            except ConnectionLost:
                if self._pump.engine.parted:
                    return
                raise

    def ping(self, *, timeout: float | None = None) -> float:
        """The round-trip time to the server and back, in seconds. Raises `TimedOut`, `ConnectionLost`."""
        pump = self._pump
        begun = time.perf_counter()
        deadline = None if timeout is None else time.monotonic() + timeout
        pong = Answer()
        with pump.state:
            pump.ping_count += 1
            payload = pump.ping_count.to_bytes(8, "big")
            pump.engine.ping(payload)
            pump.pings[payload] = pong
        try:
            pump.flush(deadline)
            if not pump.until(pong.done, deadline):
                raise TimedOut(f"no pong from {self._peer} within {timeout:g} s")
        finally:
            with pump.state:
                pump.pings.pop(payload, None)
        pong.result()
        return time.perf_counter() - begun

    def close(self) -> None:
        """Say goodbye, let what is under way end, and close. To call it again does nothing.

        When it returns the ``on_disconnect`` and ``on_stop`` functions have run.
        """
        self._pump.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def peer(self) -> Address:
        """The address of the other end."""
        return self._peer

    @property
    def identity(self) -> Identity | None:
        """Who the server is, as its verified TLS certificate says; ``None`` without TLS."""
        return blocking.identity(self._connected)

    @property
    def credentials(self) -> Credentials | None:
        """The server's process, user and group over a Unix socket; ``None`` elsewhere, or once it is closed."""
        return blocking.credentials(self._connected)

    @property
    def alpn(self) -> str | None:
        """The application protocol that the two ends agreed on (`TLS.protocols`), if they did."""
        return blocking.alpn(self._connected)

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._pump.engine.state is State.OPEN

    @property
    def end_reason(self) -> str:
        """Why the connection has ended, or is about to; empty while it is open."""
        return self._pump.engine.reason

    @property
    def refusals(self) -> tuple[TomadaError, ...]:
        """Why the server refused one-way messages of this end, the last hundred reasons."""
        return self._pump.refusals

    def statistics(self) -> ConnectionStatistics:
        """What the connection has done so far; also when it has ended."""
        with self._pump.state:
            return self._pump.lifetime.statistics(self._pump.calls.running)

    @property
    def peer_types(self) -> dict[str, TypeEntry]:
        """What the server understands and may send, by name."""
        return self._pump.messenger.peer_types

    def peer_type(self, name: str) -> Any:
        """A class for the server's type `name`, made from its description. Raises `UnknownType`, `TypeMismatch`."""
        with self._pump.state:
            return self._pump.messenger.generated(name)

    def __repr__(self) -> str:
        return f"<Connection to {self._peer}: {self._pump.engine.state.value}>"


class _Settings(NamedTuple):
    limits: Limits
    deadlines: Deadlines
    options: Options


def connect(
    address: str | Address,
    *,
    app: App | None = None,
    wait: float = 0,
    tls: TLS | None = None,
    limits: Limits | None = None,
    deadlines: Deadlines | None = None,
) -> Connection:
    """A connection to the server at `address`, for programs without an event loop.

    ::

        with tomada.sync.connect("tcp://127.0.0.1:4477") as bank:
            receipt = bank.ask(Transfer("ana", "rui", 500))

    Args:
        address: Such as ``tcp://127.0.0.1:4477``, ``ws://127.0.0.1:4477/`` or ``unix:///tmp/bank.sock``.
        app: Handlers for what the server asks and sends; plain ``def`` functions, which run in threads.
        wait: Seconds to go on trying while nobody listens there yet; by default there is one attempt.
        tls: Whom to trust, and who this end is, on ``tls`` addresses; by default it trusts whom the system trusts.
        limits: What the connection may use at this end.
        deadlines: How long things may take.

    Raises:
        AddressError: The address cannot be read.
        ConnectFailed: Nobody could be reached.
        HandshakeFailed: Somebody was reached who is no tomada server, or who refused; that is not tried again.
        DeclarationError: A handler is an ``async def``.
    """
    deadlines = deadlines or Deadlines()
    address = Address.of(address)
    settings = _Settings(
        limits or Limits(), deadlines, Options(handshake=deadlines.handshake, tls=tls, subprotocol=SUBPROTOCOL)
    )
    if app is None:
        return _connect(address, wait, Repertoire(), settings)
    binding = _bind(app)
    calls = {kind: binding.bind(handler.function, handler.asks_for) for kind, handler in app.handlers.items()}
    try:
        connection = _connect(address, wait, Repertoire(app, calls), settings)
    except BaseException:
        _run_hooks(binding, app.stop_hooks, None)
        raise
    connection._pump.at_end = lambda: _run_hooks(binding, [*app.disconnect_hooks, *app.stop_hooks], connection)  # noqa: SLF001 - one file
    try:
        for hook in app.connect_hooks:
            hook.function(*binding.arguments(hook.asks_for, connection))
    except BaseException:
        connection.close()
        raise
    connection._pump.calls.greeted()  # noqa: SLF001 - one file
    return connection


def _bind(app: App) -> Binding:
    for handler in app.handlers.values():
        if handler.items is not None or handler.parts is not None:
            text = f"{handler.where} handles streams, which needs an event loop: leave it out, or use tomada.connect"
            raise DeclarationError(text)
    hooks = (*app.start_hooks, *app.connect_hooks, *app.disconnect_hooks, *app.stop_hooks)
    declared: list[Handler | Hook] = [*app.handlers.values(), *hooks]
    for one in declared:
        if one.is_async:
            text = f"{one.where} is an `async def`, but there is no event loop: write it as a plain `def`"
            raise DeclarationError(text)
    return Binding(app, [hook.function() for hook in app.start_hooks], Connection)


def _connect(address: Address, wait: float, repertoire: Repertoire, settings: _Settings) -> Connection:
    """One attempt, or as many as fit into the time to wait, with growing pauses."""
    give_up = time.monotonic() + wait
    pause = FIRST_PAUSE
    while True:
        try:
            return _attempt(address, repertoire, settings)
        except ConnectFailed:
            left = give_up - time.monotonic()
            if left <= 0:
                raise
        time.sleep(min(pause, left))
        pause = min(2 * pause, LONGEST_PAUSE)


def _attempt(address: Address, repertoire: Repertoire, settings: _Settings) -> Connection:
    limits, deadlines, options = settings
    connected = blocking.connect(address, deadlines.connect, options)
    pump = Pump(connected, repertoire, limits, deadlines)
    connection = Connection(address, pump, connected)
    try:
        pump.start()
    except (ConnectFailed, HandshakeFailed) as error:
        raise unfinished(address, error) from None
    return connection


def _run_hooks(binding: Binding, hooks: list[Hook], connection: Connection | None) -> None:
    """Run what the application wants to do at the end; one that raises does not keep the others from running."""
    for hook in hooks:
        try:
            hook.function(*binding.arguments(hook.asks_for, connection))
        except Exception:  # noqa: BLE001 - told to the log
            log.exception("%s raised", hook.where)
