"""How connections are accepted at an address: by which sockets, and what becomes of each connection."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

import msgspec

from tomada.address import Address
from tomada.errors import ListenFailed
from tomada.transports import rights
from tomada.transports.acceptor import Acceptor
from tomada.transports.admission import Admission, Admitted, Ticket
from tomada.transports.callers import Callers
from tomada.transports.options import Options

if TYPE_CHECKING:
    from asyncio import AbstractServer

    from tomada.transports.rights import FileRights

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
    callers: Callers = Callers()
    """Says who they are."""

    def ready(self) -> Accepting:
        """The same, with what `options` say of callers. Raises `ListenFailed`: a user that may connect is not known."""
        return msgspec.structs.replace(self, callers=Callers.at(self.address, self.options))

    async def at_port(self, host: str, port: int) -> AbstractServer | Acceptor | Bound:
        """Listen at a TCP port of a numeric host."""
        loop = asyncio.get_running_loop()
        if self.make is not None and not can_watch(loop):
            return await loop.create_server(self.admitting(), host, port, backlog=self.backlog)
        return self.at_socket(_bound_to_port(host, port, self.backlog, reuse=self.options.reuse_port))

    def at_socket(self, listening: socket.socket) -> Acceptor | Bound:
        """Accept at a socket that listens."""
        take = self.take or (None if self.make is None else self._adopt)
        if take is None:
            return Bound(listening)
        address, name = self.address, listening.getsockname()
        if isinstance(name, tuple):
            address = msgspec.structs.replace(address, host=name[0], port=name[1])
        return Acceptor(listening, address, take, self.options.admission, self.callers)

    def admitting(self) -> Callable[[], asyncio.Protocol]:
        """`make`, for those who accept otherwise than by an `Acceptor`: each caller is asked for when it is there."""
        make, admission = self.make, self.options.admission
        assert make is not None, "it is served on this loop"  # noqa: S101 - the house's own order
        return make if admission is None else lambda: _Doorkeeper(make, admission)

    def _adopt(self, accepted: socket.socket, ticket: Ticket | None) -> None:
        assert self.make is not None, "or it would not have been accepted"  # noqa: S101 - the house's own order
        loop = asyncio.get_running_loop()
        task = loop.create_task(adopt(accepted, self.make, ticket))
        _ADOPTING.add(task)

        def adopted(task: asyncio.Task[None]) -> None:
            _ADOPTING.discard(task)
            if task.cancelled():  # perhaps before its first step
                accepted.close()
                if ticket is not None:
                    ticket.release()
            elif (error := task.exception()) is not None:
                message = f"a connection to {self.address} could not be served"
                loop.call_exception_handler({"message": message, "exception": error})

        task.add_done_callback(adopted)


class _Doorkeeper(asyncio.Protocol):
    """Stands in for a protocol until its caller is admitted, or not; then steps aside."""

    __slots__ = ("_admission", "_make")

    def __init__(self, make: Callable[[], asyncio.Protocol], admission: Admission) -> None:
        self._make = make
        self._admission = admission

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        arrived = cast("asyncio.Transport", transport)
        name = transport.get_extra_info("peername")
        ticket = self._admission.admit(name[0] if isinstance(name, tuple) else "")
        if ticket is None:
            arrived.abort()
            return
        try:
            protocol = self._make()
            protocol.ticket = ticket  # type: ignore[attr-defined] # who is admitted has one: `Options.admission`
        except BaseException:
            ticket.release()
            arrived.abort()
            raise
        arrived.set_protocol(protocol)
        protocol.connection_made(transport)


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


def bound_to_path(address: Address, backlog: int, file_rights: FileRights) -> socket.socket:
    """A socket that listens at a socket file, which it makes. Raises `OSError`, `ListenFailed`."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        rights.bind(listening, address, file_rights)
        listening.listen(backlog)
    except BaseException as error:
        listening.close()
        if isinstance(error, OSError) and error.errno is None and not isinstance(error, ListenFailed):
            raise OSError(0, str(error)) from error  # a path that is too long
        raise
    return listening
