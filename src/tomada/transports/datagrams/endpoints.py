"""Datagrams through the loop's own endpoints, one per call: on any system, and on simulated time and networks."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING, Any, cast

from tomada.errors import ListenFailed
from tomada.transports.datagrams.names import Names
from tomada.transports.datagrams.sockets import bind_error
from tomada.transports.datagrams.transport import DatagramTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomada.address import Address
    from tomada.settings import DatagramLimits
    from tomada.transports.datagrams.sockets import Opened
    from tomada.transports.datagrams.transport import DatagramStatistics, Receiver, SocketName


class EndpointTransport(DatagramTransport, asyncio.DatagramProtocol):
    """Datagrams over an endpoint of the loop. Made by `over_socket` and `over_loop`."""

    __slots__ = ("_is_deaf", "_opened", "_transport", "_waiting")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        address: Address,
        receiver: Receiver,
        limits: DatagramLimits,
        opened: Opened | None = None,
    ) -> None:
        super().__init__(loop, address, receiver, limits)
        self._transport: Any = None
        self._waiting: Callable[[], int] = _nothing
        self._opened = opened
        self.names = Names(socket.AF_INET, "udp", is_dual=False) if opened is None else opened.names
        if opened is not None:
            self.longest = opened.longest
        self._is_deaf = False

    # The loop calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The endpoint is there."""
        self._transport = cast("asyncio.DatagramTransport", transport)
        # Not all loops bound what waits; where nothing is said of it, nothing waits.
        self._waiting = getattr(transport, "get_write_buffer_size", _nothing)
        getattr(transport, "set_write_buffer_limits", _nothing)(self.limits.buffer_bytes)
        name = transport.get_extra_info("sockname")
        if self._opened is None and isinstance(name, tuple):
            self.address = self.names.address(name)

    def datagram_received(self, data: bytes, addr: SocketName) -> None:
        """One has come."""
        if self._is_deaf:
            return
        if len(data) > self.longest:
            self.statistics.truncated += 1
            return
        self.statistics.received += 1
        self.receiver.datagrams_received((data,), addr)

    def error_received(self, exc: Exception) -> None:
        """The system says something of an earlier datagram."""
        number = getattr(exc, "errno", None)
        if isinstance(exc, (ConnectionError, FileNotFoundError)):
            self.statistics.refused += 1
            self.receiver.peer_refused(exc)
        elif number == errno.EMSGSIZE:
            self.statistics.too_long += 1
        elif number in (errno.ENOBUFS, errno.EAGAIN):
            self.statistics.given_up += 1
        else:
            self.statistics.unreachable += 1

    def pause_writing(self) -> None:
        """Too much waits."""
        self.is_crowded = True

    def resume_writing(self) -> None:
        """It has become less."""
        self.is_crowded = False
        self.receiver.room_again()

    # The house calls these.

    @property
    def unsent(self) -> int:
        """Bytes that wait to be sent."""
        return 0 if self.is_closed else self._waiting()

    @unsent.setter
    def unsent(self, value: int) -> None:
        """Nothing: the loop counts."""

    def send(self, data: bytes, name: SocketName) -> None:
        """Hand the datagram to the loop."""
        self.statistics.sent += 1
        self._transport.sendto(data, name)

    def check_way(self, name: SocketName, address: Address) -> None:
        """As the kernel sees it, where there is a socket of our own."""
        if self._opened is not None:
            self._opened.check_way(name, address)

    def counted(self) -> DatagramStatistics:
        """The counts, with those of the system."""
        if self._opened is not None and not self.is_closed:
            self.statistics.dropped_by_system = self._opened.dropped()
        return super().counted()

    def stop_receiving(self) -> None:
        """Pass over what still comes: the loops cannot stop reading."""
        self._is_deaf = True

    def close(self) -> None:
        """Close; the loop sends the rest."""
        if self.is_closed:
            return
        self.counted()
        self.is_closed = True
        self._is_deaf = True
        if self._opened is not None:
            self._opened.forget_file()
        self._transport.close()
        self.tell_closed()


def _nothing(*_: object) -> int:
    return 0


async def over_socket(opened: Opened, receiver: Receiver, limits: DatagramLimits) -> EndpointTransport:
    """An endpoint over a socket that is open."""
    loop = asyncio.get_running_loop()
    made = EndpointTransport(loop, opened.address, receiver, limits, opened)
    try:
        await loop.create_datagram_endpoint(lambda: made, sock=opened.socket)
    except BaseException:
        opened.close()
        raise
    return made


async def over_loop(
    address: Address, peer: Address | None, receiver: Receiver, limits: DatagramLimits
) -> EndpointTransport:
    """An endpoint that the loop itself opens: the only way where there are no sockets, as on a simulated network."""
    if address.scheme != "udp":
        raise ListenFailed(f"cannot listen on {address}: this event loop has no socket files; take a udp address")
    loop = asyncio.get_running_loop()
    made = EndpointTransport(loop, address, receiver, limits)
    remote = None if peer is None else (peer.host or "127.0.0.1", peer.port or 0)
    try:
        await loop.create_datagram_endpoint(
            lambda: made,
            local_addr=(address.host or "0.0.0.0", address.port or 0),  # noqa: S104 - what an empty host asks for
            remote_addr=remote,
        )
    except OSError as error:
        raise bind_error(address, error) from error
    return made
