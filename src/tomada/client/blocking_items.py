"""A stream of items for threads, as its caller sees it; and the parts that a caller uploads."""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Iterator
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from tomada.client.calls import Answer
from tomada.client.wire import letting_go
from tomada.errors import InvalidMessage, MessageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import Self

    from tomada.client.pump import Pump
    from tomada.items.decoding import ItemDecoder
    from tomada.message import AnyRequest
    from tomada.telemetry.tracer import Streaming

ItemT = TypeVar("ItemT")


class Taking(Answer):
    """The items that answer a request, as they came; bounded by the credit of their stream.

    Args:
        decode: What reads them.
    """

    __slots__ = ("decode", "id", "items", "span")

    def __init__(self, decode: ItemDecoder) -> None:
        super().__init__()
        self.id = 0
        """Of the request; 0 where it has not been sent."""
        self.items: deque[tuple[int, bytes]] = deque()
        self.decode = decode
        self.span: Streaming | None = None
        """Told of its end, where anybody makes spans."""

    # The messenger calls these, under the lock of the pump's state.

    def item(self, type_: int, payload: bytes) -> None:
        """Take what has come."""
        if not self.is_done:
            self.items.append((type_, payload))

    def end(self) -> None:
        """There are no more."""
        self.is_done = True
        self.tell_end()

    def set_exception(self, error: BaseException, /) -> None:
        """It ends with an error, behind the items that have come."""
        super().set_exception(error)
        self.tell_end(error)

    def tell_end(self, error: BaseException | None = None, *, is_given_up: bool = False) -> None:
        """Tell who makes spans."""
        if self.span is not None:
            self.span.end(error, is_given_up=is_given_up)

    # Who takes them.

    def is_ready(self) -> bool:
        """Whether there is an item, or the end."""
        return bool(self.items) or self.is_done


class ItemStream(Iterator[ItemT]):
    """The items that answer one request, for one ``for`` loop, in one thread.

    Got from `tomada.sync.Connection.stream`. The request is sent when the loop begins. At most as many items wait here
    as `Limits.stream_bytes` allows: a loop that is slow makes the handler at the other end slow. Leaving the loop
    before its end, in whichever way, cancels that handler; where the stream is held on to after that, close it, with
    ``with`` or `close`. Over a lost connection it goes on where it was.

    The loop, or whoever else takes an item, raises, after the items before it:

    - `RemoteError`: The handler raised; a subclass, with fields, where one of that name is known here.
    - `MessageError`: The request, a part or an item does not fit its type.
    - `OutcomeUnknown`: The session ended first.
    - `ConnectionLost`: The connection has ended, or did before the request was sent.
    - what the iterator of the parts raised.
    """

    __slots__ = ("_begin", "_is_begun", "_pump", "_taking", "_upload")

    def __init__(
        self,
        pump: Pump,
        taking: Taking,
        begin: Callable[[], None],
        upload: tuple[AnyRequest, Iterable[Any]] | None,
    ) -> None:
        self._pump = pump
        self._taking = taking
        self._begin = begin
        self._upload = upload
        self._is_begun = False

    @letting_go
    def __next__(self) -> ItemT:
        self._ask()
        pump, taking = self._pump, self._taking
        while not taking.items:
            if taking.is_done:
                self._raise_end()
            pump.until(taking.is_ready)
        type_, payload = taking.items.popleft()
        pump.consume(taking.id, len(payload))
        try:
            item: ItemT = taking.decode(type_, payload)
        except MessageError:
            self.close()
            raise
        return item

    def _raise_end(self) -> None:
        error, self._taking.error = self._taking.error, None
        if error is None:
            raise StopIteration
        try:
            raise error
        finally:
            del error  # or it, its traceback and this frame would hold each other

    @letting_go
    def close(self) -> None:
        """Take no more items; the handler at the other end is cancelled if it has not ended. It waits for nothing."""
        taking = self._taking
        self._is_begun = True
        was_done, taking.is_done = taking.is_done, True
        taking.error = None
        taking.items.clear()
        if taking.id and not was_done:
            taking.tell_end(is_given_up=True)
            self._pump.give_up(taking.id)

    @letting_go
    def __enter__(self) -> Self:
        self._ask()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        taking = self._taking
        if taking.id and not taking.is_done:
            taking.is_done = True
            if taking.span is not None:
                taking.span.end_sometime()
            # In whichever thread, and in the middle of whatever it was doing.
            self._pump.give_up_sometime(taking.id)

    def _ask(self) -> None:
        if self._is_begun:
            return
        try:
            self._begin()
        finally:
            self._is_begun = self._taking.id != 0
        if self._upload is not None:
            request, parts = self._upload
            arguments = self._pump, self._taking.id, request, parts, self._taking
            Thread(target=_upload, args=arguments, name="tomada upload", daemon=True).start()


def send_parts(
    pump: Pump, id_: int, request: AnyRequest, parts: Iterable[Any], answer: Answer, deadline: float | None = None
) -> None:
    """Send what `parts` gives behind a request, until all has gone, or it is answered, or the deadline has passed.

    Raises `InvalidMessage` where a part does not fit its type, and what the iterator raises.
    """
    items = pump.messenger.parts_of(request)
    assert items is not None, "whoever calls has looked"  # noqa: S101 - the house's own order
    iterator = iter(parts)
    try:
        for part in iterator:
            try:
                if not pump.put(id_, items, part, answer, deadline):
                    return
            except InvalidMessage as error:
                raise InvalidMessage(f"a part does not fit: {error}") from error
    finally:
        if isinstance(iterator, types.GeneratorType):
            iterator.close()
    pump.end_parts(id_)


def _upload(pump: Pump, id_: int, request: AnyRequest, parts: Iterable[Any], taking: Taking) -> None:
    """Send the parts of a stream, in a thread; what goes wrong is told to who takes the items."""
    try:
        send_parts(pump, id_, request, parts, taking)
    except BaseException as error:  # noqa: BLE001 - whatever the caller's iterator raises is the caller's
        if not taking.is_done:
            pump.fail_asked(id_, taking, error)
