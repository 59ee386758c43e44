"""Under everything else of a connection that a proxy passes on: reads the proxy's header, and then steps aside.

Who may be a proxy is known by its address alone, before a byte is read: what others send is never taken for a header.
After the header the transport calls the protocol above directly, and that writes to a stand-in which has the client's
name and the transport's own methods: the bytes of the connection pass through nothing of this.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final, cast

from tomada.errors import ProtocolError
from tomada.transports.layer import Layer
from tomada.transports.proxy_protocol import read_header

if TYPE_CHECKING:
    import asyncio

    from tomada.transports.proxy_protocol import Header, Place

Network = IPv4Network | IPv6Network
_MAPPED: Final = "::ffff:"


def networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """The networks that `texts` write, such as ``10.0.0.0/8``, or a single address.

    Raises:
        ValueError: One of them is no network.
    """
    found = []
    for text in texts:
        try:
            found.append(ip_network(text))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{text!r} in proxied_by is no network: {error}; write 10.0.0.0/8, or ::1") from None
    return tuple(found)


def is_in(host: str, trusted: tuple[Network, ...]) -> bool:
    """Whether a numeric `host` is in one of these networks."""
    host = host.partition("%")[0]
    if "." in host:
        host = host.removeprefix(_MAPPED)  # a socket for both families names IPv4 so
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in trusted)


class Proxied(Layer):
    """Reads the header of a connection that comes from a proxy. Others pass, as they are.

    Args:
        upper: What stands above; it is told of the connection when the header has come.
        deadline: Seconds that the header may take.
        pending: See `Layer`.
        trusted: The proxies' networks.
    """

    __slots__ = ("_heard", "_trusted")

    def __init__(
        self, upper: asyncio.Protocol, deadline: float, pending: set[Layer] | None, trusted: tuple[Network, ...]
    ) -> None:
        super().__init__(upper, deadline, pending)
        self._trusted = trusted
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the header, or for none."""
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple) and is_in(peer[0], self._trusted):
            super().connection_made(transport)
        else:
            self._step_aside(cast("asyncio.Transport", transport))

    def begin(self) -> None:
        """The proxy speaks first."""

    def data_received(self, data: bytes) -> None:
        """Read on; what follows the header is the client's own."""
        if self.opened.done():
            return  # refused; what still comes is nobody's
        heard = self._heard = self._heard + data
        try:
            header = read_header(heard)
        except ProtocolError as error:
            self.fail(f"{error}; it comes from a network in proxied_by, and must begin with one")
            return
        if header is None:
            return
        self._heard = b""
        self.opened.set_result(None)
        self._end_handshake()
        transport: Any = self.lower
        if header.client is not None and header.server is not None:
            transport = Forwarded(self.lower, header)
        if self.ticket is not None:
            self.ticket.called(transport.get_extra_info("peername")[0])
        self._step_aside(transport)
        if len(heard) > header.size and not self.lower.is_closing():
            self.upper.data_received(heard[header.size :])

    def _step_aside(self, transport: asyncio.Transport) -> None:
        if self.ticket is not None:
            self.upper.ticket = self.ticket  # type: ignore[attr-defined] # who is admitted has one: `Options.admission`
        transport.set_protocol(self.upper)
        self.upper.connection_made(transport)

    def eof_received(self) -> None:
        """The proxy has gone before its header was whole: `connection_lost` follows."""


class Forwarded:
    """A transport by its client's name: everything else is the transport's own.

    What is called often is called directly.
    """

    __slots__ = ("_header", "_transport", "get_write_buffer_size", "is_closing", "pause_reading", "write")

    def __init__(self, transport: asyncio.Transport, header: Header) -> None:
        self._transport = transport
        self._header = header
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.pause_reading = transport.pause_reading
        self.get_write_buffer_size = transport.get_write_buffer_size

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the transport tells; ``peername`` and ``sockname`` as the proxy says, ``proxy`` its own address."""
        if name == "peername":
            return _socket_name(self._header.client)
        if name == "sockname":
            return _socket_name(self._header.server)
        if name == "proxy":
            return self._transport.get_extra_info("peername")
        return self._transport.get_extra_info(name, default)


def _socket_name(place: Place | None) -> tuple[Any, ...] | None:
    if place is None or ":" not in place[0]:
        return place
    return (*place, 0, 0)
