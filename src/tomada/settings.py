"""Limits and deadlines: frozen, keyword-only, checked when they are made."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

FIRST_PAUSE: Final = 0.02
"""Between the first two attempts to reach a server that is not up yet, in seconds; each further one twice as long."""
LONGEST_PAUSE: Final = 1.0
SMALLEST: Final = 1_024
"""What every peer may send, in bytes."""
LARGEST_FRAME: Final = 0xFFFF_FFFF
LONGEST_PROTOCOL: Final = 255
"""RFC 7301, section 3.1."""
MAXIMUM_TTL: Final = 255


Isolation: TypeAlias = Literal["task", "thread", "process"]
"""Where a connection is served: on the server's event loop, in a thread of its own, in a process of its own."""


class _Settings(msgspec.Struct, frozen=True, kw_only=True):
    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not value > 0:
                raise ValueError(f"{name} is {value!r}, it must be a number above 0")


class Limits(_Settings, frozen=True, kw_only=True):
    """What connections may use at this end: each, and those of a server together.

    The peer is told `frame_bytes`, `message_bytes` and `requests` in the handshake, and keeps to them or is cut off.
    """

    connections: int = 10_000
    """How many connections and byte streams a server has at once. Further callers are refused, and told so."""
    connections_per_host: int = 10_000
    """How many of them may be of one remote host, or of one user of this machine over Unix sockets."""
    handshakes: int = 1_024
    """How many callers may be at their handshake at once; further ones are dropped without a word."""
    handshakes_early: int = 512
    """From so many on some callers are dropped by chance, ever more of them, so that a flood keeps nobody out for good
    (random early drop, as OpenSSH's MaxStartups)."""

    frame_bytes: int = 65_536
    """The longest payload of one frame; longer messages travel in several."""
    message_bytes: int = 16_777_216
    """The longest message."""
    requests: int = 4_096
    """How many requests of the peer may be open at once; its further calls wait at its own end."""
    handlers: int = 1_024
    """How many handlers run at once for one connection; further messages wait."""
    buffer_bytes: int = 1_048_576
    """How much of messages may be held each way: here, until the peer has handled it, before `Connection.send` and
    `Connection.ask` wait; and of the peer's, until it is handled here. Urgent messages have a quarter of it beside."""
    stream_bytes: int = 524_288
    """How much of one stream of items may wait here to be taken."""
    receive_bytes: int = 262_144
    """How much of a byte stream may wait to be received before reading pauses."""
    threads: int = 32
    """How many plain ``def`` handlers run at once, in all connections of the endpoint."""
    connection_threads: int = 512
    """How many connections have a thread of their own at once, where the server is so asked; further callers wait to be
    accepted."""
    all_handlers: int = 65_536
    """How many handlers run at once for all connections of a server; further messages wait, and the connections take
    turns."""
    all_buffer_bytes: int = 268_435_456
    """How much may wait in all connections of a server: to be sent, for the rest of its message, or to be received from
    byte streams. Above it no connection in which something waits is read; at twice as much the one in which the most
    waits is cut, and so on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.__struct_fields__:
            if not isinstance(getattr(self, name), int):
                raise ValueError(f"{name} is {getattr(self, name)!r}, it must be a whole number")  # noqa: TRY004 - as the others
        if not SMALLEST <= self.frame_bytes <= LARGEST_FRAME:
            raise ValueError(f"frame_bytes is {self.frame_bytes}, it must be from {SMALLEST} to {LARGEST_FRAME}")
        if self.handshakes_early > self.handshakes:
            raise ValueError(
                f"handshakes_early is {self.handshakes_early}, it must not be above handshakes, {self.handshakes}"
            )
        for name in ("message_bytes", "buffer_bytes", "stream_bytes"):
            if getattr(self, name) < SMALLEST:
                raise ValueError(f"{name} is {getattr(self, name)}, it must be at least {SMALLEST}")


class Deadlines(_Settings, frozen=True, kw_only=True):
    """How long things may take, in seconds; ``math.inf`` is for ever."""

    connect: float = 5.0
    """One attempt to reach an address; of a name that has several, each."""
    handshake: float = 5.0
    """From the connection to the end of the handshake; single bytes do not renew it."""
    frame: float = 30.0
    """From the first byte of a frame to its last; on a byte stream, of what one call receives."""
    heartbeat: float = 30.0
    """After so long a silence the peer of a message connection is asked for a sign; after twice as long it is dead. On
    a byte stream over TCP the system asks that of the peer's system (TCP's keepalive), in whole seconds, unless that is
    this machine."""
    idle: float = 300.0
    """A connection on which nothing was exchanged for so long is closed. Heartbeats count, so this is for byte streams,
    and for connections whose heartbeats are further apart. On a byte stream it is for who waits to receive: `TimedOut`,
    where nothing came and nothing was sent; where nobody receives, its handler is at work, and it is not idle."""
    progress: float = 30.0
    """How long a peer may take nothing of what was sent."""
    drain: float = 10.0
    """What is under way when a connection or a server closes."""
    turn: float = 0.1
    """A handler that keeps the event loop to itself for longer is reported: it must wait with ``await``, or be a plain
    ``def``."""


class Children(_Settings, frozen=True, kw_only=True):
    """The processes of connections that are served in one of their own, where the server is so asked."""

    connections: int = 1
    """How many connections one process serves, one after the other, before it ends."""
    spare: int = 4
    """How many wait for a connection, forked ahead."""
    most: int = 256
    """How many there are at once; further callers wait to be accepted."""
    memory_bytes: int | None = None
    """How much memory each may take beyond what the application has when it is loaded; no limit by default."""
    processor_seconds: int | None = None
    """How much processor time each may use; no limit by default."""
    files: int | None = None
    """How many files and sockets each may have open; as many as the server by default."""
    user: str = ""
    """The system's user that each becomes, by name; empty: it stays who it is."""
    sandbox: bool = False
    """Whether each gives up the right to open files and sockets, and to start programs, before its first connection."""

    def __post_init__(self) -> None:
        for name in ("connections", "spare", "most", "memory_bytes", "processor_seconds", "files"):
            value = getattr(self, name)
            if value is None and name in ("memory_bytes", "processor_seconds", "files"):
                continue
            if not isinstance(value, int) or not value > 0:
                raise ValueError(f"{name} is {value!r}, it must be a whole number above 0")


class Sessions(_Settings, frozen=True, kw_only=True):
    """How much of sessions a server keeps, and for how long: those whose connection is lost, and those in a store.

    What is too much is dropped, the longest untouched session first.
    """

    keep: float = 120.0
    """For how many seconds after its last change, or without a connection; ``math.inf`` is for ever."""
    most: int = 10_000
    """How many sessions."""
    most_bytes: int = 268_435_456
    """How many bytes they may have together."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("most", "most_bytes"):
            if not isinstance(getattr(self, name), int):
                raise ValueError(f"{name} is {getattr(self, name)!r}, it must be a whole number")  # noqa: TRY004 - as the others


class TLS(msgspec.Struct, frozen=True, kw_only=True):
    """Who this end is, and whom it trusts, on ``tls`` and ``wss`` addresses. All files are PEM."""

    certificate: str = ""
    """The file of this end's certificate, followed by those that lead to its authority. A server needs one."""
    key: str = ""
    """The file of the certificate's private key; by default it is in the certificate's own file."""
    authority: str = ""
    """The file of the authorities whose certificates are accepted. A server then accepts only clients that have one
    (mutual TLS); a client trusts these in place of those that the system trusts."""
    protocols: tuple[str, ...] = ()
    """The application protocols to agree on, the best first (ALPN, RFC 7301); none by default."""

    def __post_init__(self) -> None:
        if self.key and not self.certificate:
            raise ValueError(f"the key {self.key} has no certificate: give the file of that, too")
        if not isinstance(self.protocols, tuple):
            raise ValueError(f"protocols is {self.protocols!r}, it must be a tuple, such as ('bank/1',)")  # noqa: TRY004 - as the others
        for name in self.protocols:
            if not (name.isascii() and 0 < len(name) <= LONGEST_PROTOCOL):
                raise ValueError(f"{name!r} is no protocol's name: 1 to {LONGEST_PROTOCOL} ASCII characters")


class DatagramLimits(_Settings, frozen=True, kw_only=True):
    """What one datagram socket may use at this end."""

    waiting: int = 16_384
    """How many datagrams may wait to be received or handled; further ones are dropped, and counted."""
    waiting_bytes: int = 8_388_608
    """How many bytes they may have together."""
    buffer_bytes: int = 1_048_576
    """How much may wait to be sent before `send` waits and `send_nowait` raises `BufferFull`."""
    handlers: int = 1_024
    """How many handlers run at once; further datagrams are dropped, and counted."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.__struct_fields__:
            if not isinstance(getattr(self, name), int):
                raise ValueError(f"{name} is {getattr(self, name)!r}, it must be a whole number")  # noqa: TRY004 - as the others


class Multicast(msgspec.Struct, frozen=True, kw_only=True):
    """How a datagram socket takes part in multicast."""

    join: str | None = None
    """The group whose datagrams are received, an IPv4 address from 224.0.0.0 to 239.255.255.255 or an IPv6 one that
    begins with ff; with none the socket only sends."""
    interface: str = ""
    """The network interface, by name or, for IPv4, by its own address. Where empty, the system's routes decide."""
    ttl: int = 1
    """How many networks what is sent may cross; 1 is the local one."""
    loopback: bool = True
    """Whether sockets on this machine receive what is sent."""

    def __post_init__(self) -> None:
        if not 0 <= self.ttl <= MAXIMUM_TTL:
            raise ValueError(f"ttl is {self.ttl!r}, it must be from 0 to {MAXIMUM_TTL}")
