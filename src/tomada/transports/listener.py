"""What listening gives, whatever the transport: the addresses really used, and one way to stop."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Protocol

from tomada.errors import ListenFailed
from tomada.telemetry import ListenerClosed, ListenerOpened, emit
from tomada.transports.acceptor import Acceptor
from tomada.transports.tls.certificates import Unusable

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomada.address import Address
    from tomada.transports.layer import Layer
    from tomada.transports.tls.certificates import Certificates


class Accepts(Protocol):
    """What accepts at one socket: an event loop's own server, or one of this folder's."""

    def close(self) -> None:
        """Accept no more."""
        ...


class Listener:
    """The sockets that accept for one address; made by ``tomada.transports.listen``.

    Args:
        servers: The loop's servers, each with the address that it really listens on.
        forget: Called once, before the sockets close: takes back what else was made, as a socket file.
    """

    __slots__ = ("_forget", "_is_open", "_secured", "_servers", "pending")

    def __init__(self, servers: list[tuple[Accepts, Address]], forget: Callable[[], None] | None = None) -> None:
        self._servers = servers
        self._forget = forget
        self._is_open = False
        self._secured: Certificates | None = None
        self.pending: set[Layer] = set()
        """Connections that have been accepted and whose TLS or WebSocket handshake is not complete."""

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses that are listened on, with the port the system chose in place of port 0; empty once closed."""
        return tuple(address for _, address in self._servers)

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The sockets that listen, as far as there are any."""
        return tuple(one for server, _ in self._servers for one in getattr(server, "sockets", ()))

    def tell_open(self) -> None:
        """It listens at all of its addresses: tell those who want to know."""
        self._is_open = True
        if ListenerOpened.subscribers:
            for address in self.addresses:
                emit(ListenerOpened(address=str(address)))

    def pause(self) -> None:
        """Accept nobody for now: callers wait in the system's queue."""
        for server, _ in self._servers:
            if isinstance(server, Acceptor):
                server.pause()

    def resume(self) -> None:
        """Accept again."""
        for server, _ in self._servers:
            if isinstance(server, Acceptor):
                server.resume()

    def defer(self, seconds: float) -> None:
        """Accept no TCP caller before something has come from it, where the system can.

        For protocols where callers speak first: one that says nothing costs no more than its place in the system's own
        queue. After so many seconds it is accepted all the same, or dropped.
        """
        option = getattr(socket, "TCP_DEFER_ACCEPT", None)
        for one in self.sockets:
            if option is not None and one.family in (socket.AF_INET, socket.AF_INET6):
                one.setsockopt(socket.IPPROTO_TCP, option, max(1, round(seconds)))

    def secure(self, secured: Certificates | None) -> None:
        """The certificates it accepts with are these: their files are looked at until it closes."""
        self._secured = secured
        if secured is not None:
            secured.watch(asyncio.get_running_loop())

    def reload_certificates(self) -> None:
        """Read the certificate's files again now; without effect where there is no TLS.

        Raises:
            ListenFailed: They cannot be used; the old certificate stays.
        """
        if self._secured is None:
            return
        try:
            self._secured.reload()
        except Unusable as error:
            raise ListenFailed(f"the certificate stays as it was: {error}") from error

    def stop_accepting(self) -> None:
        """Accepts no more; what has been accepted goes on, its handshake too. A second call does nothing."""
        forget, self._forget = self._forget, None
        if forget is not None:
            forget()
        while self._servers:
            server, address = self._servers.pop()
            server.close()
            if self._is_open and ListenerClosed.subscribers:
                emit(ListenerClosed(address=str(address)))

    def close(self) -> None:
        """Stops accepting at once; connections go on, but for those whose handshake is not complete.

        A second call does nothing.
        """
        self.stop_accepting()
        if self._secured is not None:
            self._secured.stop()
        for layer in tuple(self.pending):
            layer.fail("it is listened no more", is_wrong=False)
            layer.abort()
