"""A running server: where it listens, who is connected, and its end."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final, Protocol, cast

import msgspec

from tomada import transports
from tomada.address import Address
from tomada.connection import Connection
from tomada.durable import DurableLink
from tomada.endpoint import SUBPROTOCOL
from tomada.link import Link
from tomada.server.connection_threads import ConnectionThreads, Place
from tomada.server.datagrams import Datagrams
from tomada.server.statistics import ServerStatistics, counted
from tomada.server.streams import streams_of
from tomada.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from tomada.app import App
    from tomada.endpoint import Endpoint
    from tomada.errors import ChildrenFailed
    from tomada.server.children.front import Front
    from tomada.server.inherited import Inherited
    from tomada.sessions import Store
    from tomada.settings import Isolation
    from tomada.transports.datagrams.transport import DatagramStatistics

HANDOVER: Final = 1.0
"""Seconds in which who has just connected completes a handshake, asks, and is answered."""


class Companion(Protocol):
    """What runs beside a server."""

    async def close(self) -> None:
        """End it."""


class Server:
    """A running server. Got from `serve`."""

    __slots__ = (
        "_closed",
        "_companions",
        "_datagrams",
        "_endpoint",
        "_front",
        "_inherited",
        "_listeners",
        "_options",
        "_private",
        "_started_at",
        "_store",
        "_threads",
        "_watchdog",
    )

    def __init__(
        self,
        endpoint: Endpoint,
        options: transports.Options,
        isolation: Isolation,
        inherited: Inherited,
        front: Front | None = None,
        store: Store | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._store = store
        self._front = front
        """Where connections are served in processes of their own."""
        self._threads = ConnectionThreads(endpoint) if isolation == "thread" else None
        self._options = options
        self._listeners: list[transports.Listener] = []
        self._inherited = inherited
        self._datagrams = Datagrams(endpoint, inherited, options.rights)
        self._started_at = endpoint.loop.time()
        self._watchdog = Watchdog(endpoint.loop, endpoint.deadlines.turn, endpoint.handler_codes(), self._is_busy)
        self._closed: asyncio.Task[None] | None = None
        self._private: list[transports.Listener] = []
        """At addresses that are nobody else's business."""
        self._companions: list[Companion] = []

    async def start(self, app: App, addresses: tuple[Address, ...]) -> None:
        """Begin to serve; done once, by `Serving`."""
        endpoint = self._endpoint
        await endpoint.start()
        if self._store is not None:
            await endpoint.sessions.open(self._store, lambda: DurableLink(endpoint, Connection), endpoint.digest())
        self._watchdog.start()
        agreed = msgspec.structs.replace(self._options, subprotocol=SUBPROTOCOL)
        try:
            await self._datagrams.open(app, addresses)
            if self._front is not None:
                self._listeners += await self._front.open(self._options, self._inherited)
                return
            for address in self._datagrams.left(addresses):
                await self._listen(Place(address, _messages, agreed))
            for handler in app.stream_handlers:
                made = streams_of(handler, self._options)
                await self._listen(Place(handler.address, made, self._options))
        except BaseException:
            await self.close()
            raise
        finally:
            self._inherited.close()

    async def _listen(self, place: Place) -> None:
        options = self._inherited.options(place.address, place.options)
        if options is None:
            return  # another process serves it for all
        self._listeners.append(await self._listen_at(place._replace(options=options)))

    async def _listen_at(self, place: Place) -> transports.Listener:
        listen = self._listen_for_tasks if self._threads is None else self._threads.listen
        return await listen(place)

    async def _listen_for_tasks(self, place: Place) -> transports.Listener:
        make = place.make(self._endpoint)

        def woken() -> asyncio.Protocol:
            self._watchdog.wake()
            return make()

        return await transports.listen(place.address, woken, options=place.options)

    async def take_over(self, accepted: socket.socket, peer: Address, heard: bytes) -> None:
        """Go on with a connection that another process has accepted for this one.

        Args:
            accepted: It is this function's from now on.
            peer: Who has connected.
            heard: What came over it so far.
        """
        options = msgspec.structs.replace(self._options, proxied_by=())
        admission, ticket = options.admission, None
        if admission is not None:
            ticket = admission.admit(peer.host)
            if ticket is None:
                accepted.close()
                return
        self._watchdog.wake()
        link = _messages(self._endpoint)()
        plain = Address("unix" if accepted.family == getattr(socket, "AF_UNIX", None) else "tcp")
        await transports.adopt(accepted, plain, lambda: _Arrival(link, peer, heard), options, ticket)

    async def listen_privately(self, address: Address) -> None:
        """Listen for messages at one more unix address, which `addresses` does not name, for this user alone.

        Without effect where connections are served in child processes, which know the addresses from their beginning.

        Raises:
            ListenFailed: The system refused.
        """
        if self._front is not None:
            return
        rights = transports.FileRights(mode=0o600)
        options = msgspec.structs.replace(
            self._options, subprotocol=SUBPROTOCOL, rights=rights, allow_users=(), proxied_by=()
        )
        self._private.append(await self._listen_at(Place(address, _messages, options)))

    def accompany(self, companion: Companion) -> None:
        """Let something run beside this server: it is closed when the server has ended all that it serves."""
        self._companions.append(companion)

    def _is_busy(self) -> bool:
        """Whether any handler could run on the event loop just now."""
        endpoint = self._endpoint
        return bool(endpoint.connections or endpoint.flows or endpoint.tasks) or self._datagrams.is_open

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses where the server listens, with the ports that the system chose in place of 0."""
        listening = tuple(address for listener in self._listeners for address in listener.addresses)
        return listening + self._datagrams.addresses

    @property
    def datagram_statistics(self) -> dict[Address, DatagramStatistics]:
        """What became of the datagrams at each address that receives some."""
        return self._datagrams.statistics

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The connections of this moment, of those that are served on the server's own event loop."""
        return tuple(link.connection for link in self._endpoint.connections)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """What its connections share, for those of the house that look at all of them: several where threads serve."""
        return (self._endpoint, *(() if self._threads is None else self._threads.endpoints))

    @property
    def children(self) -> int:
        """How many child processes there are now."""
        return 0 if self._front is None else self._front.children

    @property
    def serving_children(self) -> int:
        """How many of them have a connection now."""
        return 0 if self._front is None else self._front.serving

    def statistics(self) -> ServerStatistics:
        """What the server has done so far; also when it is closed."""
        seconds = self._endpoint.loop.time() - self._started_at
        return counted(self._endpoint, self._options.admission, self._datagrams, self.addresses, seconds)

    @property
    def failed(self) -> asyncio.Future[ChildrenFailed] | None:
        """Where connections are served in child processes: done when there can be none any more, and why."""
        return None if self._front is None else self._front.failed

    def reload_certificates(self) -> None:
        """Read the files of `TLS` again now, not within the next seconds; open connections go on as they are.

        Raises:
            ListenFailed: They cannot be used; the old certificate stays.
        """
        for listener in self._listeners:
            listener.reload_certificates()
        if self._front is not None:
            self._front.renew()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self, *, handover: bool = False) -> None:
        """Stop listening, say goodbye to all, let what is under way end, up to the drain deadline; then cut the rest.

        To call it again waits for the same end.

        Args:
            handover: Whether another process accepts at the same sockets. Then those that were accepted here a moment
                ago are served for a second before they hear the goodbye, so that none is turned away.
        """
        if self._closed is None:
            self._closed = asyncio.get_running_loop().create_task(self._close(handover=handover))
        await asyncio.shield(self._closed)

    def cut(self) -> None:
        """End all connections and handlers at once; `close` then has little to wait for."""
        self._endpoint.cut()
        if self._threads is not None:
            self._threads.cut()
        if self._front is not None:
            self._front.cut()

    def stop_accepting(self) -> None:
        """Accept nobody any more, and receive no datagrams; what has been accepted goes on. `close` is to follow."""
        for listener in (*self._listeners, *self._private):
            listener.stop_accepting()
        self._datagrams.stop_receiving()

    async def _close(self, *, handover: bool) -> None:
        self.stop_accepting()
        if handover:
            await asyncio.sleep(HANDOVER)
        for listener in (*self._listeners, *self._private):
            listener.close()
        self._endpoint.leave()
        if self._threads is not None:
            self._threads.leave()
            await self._threads.wait_for_end()
        if self._front is not None:
            await self._front.close()
        while self._endpoint.connections:
            # All, and those that were accepted just now: they are cut when they come up.
            await asyncio.wait([link.ended for link in self._endpoint.connections])
        try:
            await self._endpoint.stop()
        finally:
            self._datagrams.close()
            self._watchdog.stop()
            await self._endpoint.sessions.close()
            for companion in self._companions:
                await companion.close()


class _Arrival(asyncio.Protocol):
    """Tells a link what had come before its transport was here; then steps aside."""

    def __init__(self, link: Link, peer: Address, heard: bytes) -> None:
        self.ticket: transports.Admitted | None = None
        self._link = link
        self._peer = peer
        self._heard = heard

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        link = self._link
        link.ticket = self.ticket
        cast("asyncio.Transport", transport).set_protocol(link)
        link.connection_made(transport)
        link.peer = self._peer
        link.data_received(self._heard)


def _messages(endpoint: Endpoint) -> Callable[[], Link]:
    kind = DurableLink if endpoint.sessions.is_durable else Link
    return lambda: kind(endpoint, Connection)
