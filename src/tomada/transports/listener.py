"""What listening gives, whatever the transport: the addresses really used, and one way to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import AbstractServer
    from collections.abc import Callable

    from tomada.address import Address
    from tomada.transports.layer import Layer


class Listener:
    """The sockets that accept for one address; made by ``tomada.transports.listen``.

    Args:
        servers: The loop's servers, each with the address that it really listens on.
        forget: Called once, before the sockets close: takes back what else was made, as a socket file.
    """

    __slots__ = ("_forget", "_servers", "pending")

    def __init__(self, servers: list[tuple[AbstractServer, Address]], forget: Callable[[], None] | None = None) -> None:
        self._servers = servers
        self._forget = forget
        self.pending: set[Layer] = set()
        """Connections that have been accepted and whose TLS or WebSocket handshake is not complete."""

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses that are listened on, with the port the system chose in place of port 0; empty once closed."""
        return tuple(address for _, address in self._servers)

    def close(self) -> None:
        """Stops accepting at once; connections go on, but for those whose handshake is not complete.

        A second call does nothing.
        """
        forget, self._forget = self._forget, None
        if forget is not None:
            forget()
        while self._servers:
            self._servers.pop()[0].close()
        for layer in tuple(self.pending):
            layer.abort()
