"""Where the proxy listens: open, or shut so that callers are refused, with its port kept from others."""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import TYPE_CHECKING

from tomada import transports
from tomada.transports.reservation import Reservation, reserve

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomada.address import Address


class Door:
    """Listens at an address, or does not.

    Args:
        address: With port 0 the system chooses one, which stays.
        accept: Gives the protocol of each caller.
    """

    def __init__(self, address: Address, accept: Callable[[], asyncio.Protocol]) -> None:
        self._accept = accept
        self._listeners: list[transports.Listener] = []
        self._reservation: Reservation | None = None
        self._lock = asyncio.Lock()
        self._is_over = False
        self.addresses: tuple[Address, ...] = (address,)
        """Where it listens; while it is shut, where it did."""

    def reserve(self) -> None:
        """Keep the port while nobody listens, where the system can: the next to ask for a free one would get it.

        And a client that tries to reach a port that is nobody's may be given the same one, and reach itself.

        Raises:
            ListenFailed: The address cannot be had.
        """
        if self.addresses[0].scheme != "tcp" or sys.platform != "linux":
            return
        self._reservation = reserve(self.addresses[0])
        self.addresses = tuple(self._reservation.addresses)

    async def set(self, *, is_open: bool) -> None:
        """Open it, or shut it; what is so already stays so. Raises `ListenFailed`."""
        async with self._lock:
            if not is_open:
                self._shut()
            elif not self._listeners and not self._is_over:
                await self._open()

    async def _open(self) -> None:
        self._share(is_shared=True)
        try:
            for address in self.addresses:
                self._listeners.append(await transports.listen(address, self._accept))
        except BaseException:
            self._shut()
            raise
        finally:
            self._share(is_shared=False)
        self.addresses = tuple(address for listener in self._listeners for address in listener.addresses)
        if self._is_over:  # meanwhile
            self._shut()

    def _share(self, *, is_shared: bool) -> None:
        """Let another socket be bound to the kept port: ours; and nobody else's, at any other time."""
        for own in () if self._reservation is None else self._reservation.sockets:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, is_shared)

    def _shut(self) -> None:
        while self._listeners:
            self._listeners.pop().close()

    def close(self) -> None:
        """Shut it for ever, and give the port up."""
        self._is_over = True
        self._shut()
        if self._reservation is not None:
            self._reservation.close()
            self._reservation = None
