"""The accepting side of datagrams: the handlers of `App.datagram`, and how many of them run."""

from __future__ import annotations

import asyncio
import os
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from tomada.datagrams.directory import KEPT, Directory
from tomada.datagrams.peer import AMPLIFICATION, DatagramPeer
from tomada.eager import Suspended
from tomada.endpoint import log
from tomada.server.datagram_messages import MessageService, limits_of
from tomada.telemetry import tally as tallies
from tomada.telemetry.spans import span
from tomada.transports.datagrams.names import Names
from tomada.transports.datagrams.opening import SCHEMES, adopt_datagrams, open_datagrams

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Sequence

    from tomada.address import Address
    from tomada.app import App
    from tomada.datagrams.declaration import DatagramHandler
    from tomada.endpoint import Endpoint
    from tomada.server.inherited import Inherited
    from tomada.transports.datagrams.transport import DatagramStatistics, DatagramTransport
    from tomada.transports.rights import FileRights

_SECRET_BYTES: Final = 32


class _Run:
    """Handlers that are started one after another by one coroutine, until one of them waits."""

    __slots__ = ("goes_on",)

    def __init__(self) -> None:
        self.goes_on = True


class HandlerService:
    """Runs one handler for the datagrams of its address.

    A coroutine of ours awaits the handler for one datagram after the other, so that handlers that do not wait cost no
    task and no exception. Where one waits, its coroutine is left to it, and another goes on with the next datagram.
    """

    def __init__(self, endpoint: Endpoint, handler: DatagramHandler) -> None:
        self._endpoint = endpoint
        self._handler = handler
        self._call: Callable[[bytes, DatagramPeer], Any] = self._bound(handler)
        self._peers: dict[Any, DatagramPeer] = {}
        self._directory = Directory(Names(0, handler.address.scheme, is_dual=False).address)
        self._busy = 0
        self.transport: DatagramTransport

    def _bound(self, handler: DatagramHandler) -> Callable[[bytes, DatagramPeer], Any]:
        call = handler.bind(self._endpoint.given(handler.asks_for))
        if handler.is_async:
            return call
        return lambda datagram, peer: self._endpoint.in_thread(partial(call, datagram, peer))

    @property
    def address(self) -> Address:
        """Where it is to receive."""
        return self._handler.address

    async def open(self, bound: socket.socket | None, rights: FileRights) -> None:
        """Begin to receive; at a socket that is bound already, where there is one."""
        limits = limits_of(self._endpoint.limits)
        options = msgspec.structs.replace(self._handler.options, limits=limits, rights=rights)
        if bound is not None:
            self.transport = await adopt_datagrams(bound, self.address, self, options)
        else:
            self.transport = await open_datagrams(self.address, self, options=options)

    # The transport calls these.

    def datagrams_received(self, datagrams: Sequence[bytes], name: Any) -> None:
        """Run the handler for each."""
        peer = self._peers.get(name)
        if peer is None:
            peer = self._peer(name)
        peer.credit += AMPLIFICATION * sum(map(len, datagrams))
        left = iter(datagrams)
        is_done = False
        while not is_done:
            if self._busy >= self.transport.limits.handlers:
                self.transport.statistics.dropped += len(list(left))
                return
            is_done = self._start(left, peer)

    def _start(self, left: Iterator[bytes], peer: DatagramPeer) -> bool:
        """Go on until a handler waits; whether there is nothing more to do."""
        run = _Run()
        starter = self._endpoint.starter
        try:
            with starter:
                outcome = starter.start(self._work(left, peer, run))
        except asyncio.CancelledError:
            self.transport.statistics.failed += 1
            log.warning("%s: %s cancelled itself", peer.address, self._handler.where)
            return False
        if outcome.__class__ is not Suspended:
            return cast("bool", outcome)
        run.goes_on = False
        self._busy += 1
        task = starter.carry(outcome, self._finish(outcome, peer))
        self._endpoint.tasks.add(task)
        return False

    async def _work(self, left: Iterator[bytes], peer: DatagramPeer, run: _Run) -> bool:
        call = self._spanned if tallies.is_wanted else self._call
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        before = copy_context()
        for datagram in left:
            try:
                await call(datagram, peer)
            except Exception as error:  # noqa: BLE001 - told to the log
                self._raised(peer, error)
            # The next handler is to find nothing that this one has left: no context variable, no cancellation.
            if not run.goes_on or task.cancelling() or copy_context() != before:
                return False
        return True

    def _spanned(self, datagram: bytes, peer: DatagramPeer) -> Any:
        return span(self._call(datagram, peer), self._handler.where, peer.address)

    async def _finish(self, suspended: Suspended, peer: DatagramPeer) -> None:
        try:
            await suspended
        except asyncio.CancelledError:
            self.transport.statistics.failed += 1
            log.warning("%s: %s was cancelled", peer.address, self._handler.where)
        finally:
            self._busy -= 1
            self._endpoint.tasks.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    def _raised(self, peer: DatagramPeer, error: Exception) -> None:
        self.transport.statistics.failed += 1
        log.error("%s: %s raised", peer.address, self._handler.where, exc_info=error)

    def _peer(self, name: Any) -> DatagramPeer:
        if len(self._peers) >= KEPT:
            self._peers.clear()  # with what they were owed: to forget it never sends anybody more
        # The system itself says who sends through a socket file.
        trusted = self._handler.trusted or self._handler.address.scheme == "unixgram"
        peer = self._peers[name] = DatagramPeer(self.transport, self._directory, name, trusted=trusted)
        return peer

    def peer_refused(self, error: OSError) -> None:
        """An answer met nobody; it is counted."""

    def room_again(self) -> None:
        """Nobody waits here."""


class Datagrams:
    """All sockets for datagrams of one server."""

    __slots__ = ("_endpoint", "_inherited", "_rights", "_services")

    def __init__(self, endpoint: Endpoint, inherited: Inherited, rights: FileRights) -> None:
        self._endpoint = endpoint
        self._inherited = inherited
        self._rights = rights
        self._services: list[HandlerService | MessageService] = []

    async def open(self, app: App, addresses: Sequence[Address]) -> None:
        """Open what the application declares, and those of the addresses that are for messages in datagrams."""
        for address in addresses:
            if address.scheme in SCHEMES:
                await self._open(MessageService(self._endpoint, address, os.urandom(_SECRET_BYTES)))
        for handler in app.datagram_handlers:
            await self._open(HandlerService(self._endpoint, handler))

    @staticmethod
    def left(addresses: Sequence[Address]) -> list[Address]:
        """Those that are for connections."""
        return [address for address in addresses if address.scheme not in SCHEMES]

    async def _open(self, service: HandlerService | MessageService) -> None:
        sockets = self._inherited.take(service.address)
        if sockets == ():
            return  # another worker serves it for all
        await service.open(sockets[0] if sockets else None, self._rights)
        self._services.append(service)

    @property
    def is_open(self) -> bool:
        """Whether there is any: a datagram may come at any time."""
        return bool(self._services)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where they are."""
        return tuple(service.transport.address for service in self._services)

    @property
    def statistics(self) -> dict[Address, DatagramStatistics]:
        """The counts of each, by its address."""
        return {service.transport.address: service.transport.counted() for service in self._services}

    def stop_receiving(self) -> None:
        """Start no handler any more; those that run may still answer."""
        for service in self._services:
            service.transport.stop_receiving()

    def close(self) -> None:
        """Close all."""
        for service in self._services:
            service.transport.close()
