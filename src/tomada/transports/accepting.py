"""How connections are accepted at an address: by which sockets, and what becomes of each connection."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from tomada.address import Address
from tomada.transports.acceptor import Acceptor
from tomada.transports.admission import Admitted, Ticket
from tomada.transports.options import Options

if TYPE_CHECKING:
    from asyncio import AbstractServer


_ADOPTING: Final[set[asyncio.Task[object]]] = set()
"""Accepted sockets that are being given to the loop; it takes a turn."""


class Accepting(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done at one address.

    Without `make` and `take` the sockets are only bound, and nobody accepts at them.
    """

    address: Address
    backlog: int
    options: Options
    make: Callable[[], asyncio.Protocol] | None = None
    """Gives the protocol of a connection that is served on this loop."""
    take: Callable[[socket.socket, Ticket | None], None] | None = None
    """Takes a connection that is served elsewhere."""

    async def at_port(self, host: str, port: int) -> AbstractServer | Acceptor | Bound:
        """Listen at a TCP port of a numeric host."""
        loop = asyncio.get_running_loop()
        if self.make is not None and not can_watch(loop):
            return await loop.create_server(self.make, host, port, backlog=self.backlog)
        return self.at_socket(_bound_to_port(host, port, self.backlog, reuse=self.options.reuse_port))

    def at_socket(self, listening: socket.socket) -> Acceptor | Bound:
        """Accept at a socket that listens."""
        if self.take is not None:
            return Acceptor(listening, self.address, self.take, self.options.admission)
        if self.make is not None:
            return Acceptor(listening, self.address, self._adopt, self.options.admission)
        return Bound(listening)

    def _adopt(self, accepted: socket.socket, ticket: Ticket | None) -> None:
        assert self.make is not None, "or it would not have been accepted"  # noqa: S101 - the house's own order
        task = asyncio.get_running_loop().create_task(adopt(accepted, self.make, ticket))
        _ADOPTING.add(task)
        task.add_done_callback(_ADOPTING.discard)


class Bound:
    """A socket that listens, and that nobody accepts at yet: callers wait in its queue."""

    __slots__ = ("sockets",)

    def __init__(self, listening: socket.socket) -> None:
        self.sockets: tuple[socket.socket, ...] = (listening,)

    def close(self) -> None:
        """Close it, and drop who waits, unless somebody else has it too."""
        for listening in self.sockets:
            listening.close()
        self.sockets = ()


async def adopt(accepted: socket.socket, make: Callable[[], asyncio.Protocol], ticket: Admitted | None = None) -> None:
    """Put the running loop's transport around an accepted socket, with the protocol that `make` gives."""
    loop = asyncio.get_running_loop()

    def made() -> asyncio.Protocol:
        protocol = make()
        if ticket is not None:
            protocol.ticket = ticket  # type: ignore[attr-defined] # who is admitted has one: `Options.admission`
        return protocol

    try:
        accepted.setblocking(False)  # noqa: FBT003 - a socket's own
        await loop.connect_accepted_socket(made, accepted)
    except BaseException as error:
        accepted.close()
        if ticket is not None:
            ticket.release()
        if not isinstance(error, OSError):  # else it has gone already
            raise


def can_watch(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether the loop tells when a socket has something; on Windows, and on simulated networks, it does not."""
    return type(loop).add_reader is not asyncio.AbstractEventLoop.add_reader


def _bound_to_port(host: str, port: int, backlog: int, *, reuse: bool) -> socket.socket:
    flags = socket.AI_PASSIVE | socket.AI_NUMERICHOST
    family, _, _, _, name = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)[0]
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # there it would let two servers have one port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what is accepted inherits it
        listening.bind(name)
        listening.listen(backlog)
    except BaseException:
        listening.close()
        raise
    return listening


def bound_to_path(path: str, backlog: int) -> socket.socket:
    """A socket that listens at a socket file, which it makes. Raises `OSError`."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(path)
        listening.listen(backlog)
    except BaseException as error:
        listening.close()
        if isinstance(error, OSError) and error.errno is None:  # a path that is too long
            raise OSError(0, str(error)) from error
        raise
    return listening


def is_unix(listening: socket.socket) -> bool:
    """Whether it is the socket of a socket file."""
    return listening.family == getattr(socket, "AF_UNIX", None) and os.name == "posix"
