"""How requests are asked over a connection: in turn, within the limits of both ends, with and without streams.

The lower half of a `Connection`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import nullcontext
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar, overload

from tomada.errors import TimedOut
from tomada.items.decoding import ItemDecoder
from tomada.items.pouring import close, each
from tomada.items.stream import ItemStream, Taking, send_parts
from tomada.message import DuplexRequest, StreamRequest, UploadRequest
from tomada.protocol.metadata import milliseconds
from tomada.telemetry import late
from tomada.telemetry.tracer import Tracer

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Iterable

    from tomada.address import Address
    from tomada.link import Link
    from tomada.message import AnyRequest, Request
    from tomada.repertoire import Answer

ReplyT = TypeVar("ReplyT")
ItemT = TypeVar("ItemT")
PartT = TypeVar("PartT")


class Asking:
    """Asks over one connection."""

    __slots__ = ("_link",)

    def __init__(self, link: Link) -> None:
        self._link = link

    @property
    def peer(self) -> Address:
        """The address of the other end."""
        return self._link.peer

    @overload
    async def ask(
        self,
        request: Request[ReplyT],
        *,
        timeout: float | None = None,
        urgent: bool = False,
        key: str | None = None,
    ) -> ReplyT: ...

    @overload
    async def ask(
        self,
        request: UploadRequest[PartT, ReplyT],
        *,
        upload: AsyncIterable[PartT] | Iterable[PartT],
        timeout: float | None = None,
        urgent: bool = False,
        key: str | None = None,
    ) -> ReplyT: ...

    async def ask(
        self,
        request: Any,
        *,
        upload: AsyncIterable[Any] | Iterable[Any] | None = None,
        timeout: float | None = None,
        urgent: bool = False,
        key: str | None = None,
    ) -> Any:
        """The peer's reply to `request`.

        Any number of calls share the connection; replies come in whatever order the handlers end. A call that is
        cancelled, or timed out, cancels its handler at the other end.

        Args:
            request: An instance of a subclass of `Request` or `UploadRequest`.
            upload: The parts that follow an `UploadRequest`, from any iterator, asynchronous or not. They are sent as
                fast as the handler takes them; where it answers before all are sent, the rest is not, and the iterator
                is closed. What the iterator raises is raised here, and the handler is cancelled.
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
        tracer = Tracer.active
        if timeout is not None or urgent or key is not None or upload is not None or tracer is not None:
            parts = None if upload is None else each(upload)
            asked = self._ask_within(request, inf if timeout is None else timeout, key, parts, urgent=urgent)
            return await (asked if tracer is None else tracer.asking(self._link, type(request).__name__).within(asked))
        link = self._link
        engine = link.engine
        if engine.full or link.askers or engine.room <= 0:
            await self._wait_for_turn()
        answer: asyncio.Future[Any] = link.loop.create_future()
        try:
            id_ = link.messenger.ask(request, answer)
        except Exception:
            link.let_go_on()  # the turn may be the next one's
            raise
        link.wake()
        try:
            return await answer
        except asyncio.CancelledError:
            self._give_up(id_, answer)
            raise
        finally:
            del answer  # or an error, its traceback and this frame would hold each other

    async def _ask_within(
        self, request: AnyRequest, timeout: float, key: str | None, parts: AsyncIterator[Any] | None, *, urgent: bool
    ) -> Any:
        link = self._link
        until = link.loop.time() + timeout
        answer: asyncio.Future[Any] = link.loop.create_future()
        id_ = 0
        uploading: asyncio.Task[None] | None = None
        try:
            async with asyncio.timeout_at(until if timeout < inf else None):
                await self._wait_for_turn(urgent=urgent)
                left = until - link.loop.time()
                if left > 0:
                    id_ = self._begin(request, answer, milliseconds(left), key, urgent=urgent, parts=parts)
                    uploading = self._upload(request, id_, parts, answer)
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
            if uploading is not None:
                uploading.cancel()
            elif parts is not None:
                await close(parts)
            del answer  # as in `ask`

    @overload
    def stream(
        self, request: StreamRequest[ItemT], *, urgent: bool = False, key: str | None = None
    ) -> ItemStream[ItemT]: ...

    @overload
    def stream(
        self,
        request: DuplexRequest[PartT, ItemT],
        *,
        upload: AsyncIterable[PartT] | Iterable[PartT],
        urgent: bool = False,
        key: str | None = None,
    ) -> ItemStream[ItemT]: ...

    def stream(
        self,
        request: Any,
        *,
        upload: AsyncIterable[Any] | Iterable[Any] | None = None,
        urgent: bool = False,
        key: str | None = None,
    ) -> ItemStream[Any]:
        """The items that answer `request`, to loop over.

        ::

            async for tick in connection.stream(Watch("AAPL")):
                print(tick.price)

        Any number of streams and calls share the connection; none waits for another. What the loop may raise stands in
        `ItemStream`.

        Args:
            request: An instance of a subclass of `StreamRequest` or `DuplexRequest`.
            upload: The parts that follow a `DuplexRequest`, as of `ask`.
            urgent: Whether it overtakes all that waits to be sent and is not urgent; its items do so, too.
            key: As of `ask`.
        """
        if upload is None:
            check(request, StreamRequest, "ask(request)")
        else:
            check(request, DuplexRequest, "ask(request, upload=parts)")
        parts = None if upload is None else each(upload)
        link = self._link
        name = type(request).__name__
        taking = Taking(link, ItemDecoder(link.messenger.item_decoders(request), f"an item of {name}"))

        async def ask() -> None:
            await self._wait_for_turn(urgent=urgent)
            if Tracer.active is not None:
                taking.span = Tracer.active.streaming(link, name)
            try:
                with taking.span or nullcontext():
                    taking.id = link.messenger.open(request, taking, None, key, urgent=urgent)
            except Exception:
                link.let_go_on()  # the turn may be the next one's
                raise
            link.wake()
            taking.upload = self._upload(request, taking.id, parts, taking)

        return ItemStream(taking, ask)

    def _upload(
        self, request: AnyRequest, id_: int, parts: AsyncIterator[Any] | None, answer: Answer
    ) -> asyncio.Task[None] | None:
        if parts is None:
            return None
        link = self._link
        items = link.messenger.parts_of(request)
        assert items is not None, "whoever calls has looked"  # noqa: S101 - the house's own order
        return link.endpoint.spawn(send_parts(link, id_, items, parts, answer))

    def _begin(
        self,
        request: AnyRequest,
        answer: Answer,
        deadline: int | None = None,
        key: str | None = None,
        *,
        urgent: bool = False,
        parts: AsyncIterator[Any] | None = None,
    ) -> int:
        """Send a request whose turn it is; its id."""
        link = self._link
        try:
            if parts is None:
                id_ = link.messenger.ask(request, answer, deadline, key, urgent)
            else:
                check(request, UploadRequest, "ask(request)")
                id_ = link.messenger.open(request, answer, deadline, key, urgent=urgent)
        except Exception:
            link.let_go_on()  # the turn may be the next one's
            raise
        link.wake()
        return id_

    def _give_up(self, id_: int, answer: asyncio.Future[Any]) -> None:
        """Nobody waits for the answer any more; an `id_` of 0 has not been sent."""
        answer.cancel()
        pass_over(answer)
        self._link.engine.cancel(id_)
        self._link.wake()

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


def pass_over(answer: asyncio.Future[Any]) -> None:
    """What came in the moment of a cancellation is nobody's: say that it was seen."""
    if not answer.cancelled():
        answer.exception()


def check(request: Any, kind: type, otherwise: str) -> None:
    """Raise `TypeError` where a request is none of `kind`, and say how to ask it `otherwise`."""
    if not isinstance(request, kind):
        name = type(request).__name__
        raise TypeError(f"{name} is no tomada.{kind.__name__}: write `{otherwise}`, or with `upload=` what it needs")
