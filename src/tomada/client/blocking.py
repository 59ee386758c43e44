"""The face for programs without an event loop. `tomada.sync` is its public name."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tomada.client.blocking_asking import Asking
from tomada.client.calls import Answer
from tomada.client.wire import letting_go
from tomada.connection_state import ConnectionState
from tomada.errors import BufferFull, ConnectionLost, TimedOut
from tomada.transports import blocking

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from tomada.address import Address
    from tomada.client.pump import Pump
    from tomada.errors import TomadaError
    from tomada.message import Message
    from tomada.protocol import TypeEntry
    from tomada.telemetry.statistics import ConnectionStatistics
    from tomada.transports import Credentials, Identity


class Connection(Asking):
    """One end of a connection, for threads: what `tomada.Connection` does, with calls that block.

    Got from `tomada.sync.connect`. Any number of threads may use it at once.
    """

    def __init__(self, address: Address, pump: Pump) -> None:
        super().__init__(address, pump)
        pump.connection = self
        pump.lifetime.peer = address

    @letting_go
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

    @letting_go
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

    @letting_go
    def undelivered(self) -> dict[str, Message]:
        """After the end: the messages of this end whose fate is not known, by their keys; also requests.

        See `tomada.Connection.undelivered`.
        """
        pump = self._pump
        with pump.state:
            return {one.key: pump.messenger.own(one.type, one.payload) for one in pump.engine.undelivered}

    @letting_go
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

    @letting_go
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

    @letting_go
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

    @letting_go
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
