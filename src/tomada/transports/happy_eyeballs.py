"""Connecting to a name that stands for several addresses: RFC 8305, "happy eyeballs", by the loop's own API.

The next address is tried as soon as one has failed, or has not answered for a moment; the first that accepts is taken.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections import deque
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

P = TypeVar("P", bound=asyncio.Protocol)

HEAD_START: Final = 0.25
"""Seconds that an address has before the next one is tried as well: section 5 of the RFC."""


class LookUpTimedOut(TimeoutError):
    """Nobody said in time which addresses the name stands for."""


class AllFailed(OSError):
    """No address of a name could be connected to.

    Attributes:
        errors: Why, by numeric host.
    """

    def __init__(self, errors: Mapping[str, OSError]) -> None:
        super().__init__("; ".join(f"{host}: {error}" for host, error in errors.items()))
        self.errors = dict(errors)


async def connect(host: str, port: int, factory: Callable[[], P], timeout: float) -> tuple[asyncio.Transport, P]:
    """The first connection that an address of ``host`` accepts.

    Args:
        host: A name.
        port: The port.
        factory: Gives the protocol; asked once for every address that accepts, until one is taken.
        timeout: Seconds for the look-up, and for each address.

    Raises:
        LookUpTimedOut: The look-up took too long.
        AllFailed: No address could be connected to.
        OSError: The only one could not; or the name is not known (``socket.gaierror``).
        UnicodeError: The name cannot be asked for.
    """
    try:
        async with asyncio.timeout(timeout):
            infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError as error:
        raise LookUpTimedOut(str(error)) from error
    hosts = interleaved(infos)
    if len(hosts) == 1:
        return await connect_to(hosts[0], port, factory, timeout)
    return await _Race(port, factory, timeout).first(hosts)


def interleaved(infos: Iterable[tuple[Any, ...]]) -> list[str]:
    """The numeric hosts that ``getaddrinfo`` gave, in its order, but of its families in turn.

    So where one family leads nowhere, the other is tried next: section 4 of the RFC.
    """
    families: dict[int, list[str]] = {}
    for family, _, _, _, name in infos:
        zone = f"%{name[3]}" if len(name) > 3 and name[3] else ""  # noqa: PLR2004 - the place of the scope; link-local addresses lead nowhere without it
        families.setdefault(family, []).append(f"{name[0]}{zone}")
    return list(dict.fromkeys(host for row in zip_longest(*families.values()) for host in row if host is not None))


def failed(errors: Mapping[str, OSError]) -> OSError:
    """What to raise where all addresses have failed, each for its reason."""
    if not errors:
        return socket.gaierror(socket.EAI_NONAME, "the name stands for no address")
    return next(iter(errors.values())) if len(errors) == 1 else AllFailed(errors)


async def connect_to(host: str, port: int, factory: Callable[[], P], timeout: float) -> tuple[asyncio.Transport, P]:
    """A connection to one numeric host. Raises `OSError`, and `TimeoutError` after ``timeout`` seconds."""
    async with asyncio.timeout(timeout):
        transport, protocol = await asyncio.get_running_loop().create_connection(factory, host, port)
    try:
        check_ends(*_ends(transport))
    except ConnectionRefusedError:
        transport.abort()
        raise
    return transport, protocol


def _ends(transport: asyncio.Transport) -> tuple[object, object]:
    """The names of both ends of a connection, which differ where it has none any more."""
    try:
        return transport.get_extra_info("sockname"), transport.get_extra_info("peername")
    except (OSError, ValueError):
        # uvloop asks the socket, and this one was reset in the moment that it was made: its protocol hears of that.
        return None, ""


def check_ends(own: object, peer: object) -> None:
    """Raise `ConnectionRefusedError` where a socket has met itself, by the names of both ends.

    A local port out of the system's own range may be picked as the source as well, and TCP joins the two.
    """
    if own == peer:
        raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))


class _Race(Generic[P]):
    """Attempts to connect to several addresses, of which one is to win."""

    __slots__ = ("_factory", "_loop", "_port", "_timeout", "winner")

    def __init__(self, port: int, factory: Callable[[], P], timeout: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._port = port
        self._factory = factory
        self._timeout = timeout
        self.winner: _Runner[P] | None = None

    async def first(self, hosts: list[str]) -> tuple[asyncio.Transport, P]:
        """The first connection that one of the numeric hosts accepts; the others are given up."""
        left = deque(hosts)
        running: dict[asyncio.Task[tuple[asyncio.Transport, P]], str] = {}
        errors: dict[str, OSError] = {}
        try:
            while left or running:
                if left:
                    host = left.popleft()
                    running[self._loop.create_task(self._attempt(host))] = host
                pause = HEAD_START if left else None
                done, _ = await asyncio.wait(running, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    host = running.pop(task)
                    try:
                        return task.result()
                    except OSError as error:
                        errors[host] = error
            raise failed(errors)
        finally:
            for task in running:
                task.add_done_callback(_drop)
                task.cancel()
            if running:
                await asyncio.wait(running)

    async def _attempt(self, host: str) -> tuple[asyncio.Transport, P]:
        runner = _Runner(self, self._factory)
        try:
            transport, _ = await connect_to(host, self._port, lambda: runner, self._timeout)
            return transport, runner.protocol()
        except BaseException:
            if self.winner is runner:
                self.winner = None
            raise


class _Runner(asyncio.Protocol, Generic[P]):
    """Stands where the protocol will be, until it is known whether its connection is the first.

    uvloop asks for the protocol before it connects, so that to be asked says nothing.
    """

    def __init__(self, race: _Race[P], factory: Callable[[], P]) -> None:
        self._race = race
        self._factory = factory
        self._protocol: P | None = None
        self._error: Exception | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast("asyncio.Transport", transport)
        if self._race.winner is not None:
            stream.abort()
            return
        self._race.winner = self
        try:
            protocol = self._protocol = self._factory()
        except Exception as error:  # noqa: BLE001 - it is raised to who connects
            self._error = error
            stream.abort()
        else:
            stream.set_protocol(protocol)
            protocol.connection_made(stream)

    def protocol(self) -> P:
        """The real one. Raises what the factory raised; `ConnectionAbortedError` where another runner was first."""
        if self._error is not None:
            raise self._error
        if self._protocol is None:
            raise ConnectionAbortedError(errno.ECONNABORTED, "another address was quicker")
        return self._protocol


def _drop(task: asyncio.Task[tuple[asyncio.Transport, Any]]) -> None:
    """An attempt that was given up may have succeeded in the same moment."""
    if not task.cancelled() and task.exception() is None:
        task.result()[0].abort()
