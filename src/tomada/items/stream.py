"""A stream of items, as its caller sees it; and the parts that a caller uploads."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from tomada.errors import InvalidMessage, MessageError
from tomada.items.arrivals import Arrivals
from tomada.items.pouring import WrongItem, pour

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable
    from types import TracebackType
    from typing import Self

    from tomada.declaration import Items
    from tomada.items.carrying import Carrying
    from tomada.items.decoding import ItemDecoder
    from tomada.repertoire import Answer
    from tomada.telemetry.tracer import Streaming

ItemT = TypeVar("ItemT")


class Taking(Arrivals):
    """The items that answer a request of this end."""

    __slots__ = ("span", "upload")

    def __init__(self, carrying: Carrying, decode: ItemDecoder) -> None:
        super().__init__(carrying, decode)
        self.span: Streaming | None = None
        """Told of its end, where anybody makes spans."""
        self.upload: asyncio.Task[None] | None = None
        """Sends the parts, if any."""

    def done(self) -> bool:
        """Whether there will be no more."""
        return self.is_complete

    def set_result(self, value: Any, /) -> None:
        """Never called: one reply is none of the items."""

    def set_exception(self, error: BaseException, /) -> None:
        """The stream ends with an error, behind the items that have come."""
        self.end(error)

    def end(self, error: BaseException | None = None) -> None:
        """The stream has ended."""
        self.finish(error)
        if self.upload is not None:
            self.upload.cancel()
        if self.span is not None:
            self.span.end(error)

    def abandon(self) -> None:
        """Nobody takes the items any more: the generator at the other end is cancelled."""
        if not self.is_complete:
            self._carrying.engine.cancel(self.id)
            self._carrying.wake()
            if self.span is not None:
                self.span.end(is_given_up=True)
        self.end()
        self.discard()


class ItemStream(AsyncIterator[ItemT]):
    """The items that answer one request, for one ``async for`` loop.

    Got from `Connection.stream`. The request is sent when the loop begins. At most as many items wait here as
    `Limits.stream_bytes` allows: a loop that is slow makes the handler at the other end slow. Leaving the loop before
    its end, in whichever way, cancels that handler; where the stream is held on to after that, close it, with
    ``async with`` or `aclose`. As with any asynchronous generator, a wait for an item that is cancelled, or that
    `asyncio.timeout` gives up, is the end of it. Over a lost connection it goes on where it was.

    The loop, or whoever else takes an item, raises, after the items before it:

    - `RemoteError`: The handler raised; a subclass, with fields, where one of that name is known here.
    - `MessageError`: The request, a part or an item does not fit its type.
    - `OutcomeUnknown`: The session ended first.
    - `ConnectionLost`: The connection has ended, or did before the request was sent.
    - what the iterator of the parts raised.
    """

    __slots__ = ("__weakref__", "_ask", "_is_begun", "_taking")

    def __init__(self, taking: Taking, ask: Callable[[], Awaitable[None]]) -> None:
        self._taking = taking
        self._ask = ask
        self._is_begun = False

    async def __anext__(self) -> ItemT:
        if not self._is_begun:
            await self._begin()
        try:
            item: ItemT = await self._taking.take()
        except (MessageError, CancelledError):
            # A task that is cancelled may be held on to, and its frame with the stream: that must not keep it open.
            self._taking.abandon()
            raise
        return item

    async def aclose(self) -> None:
        """Take no more items; the handler at the other end is cancelled if it has not ended. It waits for nothing."""
        self._is_begun = True
        self._taking.abandon()

    async def __aenter__(self) -> Self:
        await self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        taking = self._taking
        if self._is_begun and not taking.is_complete:
            # In whichever thread, and in the middle of whatever it was doing: so not at once.
            with suppress(RuntimeError):  # the loop is closed, and the connection with it
                taking.call_soon(taking.abandon)

    async def _begin(self) -> None:
        if self._is_begun:
            return
        self._is_begun = True
        try:
            await self._ask()
        except BaseException:
            if not self._taking.id:
                self._is_begun = False
            raise


async def send_parts(carrying: Carrying, id_: int, parts: Items, source: AsyncIterator[Any], answer: Answer) -> None:
    """Upload what `source` gives. What it raises is the answer then, and the request is given up."""
    failure: Exception
    try:
        await pour(carrying, id_, parts, source)
    except WrongItem as error:
        failure = InvalidMessage(f"a part does not fit: {error}")
    except Exception as error:  # noqa: BLE001 - whatever the caller's iterator raises is the caller's
        failure = error
    else:
        carrying.engine.end(id_)
        carrying.wake()
        return
    if answer.done():
        raise failure  # nobody is left to be told but the loop
    carrying.engine.cancel(id_)
    carrying.wake()
    answer.set_exception(failure)
