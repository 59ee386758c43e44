"""The connection, as users and handlers see it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from math import inf
from typing import TYPE_CHECKING, TypeVar

from tomada.connection_state import ConnectionState
from tomada.errors import BufferFull, ConnectionLost, TimedOut
from tomada.protocol import GoodbyeCode
from tomada.protocol.metadata import milliseconds
from tomada.protocol.state import FINAL
from tomada.telemetry import late
from tomada.transports import identity

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType
    from typing import Any, Self

    from tomada.address import Address
    from tomada.errors import TomadaError
    from tomada.link import Link
    from tomada.message import Message, Request
    from tomada.protocol import TypeEntry
    from tomada.telemetry.statistics import ConnectionStatistics
    from tomada.transports import Credentials, Identity

ReplyT = TypeVar("ReplyT")


class Connection:
    """One end of a connection: ask, send, receive, close. The same class stands at both ends.

    Got from `tomada.connect`; a handler asks for its own with a parameter annotated ``tomada.Connection``. Any number
    of tasks of the event loop may use a connection at once; it is not for other threads.
    """

    __slots__ = ("__weakref__", "_link")

    def __init__(self, link: Link) -> None:
        self._link = link

    async def ask(
        self,
        request: Request[ReplyT],
        *,
        timeout: float | None = None,
        urgent: bool = False,
        key: str | None = None,
    ) -> ReplyT:
        """The peer's reply to `request`.

        Any number of calls share the connection; replies come in whatever order the handlers end. A call that is
        cancelled, or timed out, cancels its handler at the other end.

        Args:
            request: An instance of a subclass of `Request`.
            timeout: In seconds; none by default. The peer is told how much of it is left, and cancels its handler when
                that has passed, or does not start it, even if it hears nothing more from this end. A plain ``def``
                handler cannot be stopped.
            urgent: Whether it overtakes all that waits to be sent and is not urgent; its reply does so, too.
            key: By which its handler recognises it (`Request.key`), up to 200 characters: for a request that is asked
                again after its outcome was unknown. By default each request has one of its own.

        Raises:
            RemoteError: The handler raised; a subclass, with fields, where one of that name is known here.
            MessageError: The request, or its reply, does not fit its type.
            TimedOut: No reply came in time. Whether the handler has done its work is not known.
            OutcomeUnknown: The session ended first. Whether the handler has done its work is not known.
            ConnectionLost: The connection has ended, or did before the request was sent.
        """
        if timeout is not None or urgent or key is not None:
            return await self._ask_within(request, inf if timeout is None else timeout, key, urgent=urgent)
        link = self._link
        engine = link.engine
        if engine.full or link.askers or engine.room <= 0:
            await self._wait_for_turn()
        answer: asyncio.Future[ReplyT] = link.loop.create_future()
        id_ = self._begin(request, answer)
        try:
            return await answer
        except asyncio.CancelledError:
            self._give_up(id_, answer)
            raise
        finally:
            del answer  # or an error, its traceback and this frame would hold each other

    async def _ask_within(self, request: Request[ReplyT], timeout: float, key: str | None, *, urgent: bool) -> ReplyT:
        link = self._link
        until = link.loop.time() + timeout
        answer: asyncio.Future[ReplyT] = link.loop.create_future()
        id_ = 0
        try:
            async with asyncio.timeout_at(until if timeout < inf else None):
                await self._wait_for_turn(urgent=urgent)
                left = until - link.loop.time()
                if left > 0:
                    id_ = self._begin(request, answer, milliseconds(left), key, urgent=urgent)
                return await answer
        except asyncio.CancelledError:
            self._give_up(id_, answer)
            raise
        except TimeoutError:
            # By the clock of this end or, which comes to the same, by the peer's.
            self._give_up(id_, answer)
            late("ask", timeout, self.peer)
            raise TimedOut(f"no reply to {type(request).__name__} from {self.peer} within {timeout:g} s") from None
        finally:
            del answer  # as in `ask`

    def _begin(
        self,
        request: Request[ReplyT],
        answer: asyncio.Future[ReplyT],
        deadline: int | None = None,
        key: str | None = None,
        *,
        urgent: bool = False,
    ) -> int:
        """Send a request whose turn it is; its id."""
        link = self._link
        try:
            id_ = link.messenger.ask(request, answer, deadline, key, urgent)
        except Exception:
            link.let_go_on()  # the turn may be the next one's
            raise
        link.wake()
        return id_

    def _give_up(self, id_: int, answer: asyncio.Future[Any]) -> None:
        """Nobody waits for the answer any more; an `id_` of 0 has not been sent."""
        answer.cancel()
        _pass_over(answer)
        self._link.engine.cancel(id_)
        self._link.wake()

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
        if urgent or link.engine.full or link.has_senders:
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
        is_full = engine.urgent_full if urgent else engine.full or link.has_senders
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
        try:
            async with asyncio.timeout(timeout):
                while not link.inbox:
                    await self._wait_for_message()
        except TimeoutError:
            raise TimedOut(f"no message from {self.peer} within {timeout:g} s") from None
        message, origin = link.inbox.popleft()
        link.engine.release(origin)
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
            _pass_over(pong)
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

    async def _wait_for_turn(self, *, urgent: bool = False) -> None:
        try:
            await self._wait_for_room(urgent=urgent)
        except asyncio.CancelledError:
            self._link.let_go_on()  # it may have been this one's turn in the same moment
            raise

    async def _wait_for_room(self, *, urgent: bool) -> None:
        """Wait until there is room in the buffer and under the peer's limit of open requests; in order of arrival."""
        link = self._link
        engine = link.engine
        is_turn = False
        while engine.begins:
            if engine.room > 0 and (is_turn or urgent or not link.askers):
                if not (engine.urgent_full if urgent else engine.full):
                    return
                await link.until_writable(urgent=urgent)
                continue
            if link.askers is None:
                link.askers = deque()
            turn: asyncio.Future[None] = link.loop.create_future()
            if is_turn or urgent:
                link.askers.appendleft(turn)
            else:
                link.askers.append(turn)
            await turn
            is_turn = True

    async def _wait_for_message(self) -> None:
        link = self._link
        if link.engine.parted or link.engine.state in FINAL:
            raise ConnectionLost(link.engine.reason)
        if link.receiver is None or link.receiver.done():
            link.receiver = link.loop.create_future()
        await asyncio.shield(link.receiver)


def _pass_over(answer: asyncio.Future[Any]) -> None:
    """What came in the moment of a cancellation is nobody's: say that it was seen."""
    if not answer.cancelled():
        answer.exception()
