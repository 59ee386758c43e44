"""`bind`: from an address to an open `DatagramSocket`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tomada.address import Address
from tomada.datagrams.socket import DatagramSocket
from tomada.opening import Opening
from tomada.settings import DatagramLimits
from tomada.transports.datagrams.opening import check_peer, check_scheme, open_datagrams
from tomada.transports.datagrams.transport import DatagramOptions

if TYPE_CHECKING:
    from tomada.settings import Multicast


def bind(
    address: str | Address,
    *,
    peer: str | Address | None = None,
    multicast: Multicast | None = None,
    broadcast: bool = False,
    limits: DatagramLimits | None = None,
) -> Opening[DatagramSocket]:
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
    place, other = Address.of(address), None if peer is None else Address.of(peer)
    check_scheme(place)
    check_peer(place, other)

    async def opened() -> DatagramSocket:
        socket = DatagramSocket(other)
        socket.attach(await open_datagrams(place, socket, peer=other, options=options))
        return socket

    return Opening(opened)
