"""Sockets that were bound elsewhere, by a supervisor or a service manager, and are served here."""

from __future__ import annotations

import os
import socket
from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from tomada.address import Address
    from tomada.transports import Options

BACKLOG: Final = 1024
"""Callers that may wait to be accepted; the system may lower it."""


class Inherited:
    """Bound sockets by the address that asks for them. Each is given out once, and then belongs to who took it."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[Address, deque[tuple[socket.socket, ...]]] = {}

    def add(self, address: Address, sockets: tuple[socket.socket, ...]) -> None:
        """Keep these for who asks for `address`; none at all: it is served by another process, and not here."""
        self._waiting.setdefault(address, deque()).append(sockets)

    def take(self, address: Address) -> tuple[socket.socket, ...] | None:
        """Those for `address`, which listen from now on; ``None`` where it is to be bound here."""
        waiting = self._waiting.get(address)
        if not waiting:
            return None
        sockets = waiting.popleft()
        if address.scheme not in ("udp", "unixgram"):
            for own in sockets:
                if own.family in (socket.AF_INET, socket.AF_INET6):
                    if os.name == "posix":
                        # For who is accepted, so that a server that comes after this one gets the port at once.
                        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what is accepted inherits it
                own.listen(BACKLOG)
        return sockets

    def options(self, address: Address, options: Options) -> Options | None:
        """`options`, with the sockets for `address` where there are some; ``None``: another process serves it."""
        sockets = self.take(address)
        if sockets == ():
            return None
        return options if sockets is None else msgspec.structs.replace(options, inherited=sockets)

    def close(self) -> None:
        """Close what nobody has taken."""
        for waiting in self._waiting.values():
            for sockets in waiting:
                for own in sockets:
                    own.close()
        self._waiting.clear()
