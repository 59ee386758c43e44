"""`bind`: from an address to an open `DatagramSocket`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tomada.datagrams.directory import parsed
from tomada.datagrams.socket import DatagramSocket
from tomada.settings import DatagramLimits
from tomada.transports.datagram import DatagramOptions
from tomada.transports.datagram_opening import check_peer, check_scheme, open_datagrams

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import TracebackType

    from tomada.address import Address
    from tomada.settings import Multicast


class Binding:
    """A socket for datagrams to be: ``async with`` it, or ``await`` it and close what it gives."""

    __slots__ = ("_address", "_options", "_peer", "_socket")

    def __init__(self, address: Address, peer: Address | None, options: DatagramOptions) -> None:
        check_scheme(address)
        check_peer(address, peer)
        self._address = address
        self._peer = peer
        self._options = options
        self._socket: DatagramSocket | None = None

    def __await__(self) -> Generator[object, None, DatagramSocket]:
        return self._open().__await__()

    async def __aenter__(self) -> DatagramSocket:
        self._socket = await self._open()
        return self._socket

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._socket is not None:
            await self._socket.__aexit__(kind, error, traceback)

    async def _open(self) -> DatagramSocket:
        opened = DatagramSocket(self._peer)
        opened.attach(await open_datagrams(self._address, opened, peer=self._peer, options=self._options))
        return opened


def bind(
    address: str | Address,
    *,
    peer: str | Address | None = None,
    multicast: Multicast | None = None,
    broadcast: bool = False,
    limits: DatagramLimits | None = None,
) -> Binding:
    """A socket for datagrams at `address`.

    ::

        async with tomada.bind("udp://:7001") as socket:
            datagram = await socket.receive(timeout=5)
            await socket.send(b"thanks", datagram.peer)

    or ``socket = await tomada.bind(…)`` and, at the end, ``socket.close()``.

    Args:
        address: Such as ``udp://127.0.0.1:7001``, ``udp://[::1]:7001`` or ``unixgram:///tmp/app.sock``. An empty host
            means all interfaces, in IPv4 and IPv6; port 0 a free port; of a name the first address that works is taken.
        peer: The only one to send to and to receive from. Then the system tells when nobody receives there.
        multicast: The group to join, and how what is sent travels.
        broadcast: Whether datagrams may be sent to broadcast addresses.
        limits: How much may wait.

    Raises:
        AddressError: An address cannot be read (at once).
        ListenFailed: The address cannot be bound; `AddressInUse` and `SystemPort` are kinds of it.
        ConnectFailed: The peer is not known, or no way leads there.
        DatagramError: The peer is of another kind than the address (at once).
    """
    options = DatagramOptions(multicast=multicast, broadcast=broadcast, limits=limits or DatagramLimits())
    return Binding(parsed(address), None if peer is None else parsed(peer), options)
