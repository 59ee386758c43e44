"""Who sent a datagram, as a handler sees it: an address, and a way to answer within what its source is owed."""

from __future__ import annotations

from concurrent.futures import Future
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final

from tomada.datagrams.socket import checked, too_long
from tomada.errors import BufferFull, TransportError, UnverifiedPeer

if TYPE_CHECKING:
    from tomada.address import Address
    from tomada.datagrams.directory import Directory
    from tomada.transports.datagram import DatagramTransport

AMPLIFICATION: Final = 3
"""So many times what a source has sent may be sent to it before it has proved to be there: RFC 9000, section 8.1."""


class DatagramPeer:
    """Who sent a datagram. A handler of `App.datagram` is given it that asks for it.

    The sender of a datagram may be forged, so that answers hit somebody else. Therefore a peer is sent at most three
    times as many bytes as came from it (RFC 9000, section 8.1), unless the handler was declared with ``trusted=True``.
    """

    __slots__ = ("_directory", "_name", "_thread", "_transport", "_trusted", "credit")

    def __init__(self, transport: DatagramTransport, directory: Directory, name: Any, *, trusted: bool) -> None:
        self._transport = transport
        self._directory = directory
        self._name = name
        self._trusted = trusted
        self._thread = get_ident()
        self.credit = 0
        """How many bytes it may still be sent."""

    @property
    def address(self) -> Address:
        """Where the datagram says that it comes from."""
        return self._directory[self._name]

    def reply(self, data: bytes | bytearray | memoryview) -> None:
        """Send a datagram back, without waiting. Handlers in threads may call it too.

        Raises:
            UnverifiedPeer: It is more than three times what the peer has sent, with what it was answered before.
            DatagramTooLong: It does not fit into one datagram.
            DatagramError: The peer is a unixgram socket without a name.
            BufferFull: Too much waits to be sent.
            TransportError: The server has been closed.
        """
        if get_ident() == self._thread:
            self._reply(checked(data))
            return
        done: Future[None] = Future()
        self._transport.loop.call_soon_threadsafe(self._reply_for, checked(data), done)
        done.result()

    def _reply_for(self, data: bytes, done: Future[None]) -> None:
        try:
            self._reply(data)
        except Exception as error:  # noqa: BLE001 - told to the thread that waits for it
            done.set_exception(error)
        else:
            done.set_result(None)

    def _reply(self, data: bytes) -> None:
        transport, size = self._transport, len(data)
        if not self._trusted and size > self.credit:
            transport.statistics.withheld += 1
            raise UnverifiedPeer(
                f"an answer of {size:,} bytes to {self.address}, which may still be sent {self.credit:,}: at most "
                f"{AMPLIFICATION} times what a peer has sent, for its address may be forged. Answer less, let it send "
                "more, or on a closed network declare the handler with trusted=True"
            )
        if size > transport.longest:
            transport.statistics.too_long += 1
            raise too_long(data, self.address, transport.longest)
        if transport.unsent > transport.limits.buffer_bytes:
            transport.statistics.given_up += 1
            raise BufferFull(f"{transport.unsent:,} bytes wait to be sent from {transport.address}; answer later")
        if transport.is_closed:
            raise TransportError(f"the socket at {transport.address} has been closed")
        if not self._name:
            transport.name_of(self.address)  # which says what is wrong
        self.credit -= size
        transport.send(data, self._name)

    def __repr__(self) -> str:
        return f"<DatagramPeer {self.address}>"
