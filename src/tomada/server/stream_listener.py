"""`listen_stream`: an address whose byte streams a program accepts itself, one after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from tomada import transports
from tomada.address import Address
from tomada.capacity import Room
from tomada.errors import ListenFailed, TimedOut
from tomada.opening import Opening
from tomada.settings import TLS, Deadlines, Limits
from tomada.streams import Stream
from tomada.streams.flow import Flow
from tomada.telemetry import LimitStruck, Outcome, emit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType
    from typing import Self


class StreamListener:
    """Accepts byte streams at an address. Got from `listen_stream`; iterate over it for the streams that come.

    Args:
        waiting: How many streams may wait to be accepted.
    """

    __slots__ = ("_addresses", "_arrived", "_listener", "_most", "_waiting")

    def __init__(self, waiting: int) -> None:
        self._most = waiting
        self._waiting: deque[Flow] = deque()
        self._arrived = asyncio.Event()
        self._listener: transports.Listener | None = None
        self._addresses: tuple[Address, ...] = ()

    async def _listen(self, address: Address, tls: TLS | None, limits: Limits, deadlines: Deadlines) -> Self:
        admission = transports.Admission(limits)
        options = transports.Options(handshake=deadlines.handshake, tls=tls, admission=admission)
        factory = partial(Flow, limits, deadlines, self._begin, options=options, room=Room(limits.all_buffer_bytes))
        self._listener = await transports.listen(address, factory, options=options)
        self._addresses = self._listener.addresses
        return self

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where it listens, with the port that the system chose in place of 0; several where the host has several."""
        return self._addresses

    @property
    def address(self) -> Address:
        """The first of `addresses`."""
        return self._addresses[0]

    async def accept(self, *, timeout: float | None = None) -> Stream:
        """The next stream, to be closed by whoever has it. A call that is late or cancelled takes none.

        Args:
            timeout: In seconds; by default it waits until one comes.

        Raises:
            TimedOut: None came in time.
            ListenFailed: The listener is closed.
        """
        try:
            async with asyncio.timeout(timeout):
                return Stream(await self._next())
        except TimeoutError:
            raise TimedOut(f"nobody connected to {self.address} within {timeout:g} s") from None

    async def _next(self) -> Flow:
        while True:
            while self._waiting:
                flow = self._waiting.popleft()
                if not flow.lost:
                    return flow
            if self._listener is None:
                raise ListenFailed(f"{self.address} is not listened on any more: the listener was closed at this end")
            self._arrived.clear()
            await self._arrived.wait()

    async def __aiter__(self) -> AsyncIterator[Stream]:
        """The streams that come, until the listener is closed."""
        while self._listener is not None:
            try:
                stream = await self.accept()
            except ListenFailed:
                return
            yield stream

    async def close(self) -> None:
        """Stop listening, and cut the streams that nobody has accepted; the others go on.

        To call it again does nothing.
        """
        listener, self._listener = self._listener, None
        if listener is None:
            return
        listener.close()
        waiting, self._waiting = self._waiting, deque()
        for flow in waiting:
            flow.cut("the listener was closed")
        self._arrived.set()
        if waiting:
            await asyncio.wait([flow.ended for flow in waiting])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<StreamListener at {self.address}: {'closed' if self._listener is None else 'open'}>"

    def _begin(self, flow: Flow) -> None:
        refusal = "" if flow.ticket is None else flow.ticket.enter()
        if refusal:
            flow.refuse(refusal)
            return
        if len(self._waiting) >= self._most:
            self._waiting = deque(other for other in self._waiting if not other.lost)
        if self._listener is None or len(self._waiting) >= self._most:
            if LimitStruck.subscribers:
                refused, where = Outcome.REFUSED, str(flow.peer)
                emit(LimitStruck(limit="waiting", allowed=self._most, outcome=refused, where=where))
            flow.cut("too many streams wait to be accepted")
            return
        self._waiting.append(flow)
        flow.tell_open()
        self._arrived.set()


def listen_stream(
    address: str | Address,
    *,
    tls: TLS | None = None,
    waiting: int = 16,
    limits: Limits | None = None,
    deadlines: Deadlines | None = None,
) -> Opening[StreamListener]:
    """A listener for byte streams which the program accepts itself: for a port that lives as long as one task.

    ::

        async with tomada.listen_stream("tcp://127.0.0.1:0") as listener:
            print(listener.address)
            async with await listener.accept(timeout=10) as stream:
                await stream.send_file("report.pdf")

    or ``listener = await tomada.listen_stream(…)`` and, at the end, ``await listener.close()``. A program that serves
    all who come declares a handler with `App.stream`, which `tomada.serve` then runs, supervises and ends.

    Args:
        address: Where; an empty host means all interfaces, port 0 a free port, told by `StreamListener.address`.
        tls: Who this end is, on ``tls`` and ``wss`` addresses, and for `Stream.start_tls`.
        waiting: How many streams may wait to be accepted; one that is too many is cut.
        limits: What each stream may use, and how many there may be.
        deadlines: How long things may take.

    Raises:
        AddressError: The address cannot be read (at once).
        ListenFailed: It cannot be listened on (when entered or awaited); `AddressInUse` and `SystemPort` are kinds of
            it.
    """
    place = address if isinstance(address, Address) else Address.parse(address)

    async def listen() -> StreamListener:
        listener = StreamListener(waiting)
        return await listener._listen(place, tls, limits or Limits(), deadlines or Deadlines())  # noqa: SLF001 - one file

    return Opening(listen)
