"""How threads ask over a connection: in turn, within the limits of both ends, with and without streams.

The lower half of a `tomada.sync.Connection`.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar, overload

from tomada.asking import check
from tomada.client.blocking_items import ItemStream, Taking, send_parts
from tomada.client.calls import Answer
from tomada.client.wire import letting_go
from tomada.errors import TimedOut
from tomada.items.decoding import ItemDecoder
from tomada.items.pouring import check_parts
from tomada.message import DuplexRequest, StreamRequest, UploadRequest
from tomada.protocol.metadata import milliseconds
from tomada.telemetry import late
from tomada.telemetry.tracer import Tracer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tomada.address import Address
    from tomada.client.pump import Pump
    from tomada.message import AnyRequest, Request

ReplyT = TypeVar("ReplyT")
ItemT = TypeVar("ItemT")
PartT = TypeVar("PartT")


class Asking:
    """Asks over one connection."""

    def __init__(self, address: Address, pump: Pump) -> None:
        self._peer = address
        self._pump = pump

    @property
    def peer(self) -> Address:
        """The address of the other end."""
        return self._peer

    @overload
    def ask(
        self,
        request: Request[ReplyT],
        *,
        timeout: float | None = None,
        urgent: bool = False,
        key: str | None = None,
    ) -> ReplyT: ...

    @overload
    def ask(
        self,
        request: UploadRequest[PartT, ReplyT],
        *,
        upload: Iterable[PartT],
        timeout: float | None = None,
        urgent: bool = False,
        key: str | None = None,
    ) -> ReplyT: ...

    @letting_go
    def ask(
        self,
        request: Any,
        *,
        upload: Iterable[Any] | None = None,
        timeout: float | None = None,
        urgent: bool = False,
        key: str | None = None,
    ) -> Any:
        """The server's reply to `request`. See `tomada.Connection.ask`.

        While the connection is lost, and made again, it just takes longer.

        Args:
            request: An instance of a subclass of `Request` or `UploadRequest`.
            upload: The parts that follow an `UploadRequest`, from any iterable. They are sent by this thread, as fast
                as the handler takes them; where it answers before all are sent, the rest is not, and a generator is
                closed. What the iterator raises is raised here, and the handler is cancelled.
            timeout: In seconds; none by default. The server is told how much of it is left, and cancels its handler
                when it has passed. It does not interrupt the iterator of an upload.
            urgent: Whether it overtakes all that waits to be sent and is not urgent; its reply does so, too.
            key: By which its handler recognises it (`Request.key`), up to 200 characters: for a request that is asked
                again after its outcome was unknown. By default each request has one of its own.

        Raises:
            RemoteError: The handler raised.
            MessageError: The request, a part, or the reply does not fit its type.
            TimedOut: No reply came in time. Whether the handler has done its work is not known.
            OutcomeUnknown: The session ended first. Whether the handler has done its work is not known.
            ConnectionLost: The connection has ended, or did before the request was sent.
        """
        tracer = Tracer.active
        if tracer is None:
            return self._ask(request, upload, timeout, key, urgent=urgent)
        with tracer.asking(self._pump, type(request).__name__):
            return self._ask(request, upload, timeout, key, urgent=urgent)

    def _ask(
        self, request: Any, upload: Iterable[Any] | None, timeout: float | None, key: str | None, *, urgent: bool
    ) -> Any:
        pump = self._pump
        deadline = None if timeout is None else time.monotonic() + timeout
        if upload is not None:
            check(request, UploadRequest, "ask(request)")
            check_parts(upload)
        answer = Answer()
        id_ = self._begin(request, answer, deadline, key, urgent=urgent, streams=upload is not None)
        try:
            pump.flush(deadline)
            if id_ and upload is not None:
                send_parts(pump, id_, request, upload, answer, deadline)
            # Late is late, by the clock of this end or by the server's.
            if not (id_ and pump.until(answer.done, deadline)) or (timeout is not None and answer.is_late):
                late("ask", timeout or 0, self._peer)
                raise TimedOut(f"no reply to {type(request).__name__} from {self._peer} within {timeout:g} s")
            return answer.result()
        finally:
            if id_ and not answer.done():
                pump.give_up(id_)
            del answer  # or an error, its traceback and this frame would hold each other

    @overload
    def stream(
        self, request: StreamRequest[ItemT], *, urgent: bool = False, key: str | None = None
    ) -> ItemStream[ItemT]: ...

    @overload
    def stream(
        self,
        request: DuplexRequest[PartT, ItemT],
        *,
        upload: Iterable[PartT],
        urgent: bool = False,
        key: str | None = None,
    ) -> ItemStream[ItemT]: ...

    def stream(
        self,
        request: Any,
        *,
        upload: Iterable[Any] | None = None,
        urgent: bool = False,
        key: str | None = None,
    ) -> ItemStream[Any]:
        """The items that answer `request`, to loop over.

        ::

            for tick in connection.stream(Watch("AAPL")):
                print(tick.price)

        Any number of streams and calls share the connection; none waits for another. What the loop may raise stands in
        `ItemStream`.

        Args:
            request: An instance of a subclass of `StreamRequest` or `DuplexRequest`.
            upload: The parts that follow a `DuplexRequest`, from any iterable; it is asked for them in a thread of its
                own.
            urgent: Whether it overtakes all that waits to be sent and is not urgent; its items do so, too.
            key: As of `ask`.
        """
        if upload is None:
            check(request, StreamRequest, "ask(request)")
        else:
            check(request, DuplexRequest, "ask(request, upload=parts)")
            check_parts(upload)
        pump = self._pump
        name = type(request).__name__
        taking = Taking(ItemDecoder(pump.messenger.item_decoders(request), f"an item of {name}"))

        def begin() -> None:
            if Tracer.active is not None:
                taking.span = Tracer.active.streaming(pump, name)
            with taking.span or nullcontext():
                taking.id = self._begin(request, taking, None, key, urgent=urgent, streams=True)
            pump.flush()

        return ItemStream(pump, taking, begin, None if upload is None else (request, upload))

    def _begin(
        self,
        request: AnyRequest,
        answer: Answer,
        deadline: float | None,
        key: str | None,
        *,
        urgent: bool,
        streams: bool,
    ) -> int:
        """Queue the request in its turn; 0 where the deadline has passed first."""
        pump = self._pump

        def queue() -> int:
            left = inf if deadline is None else max(0.0, deadline - time.monotonic())
            if streams:
                return pump.messenger.open(request, answer, milliseconds(left), key, urgent=urgent)
            return pump.messenger.ask(request, answer, milliseconds(left), key, urgent)

        if deadline is not None and deadline <= time.monotonic():
            return 0
        entered = pump.enter(queue, asks=True, urgent=urgent, deadline=deadline)
        return 0 if entered is None else entered[0]
