"""The connection, as users and handlers see it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from tomada.asking import Asking, pass_over
from tomada.connection_state import ConnectionState
from tomada.errors import BufferFull, ConnectionLost, TimedOut
from tomada.protocol import GoodbyeCode
from tomada.protocol.state import FINAL
from tomada.transports import identity

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType
    from typing import Any, Self

    from tomada.address import Address
    from tomada.errors import TomadaError
    from tomada.message import Message
    from tomada.protocol import TypeEntry
    from tomada.telemetry.statistics import ConnectionStatistics
    from tomada.transports import Credentials, Identity


class Connection(Asking):
    """One end of a connection: ask, send, receive, close. The same class stands at both ends.

    Got from `tomada.connect`; a handler asks for its own with a parameter annotated ``tomada.Connection``. Any number
    of tasks of the event loop may use a connection at once; it is not for other threads.
    """

    __slots__ = ("__weakref__",)

    async def send(self, message: Message, *, urgent: bool = False) -> None:
        """Send a one-way message; waits only while as much is held for the peer as may be (`Limits.buffer_bytes`).

        What has been accepted is kept until the peer has handled it, and sent again if the connection is lost before.
        While there is none messages are stored, up to the same bound. Tasks that wait go on in their order.

        Args:
            message: An instance of a subclass of `Message`.
            urgent: Whether it overtakes all that waits to be sent and is not urgent, and all that waits at the peer for
                its handler.

        Raises:
            MessageError: The message does not fit its type, or is longer than the peer takes.
            ConnectionLost: The connection has ended.
        """
        link = self._link
        if urgent or link.engine.full or link.senders:
            await link.until_writable(urgent=urgent)
        link.messenger.send(message, urgent)
        link.wake()

    def send_nowait(self, message: Message, *, urgent: bool = False) -> None:
        """As `send`, where that need not wait.

        Raises:
            BufferFull: It would have to: nothing was sent.
            MessageError: As of `send`.
            ConnectionLost: As of `send`.
        """
        link = self._link
        engine = link.engine
        is_full = (engine.urgent_full or link.urgent_senders) if urgent else (engine.full or link.senders)
        if is_full and engine.begins:
            raise BufferFull(
                f"{self.peer} has not handled {engine.kept} bytes that are held for it: `await send()` waits for room"
            )
        link.messenger.send(message, urgent)
        link.wake()

    def undelivered(self) -> dict[str, Message]:
        """After the end: the messages of this end whose fate is not known, by their keys; also requests.

        They were sent, and the peer has not said that they were handled, or were never sent. Empty where the connection
        had no session (``sessions=False``), and while it is not over.
        """
        link = self._link
        return {one.key: link.messenger.own(one.type, one.payload) for one in link.engine.undelivered}

    async def receive(self, *, timeout: float | None = None) -> Message:
        """The next one-way message of the peer that has no handler here.

        A type that this program does not define arrives as an instance of a class made from the peer's description.

        Args:
            timeout: In seconds; none by default.

        Raises:
            TimedOut: Nothing came in time.
            ConnectionLost: The peer has said goodbye or is lost, and all messages have been received.
        """
        link = self._link
        if link.inbox is None:
            raise RuntimeError("at the accepting end messages go to handlers: write one with @app.on")
        if not link.inbox:
            await self._wait_for_message(timeout)
        message, origin = link.inbox.popleft()
        link.engine.release(origin)
        if not link.flushing:
            link.wake()
        return message

    async def __aiter__(self) -> AsyncIterator[Message]:
        """The messages that `receive` returns, until the peer says goodbye.

        Raises `ConnectionLost` if it ends in another way.
        """
        while True:
            try:
                yield await self.receive()
            except ConnectionLost:
                if self._link.engine.parted:
                    return
                raise

    async def ping(self, *, timeout: float | None = None) -> float:
        """The round-trip time to the peer and back, in seconds. Raises `TimedOut`, `ConnectionLost`."""
        link = self._link
        link.pings = link.pings or {}
        begun = time.perf_counter()  # uvloop's own clock stands still within a turn and counts milliseconds
        link.ping_count += 1
        payload = link.ping_count.to_bytes(8, "big")
        link.engine.ping(payload)
        link.wake()
        pong = link.pings[payload] = link.loop.create_future()
        try:
            async with asyncio.timeout(timeout):
                await pong
        except asyncio.CancelledError:
            pass_over(pong)
            raise
        except TimeoutError:
            raise TimedOut(f"no pong from {self.peer} within {timeout:g} s") from None
        finally:
            link.pings.pop(payload, None)
        return time.perf_counter() - begun

    async def close(self) -> None:
        """Say goodbye, let what is under way end, and close. To call it again does nothing.

        All that was sent goes first, if need be over a new connection; what the peer has not handled within the drain
        deadline is told to the log, and is in `undelivered`.

        Calls of this end that still wait fail with `ConnectionLost`, and their handlers are cancelled. What the peer
        has asked is answered, within the drain deadline; then the connection is cut. In the handler of a request that
        came over this connection it does not wait: the peer gets the answer first.
        """
        link = self._link
        for _, answer in link.engine.cancel_all():
            if not answer.done():
                answer.set_exception(ConnectionLost("the connection was closed at this end"))
        link.leave(GoodbyeCode.CLOSED, "")
        await link.drain()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def peer(self) -> Address:
        """The address of the other end."""
        return self._link.peer

    @property
    def identity(self) -> Identity | None:
        """Who the peer is, as its verified TLS certificate says; ``None`` without TLS, or without a certificate."""
        return None if self._link.transport is None else identity(self._link.transport)

    @property
    def credentials(self) -> Credentials | None:
        """The peer's process, user and group over a Unix socket; ``None`` elsewhere, or if the system does not tell."""
        return self._link.credentials

    @property
    def alpn(self) -> str | None:
        """The application protocol that the two ends agreed on (`TLS.protocols`), if they did."""
        return None if self._link.transport is None else self._link.transport.get_extra_info("alpn")

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent, be it that they are stored until the connection is made again."""
        return self._link.engine.begins

    @property
    def state(self) -> ConnectionState:
        """Where in its life it is."""
        return ConnectionState.of(self._link.engine)

    @property
    def end_reason(self) -> str:
        """Why the connection has ended, or is about to; empty while it is open."""
        return self._link.engine.reason

    @property
    def refusals(self) -> tuple[TomadaError, ...]:
        """Why the peer refused one-way messages of this end, the last hundred reasons."""
        return self._link.refusals

    def statistics(self) -> ConnectionStatistics:
        """What the connection has done so far; also when it has ended."""
        return self._link.statistics()

    @property
    def peer_types(self) -> dict[str, TypeEntry]:
        """What the peer understands and may send, by name."""
        return self._link.messenger.peer_types

    def peer_type(self, name: str) -> Any:
        """A class for the peer's type `name`, made from its description; for programs that have no class of their own.

        Raises:
            UnknownType: The peer has no type of that name.
            TypeMismatch: Its description makes no sense.
        """
        return self._link.messenger.generated(name)

    def __repr__(self) -> str:
        return f"<Connection to {self.peer}: {self._link.engine.state.value}>"

    async def _wait_for_message(self, timeout: float | None) -> None:
        link = self._link
        try:
            async with asyncio.timeout(timeout):
                while not link.inbox:
                    if link.engine.parted or link.engine.state in FINAL:
                        raise ConnectionLost(link.engine.reason)
                    if link.receiver is None or link.receiver.done():
                        link.receiver = link.loop.create_future()
                    await asyncio.shield(link.receiver)
        except TimeoutError:
            raise TimedOut(f"no message from {self.peer} within {timeout:g} s") from None
