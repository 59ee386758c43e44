"""A thread for each connection, with an event loop of its own: a handler that blocks keeps nobody else waiting.

The handlers are the same as ever, and share what ``on_start`` returned; so that must be made for several threads. A
plain ``def`` handler runs in a second thread that is the connection's alone, so that it stands in no heartbeat's way.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from tomada import transports
from tomada.endpoint import Endpoint, log
from tomada.event_loop import new_event_loop
from tomada.telemetry import LimitStruck, Outcome, emit
from tomada.transports.acceptor import drop

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from tomada.address import Address


class Place(NamedTuple):
    """Where connections come from, and what they get."""

    address: Address
    make: Callable[[Endpoint], Callable[[], asyncio.Protocol]]
    """Gives what makes the protocols of new connections."""
    options: transports.Options


_MARGIN: Final = 1.0
"""A thread that has not ended so many seconds after the drain deadline is left alone."""


class ConnectionThreads:
    """The threads of one server.

    Args:
        endpoint: The server's, which has started.
    """

    __slots__ = ("_endpoint", "_listeners", "_threads")

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._listeners: list[transports.Listener] = []
        self._threads: set[_ConnectionThread] = set()

    async def listen(self, place: Place) -> transports.Listener:
        """Accept there; each connection goes to a thread."""
        listener = await transports.accept(place.address, partial(self._take, place), options=place.options)
        self._listeners.append(listener)
        return listener

    def _take(self, place: Place, accepted: socket.socket, ticket: transports.Ticket | None) -> None:
        endpoint = self._endpoint
        # Whom a proxy speaks for is known only once its header has come: such a caller enters later.
        later = ticket if ticket is not None and place.options.proxied_by and not ticket.host else None
        if ticket is not None and later is None and ticket.enter():
            # It is told why, and that costs no thread.
            make = place.make(endpoint)
            endpoint.spawn(transports.adopt(accepted, place.address, make, place.options, ticket))
            return
        thread = _ConnectionThread(endpoint, place, accepted, later, partial(self._ended, ticket))
        try:
            thread.start()
        except RuntimeError as error:
            log.error("%s: a connection was dropped: %s", place.address, error)
            drop(accepted)
            if ticket is not None:
                ticket.release()
            return
        self._threads.add(thread)
        most = endpoint.limits.connection_threads
        if len(self._threads) >= most:
            if LimitStruck.subscribers:
                where = str(place.address)
                emit(LimitStruck(limit="connection_threads", allowed=most, outcome=Outcome.PAUSED, where=where))
            for listener in self._listeners:
                listener.pause()

    def _ended(self, ticket: transports.Ticket | None, thread: _ConnectionThread) -> None:
        self._threads.discard(thread)
        if ticket is not None:
            ticket.release()
        if len(self._threads) == self._endpoint.limits.connection_threads - 1 and not self._endpoint.is_closing:
            for listener in self._listeners:
                listener.resume()

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Of the threads that have one just now; each belongs to its thread."""
        return tuple(thread.endpoint for thread in tuple(self._threads) if thread.endpoint is not None)

    def leave(self) -> None:
        """Let all say goodbye."""
        for thread in tuple(self._threads):
            thread.call(Endpoint.leave)

    def cut(self) -> None:
        """End all at once."""
        for thread in tuple(self._threads):
            thread.call(Endpoint.cut)

    async def wait_for_end(self) -> None:
        """Wait until all have ended, or are hopeless: nobody can end a thread that blocks."""
        if self._threads:
            seconds = self._endpoint.deadlines.drain + _MARGIN
            await asyncio.wait([thread.ended for thread in self._threads], timeout=seconds)
        if self._threads:
            log.warning("%d threads of connections have not ended: their handlers block", len(self._threads))


class _ConnectionThread:
    """One thread, for one connection."""

    __slots__ = ("_accepted", "_calls", "_home", "_on_end", "_place", "_ticket", "ended", "endpoint")

    def __init__(
        self,
        home: Endpoint,
        place: Place,
        accepted: socket.socket,
        ticket: transports.Ticket | None,
        on_end: Callable[[_ConnectionThread], None],
    ) -> None:
        self._home = home
        self._place = place
        self._accepted = accepted
        self._ticket = ticket
        self._on_end = on_end
        self.endpoint: Endpoint | None = None
        self._calls: list[Callable[[Endpoint], None]] = []
        self.ended: asyncio.Future[None] = home.loop.create_future()
        """On the loop that accepted the connection."""

    def start(self) -> None:
        """Begin. Raises `RuntimeError`: the system has no thread."""
        Thread(target=self._run, name=f"tomada connection at {self._place.address}", daemon=True).start()

    def call(self, work: Callable[[Endpoint], None]) -> None:
        """Let the thread do something with its endpoint, now or as soon as it has one."""
        self._calls.append(work)
        endpoint = self.endpoint
        if endpoint is not None:
            with suppress(RuntimeError):  # its loop has just been closed
                endpoint.loop.call_soon_threadsafe(self._do_calls)

    def _do_calls(self) -> None:
        while self._calls and self.endpoint is not None:
            self._calls.pop(0)(self.endpoint)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                runner.run(self._serve())
        except Exception:  # noqa: BLE001 - told to the log
            log.exception("%s: the thread of a connection failed", self._place.address)
        finally:
            self._home.loop.call_soon_threadsafe(self._tell_end)

    def _tell_end(self) -> None:
        self._on_end(self)
        self.ended.set_result(None)

    async def _serve(self) -> None:
        endpoint = self.endpoint = Endpoint.beside(self._home, replace(self._home.limits, threads=1))
        self._do_calls()  # what came before there was an endpoint
        stay = _Stay(endpoint.loop.create_future(), self._ticket)
        address, make, options = self._place
        await transports.adopt(self._accepted, address, make(endpoint), options, stay)
        await stay.over
        await endpoint.stop()


class _Stay:
    """Told by whatever protocol is the connection's lowest that it has ended.

    Args:
        over: Done then.
        ticket: What it still has to enter with; ``None``: it has been counted.
    """

    __slots__ = ("_ticket", "over")

    def __init__(self, over: asyncio.Future[None], ticket: transports.Ticket | None) -> None:
        self._ticket = ticket
        self.over = over

    def called(self, host: str) -> None:
        """Whom its proxy speaks for."""
        if self._ticket is not None:
            self._ticket.called(host)

    def why_not(self) -> str:
        """Why there is no room."""
        return "" if self._ticket is None else self._ticket.why_not()

    def enter(self) -> str:
        """Why there is no room."""
        return "" if self._ticket is None else self._ticket.enter()

    def release(self) -> None:
        """The connection has ended; the server's own loop is told when its thread has."""
        if not self.over.done():
            self.over.set_result(None)
