"""Datagrams: what every way of carrying them has, whatever is underneath, and what is counted on the way.

``batches.py`` is the way on Linux, many datagrams per system call; ``endpoints.py`` goes through the
loop's own endpoints, wherever there is a loop. Both pass the same tests. ``open_datagrams`` chooses.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from tomada.errors import ConnectFailed
from tomada.settings import DatagramLimits, Multicast
from tomada.telemetry import ListenerClosed, ListenerOpened, emit
from tomada.transports.rights import FileRights

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from tomada.address import Address
    from tomada.transports.datagrams.names import Names

MAX_UDP_DATAGRAM: Final = 65_507
"""Bytes of a datagram: the 65,535 of an IPv4 packet, without its header of 20 and UDP's of 8 (RFC 768, RFC 791)."""
MAX_UNIX_DATAGRAM: Final = 262_144
"""Bytes that are received at the most through a socket file; a system's default for sending is less."""

SocketName = Any
"""What the system calls an address: a tuple of host and port, a path, None for a peer without a name."""


class DatagramStatistics(msgspec.Struct):
    """What became of the datagrams of one socket, counted since it was opened."""

    received: int = 0
    """Taken from the system."""
    sent: int = 0
    """Handed to the system."""
    dropped: int = 0
    """Received while too many waited, or too many handlers ran; given up."""
    dropped_by_system: int = 0
    """Given up by the system itself, because its own buffer was full; 0 where the system does not tell."""
    truncated: int = 0
    """Longer than what can be received in one piece; given up, never delivered cut."""
    unexpected: int = 0
    """Received from somebody else than the peer, or not what is understood here; given up."""
    too_long: int = 0
    """Longer than the system carries, and so not sent."""
    refused: int = 0
    """How often the system said that nobody receives at the other end (ICMP port unreachable)."""
    unreachable: int = 0
    """Not sent because no way leads there, or the system does not permit it."""
    given_up: int = 0
    """Not sent because the buffer of the system, or of a receiver on this machine, was full."""
    withheld: int = 0
    """Answers not sent because they were more than three times what the receiver, who may be forged, had sent."""
    failed: int = 0
    """Received, and their handler raised."""
    duplicates: int = 0
    """Messages that came again, and were not handled again."""


class DatagramOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a socket is opened."""

    multicast: Multicast | None = None
    broadcast: bool = False
    limits: DatagramLimits = DatagramLimits()
    rights: FileRights = FileRights()
    """What a socket file is made with."""


class Receiver(Protocol):
    """What a transport tells."""

    def datagrams_received(self, datagrams: Sequence[bytes], name: SocketName) -> None:
        """Take datagrams that have come one after another from the same sender."""

    def peer_refused(self, error: OSError) -> None:
        """The system says that nobody receives at the other end of a connected socket."""

    def room_again(self) -> None:
        """What waited to be sent has become less."""


class DatagramTransport:
    """One open socket for datagrams.

    Args:
        loop: The running loop.
        address: Where the socket is.
        receiver: Whom to tell.
        limits: Of the socket.
    """

    __slots__ = (
        "address",
        "is_closed",
        "is_crowded",
        "is_told",
        "limits",
        "longest",
        "loop",
        "names",
        "receiver",
        "statistics",
        "unsent",
    )

    names: Names
    """Between addresses and what the system calls them on this socket."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, address: Address, receiver: Receiver, limits: DatagramLimits
    ) -> None:
        self.loop = loop
        self.address = address
        self.receiver = receiver
        self.limits = limits
        self.statistics = DatagramStatistics()
        self.longest = MAX_UDP_DATAGRAM
        """Bytes that one datagram may have."""
        self.unsent = 0
        """Bytes that wait to be sent."""
        self.is_closed = False
        self.is_told = False
        """Whether it has been told that it listens."""
        self.is_crowded = False
        """Whether who can wait should wait before sending more."""

    def send(self, data: bytes, name: SocketName) -> None:
        """Send, soon: what becomes of it is counted. The caller looks at `longest` and `unsent` first.

        Args:
            data: The datagram.
            name: Whom to, as the system calls it; None on a connected socket.
        """
        raise NotImplementedError

    def name_of(self, address: Address) -> SocketName | None:
        """What the system calls `address` on this socket, once it says that a way leads there.

        None where it must be looked up first.
        """
        name = self.names.known(address)
        if name is not None:
            self.check_way(name, address)
        return name

    async def look_up(self, address: Address) -> SocketName:
        """The same for any address. Raises `ConnectFailed` where it is not known, or no way leads there."""
        name = self.name_of(address)
        if name is None:
            try:
                infos = await self.loop.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
            except (OSError, UnicodeError) as error:
                text = f"cannot send to {address}: the name {address.host!r} is not known; check it"
                raise ConnectFailed(text) from error
            name = self.names.chosen(infos)
            if name is None:
                raise ConnectFailed(f"cannot send to {address}: it has no address that this socket can reach")
            self.check_way(name, address)
        return name

    def check_way(self, name: SocketName, address: Address) -> None:
        """Raise `ConnectFailed` where the system says that no way leads to `address`, which it calls `name`."""
        raise NotImplementedError

    def tell_open(self) -> None:
        """It receives from anybody: tell those who want to know."""
        self.is_told = True
        if ListenerOpened.subscribers:
            emit(ListenerOpened(address=str(self.address)))

    def tell_closed(self) -> None:
        """It does not any more."""
        if self.is_told and ListenerClosed.subscribers:
            emit(ListenerClosed(address=str(self.address)))

    def counted(self) -> DatagramStatistics:
        """The counts of this moment."""
        return msgspec.structs.replace(self.statistics)

    def stop_receiving(self) -> None:
        """Take no more datagrams; those that are to be sent still are."""
        raise NotImplementedError

    def close(self) -> None:
        """Send what the system takes of the rest, and close. A second call does nothing."""
        raise NotImplementedError
