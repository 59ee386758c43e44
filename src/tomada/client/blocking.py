"""The face for programs without an event loop. `tomada.sync` is its public name."""

from __future__ import annotations

import time
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar

from tomada.client.calls import Answer
from tomada.connection_state import ConnectionState
from tomada.errors import BufferFull, ConnectionLost, TimedOut
from tomada.protocol.metadata import milliseconds
from tomada.telemetry import late
from tomada.transports import blocking

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from tomada.address import Address
    from tomada.client.pump import Pump
    from tomada.errors import TomadaError
    from tomada.message import Message, Request
    from tomada.protocol import TypeEntry
    from tomada.telemetry.statistics import ConnectionStatistics
    from tomada.transports import Credentials, Identity

ReplyT = TypeVar("ReplyT")


class Connection:
    """One end of a connection, for threads: what `tomada.Connection` does, with calls that block.

    Got from `tomada.sync.connect`. Any number of threads may use it at once.
    """

    def __init__(self, address: Address, pump: Pump) -> None:
        self._pump = pump
        self._peer = address
        pump.connection = self
        pump.lifetime.peer = address

    def ask(
        self,
        request: Request[ReplyT],
        *,
        timeout: float | None = None,
        urgent: bool = False,
        key: str | None = None,
    ) -> ReplyT:
        """The server's reply to `request`. See `tomada.Connection.ask`.

        While the connection is lost, and made again, it just takes longer.

        Args:
            request: An instance of a subclass of `Request`.
            timeout: In seconds; none by default. The server is told how much of it is left, and cancels its handler
                when it has passed.
            urgent: Whether it overtakes all that waits to be sent and is not urgent; its reply does so, too.
            key: By which its handler recognises it (`Request.key`), up to 200 characters: for a request that is asked
                again after its outcome was unknown. By default each request has one of its own.

        Raises:
            RemoteError: The handler raised.
            MessageError: The request, or its reply, does not fit its type.
            TimedOut: No reply came in time. Whether the handler has done its work is not known.
            OutcomeUnknown: The session ended first. Whether the handler has done its work is not known.
            ConnectionLost: The connection has ended, or did before the request was sent.
        """
        pump = self._pump
        deadline = None if timeout is None else time.monotonic() + timeout
        answer = Answer()
        id_ = self._begin(request, answer, deadline, key, urgent=urgent)
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

    def _begin(
        self, request: Request[Any], answer: Answer, deadline: float | None, key: str | None, *, urgent: bool
    ) -> int:
        """Queue the request in its turn; 0 where the deadline has passed first."""
        pump = self._pump

        def queue() -> int:
            left = inf if deadline is None else max(0.0, deadline - time.monotonic())
            return pump.messenger.ask(request, answer, milliseconds(left), key, urgent)

        if deadline is not None and deadline <= time.monotonic():
            return 0
        entered = pump.enter(queue, asks=True, urgent=urgent, deadline=deadline)
        return 0 if entered is None else entered[0]

    def send(self, message: Message, *, urgent: bool = False) -> None:
        """Send a one-way message; returns when the kernel has taken it, or while the connection is lost at once.

        What has been accepted is kept until the server has handled it, and sent again if the connection is lost before.
        It waits while as much is held as may be (`Limits.buffer_bytes`); threads that wait go on in their order.

        Args:
            message: An instance of a subclass of `Message`.
            urgent: Whether it overtakes all that waits to be sent and is not urgent, and all that waits at the server
                for its handler.

        Raises:
            MessageError: The message does not fit its type, or is longer than the server takes.
            ConnectionLost: The connection has ended.
        """
        pump = self._pump
        pump.enter(lambda: pump.messenger.send(message, urgent), urgent=urgent)
        pump.flush()

    def send_nowait(self, message: Message, *, urgent: bool = False) -> None:
        """As `send`, where that need not wait; nor does it wait for the kernel.

        Raises:
            BufferFull: It would have to wait: nothing was sent.
            MessageError: As of `send`.
            ConnectionLost: As of `send`.
        """
        pump = self._pump
        if pump.enter(lambda: pump.messenger.send(message, urgent), urgent=urgent, deadline=0) is None:
            raise BufferFull(
                f"{self._peer} has not handled {pump.engine.kept} bytes that are held for it: `send` waits for room"
            )
        pump.flush(wait=False)

    def undelivered(self) -> dict[str, Message]:
        """After the end: the messages of this end whose fate is not known, by their keys; also requests.

        See `tomada.Connection.undelivered`.
        """
        pump = self._pump
        with pump.state:
            return {one.key: pump.messenger.own(one.type, one.payload) for one in pump.engine.undelivered}

    def receive(self, *, timeout: float | None = None) -> Message:
        """The next one-way message of the server that has no handler here.

        Raises:
            TimedOut: Nothing came within `timeout` seconds.
            ConnectionLost: The server has said goodbye or is lost, and all messages have been received.
        """
        pump = self._pump
        deadline = None if timeout is None else time.monotonic() + timeout
        while (message := pump.given_out()) is None:
            if pump.engine.parted or pump.is_over:
                raise ConnectionLost(pump.engine.reason)
            if not pump.until(lambda: bool(pump.inbox) or pump.engine.parted or pump.is_over, deadline):
                raise TimedOut(f"no message from {self._peer} within {timeout:g} s")
        if pump.engine.unsent:
            pump.flush(wait=False)  # the server may wait for just that
        return message

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

        All that was sent goes first, if need be over a new connection; what the server has not handled within the drain
        deadline is told to the log, and is in `undelivered`. When it returns the ``on_disconnect`` and ``on_stop``
        functions have run.
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
        return blocking.identity(self._pump.connected)

    @property
    def credentials(self) -> Credentials | None:
        """The server's process, user and group over a Unix socket; ``None`` elsewhere, or once it is closed."""
        return blocking.credentials(self._pump.connected)

    @property
    def alpn(self) -> str | None:
        """The application protocol that the two ends agreed on (`TLS.protocols`), if they did."""
        return blocking.alpn(self._pump.connected)

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent, be it that they are stored until the connection is made again."""
        return self._pump.engine.begins

    @property
    def state(self) -> ConnectionState:
        """Where in its life it is."""
        return ConnectionState.of(self._pump.engine)

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
