"""What the server, the template and the children tell each other: small messages over pairs of Unix sockets.

A message is a datagram of MessagePack, never longer than `LONGEST`; with it may travel descriptors (SCM_RIGHTS).
Nobody is believed: what does not decode, is too long, or comes at the wrong time ends the one who sent it.
"""

from __future__ import annotations

import os
import socket
from array import array
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Final, Generic, TypeVar

import msgspec

from tomada.address import Address
from tomada.errors import UNREADABLE
from tomada.settings import Children, Deadlines, Limits
from tomada.transports import Options

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LONGEST: Final = 4_096
"""Bytes of one message; but for the `Plan`, which only the template is told."""
LONGEST_PLAN: Final = 65_536
_Reason = Annotated[str, msgspec.Meta(max_length=1_000)]
_Number = Annotated[int, msgspec.Meta(ge=0)]


class _Message(msgspec.Struct, frozen=True, array_like=True, tag_field="kind"):
    """Base of the messages below."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a child must know to serve connections."""

    addresses: tuple[Address, ...]
    """Where there are messages; behind them, in the numbers of places, come the application's byte streams."""
    limits: Limits
    deadlines: Deadlines
    options: Options
    children: Children


class Begin(_Message, frozen=True, tag=0):
    """Server to a template that is a program of its own: load the application. With it comes the pages' file."""

    plan: Plan
    module: str
    """The module that has the application, or the path of a file with it."""
    name: str
    """Of the application in it."""
    server: _Number
    """The server's process id."""
    is_traced: bool = False
    """Whether there are spans to be made."""


class Loaded(_Message, frozen=True, tag=1):
    """Template to server: children can be forked."""


class Broken(_Message, frozen=True, tag=2):
    """Template to server: they cannot, ever."""

    reason: _Reason


class Fork(_Message, frozen=True, tag=3):
    """Server to template: fork a child; with it comes the child's end of its channel."""

    number: _Number
    slot: _Number
    """Its page."""


class Forked(_Message, frozen=True, tag=4):
    """Template to server: it has been."""

    number: _Number
    pid: _Number


class NotForked(_Message, frozen=True, tag=5):
    """Template to server: the system does not permit it now."""

    number: _Number
    reason: _Reason


class Kill(_Message, frozen=True, tag=6):
    """Server to template: end a child at once. The template does, as long as nobody else can have its process id."""

    number: _Number


class Exited(_Message, frozen=True, tag=7):
    """Template to server: a child is gone."""

    number: _Number
    status: int
    """As ``waitpid`` gives it."""
    memory_kib: _Number
    """The most memory that it had."""


class Serve(_Message, frozen=True, tag=8):
    """Server to child: serve the connection that comes with it."""

    place: _Number


class Ping(_Message, frozen=True, tag=9):
    """Server to child: are you there?"""

    number: _Number


class Leave(_Message, frozen=True, tag=10):
    """Server to child: say goodbye, let what is under way end, and go."""


class Ready(_Message, frozen=True, tag=11):
    """Child to server: it can serve a connection."""


class Failed(_Message, frozen=True, tag=12):
    """Child to server: it cannot, and ends."""

    reason: _Reason


class Ended(_Message, frozen=True, tag=13):
    """Child to server: its connection has ended in order."""


class Pong(_Message, frozen=True, tag=14):
    """Child to server: it is there."""

    number: _Number


class Parting(_Message, frozen=True, tag=15):
    """Child to server: it takes no further connection, and ends soon."""


ToTemplate = Fork | Kill
FromTemplate = Loaded | Broken | Forked | NotForked | Exited
ToChild = Serve | Ping | Leave
FromChild = Ready | Failed | Ended | Pong | Parting
Received = TypeVar("Received")

_encode: Final = msgspec.msgpack.Encoder().encode
# Made once: to make one costs a child a good part of its start.
decode_begin: Final = msgspec.msgpack.Decoder(Begin).decode
decode_to_template: Final[Callable[[bytes], ToTemplate]] = msgspec.msgpack.Decoder(ToTemplate).decode
decode_from_template: Final[Callable[[bytes], FromTemplate]] = msgspec.msgpack.Decoder(FromTemplate).decode
decode_to_child: Final[Callable[[bytes], ToChild]] = msgspec.msgpack.Decoder(ToChild).decode
decode_from_child: Final[Callable[[bytes], FromChild]] = msgspec.msgpack.Decoder(FromChild).decode


class ChannelBroken(Exception):
    """The other end has gone (the text is empty), or has sent what makes no sense."""


def pair() -> tuple[socket.socket, socket.socket]:
    """The two ends of a channel."""
    # With connections, where there are such: who reads is told of the other's end. macOS has none.
    kind = getattr(socket, "SOCK_SEQPACKET", socket.SOCK_DGRAM)
    try:
        return socket.socketpair(socket.AF_UNIX, kind)
    except OSError:
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)


class Channel(Generic[Received]):
    """One end of a channel.

    Args:
        own: The socket.
        decode: Of what the other end may say.
        longest: Of a message that is received.
    """

    __slots__ = ("_decode", "_longest", "socket")

    def __init__(self, own: socket.socket, decode: Callable[[bytes], Received], longest: int = LONGEST) -> None:
        own.setblocking(False)  # noqa: FBT003 - a socket's own
        self.socket = own
        self._decode = decode
        self._longest = longest

    def fileno(self) -> int:
        """Its descriptor; -1 once it is closed."""
        return self.socket.fileno()

    def send(self, message: _Message, descriptors: Sequence[int] = ()) -> bool:
        """Say something now; False where the other end has not read what was said before.

        Raises:
            ChannelBroken: It is gone.
        """
        try:
            if descriptors:
                passed = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))
                self.socket.sendmsg([_encode(message)], [passed])
            else:
                self.socket.send(_encode(message))
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in _FULL:
                return False
            raise ChannelBroken from error
        return True

    def receive(self) -> Received | None:
        """What the other end says next; None where it has said nothing. Descriptors that come with it are dropped.

        Raises:
            ChannelBroken: It has gone, or what it says makes no sense.
        """
        try:
            data = self.socket.recv(self._longest + 1)
        except BlockingIOError:
            return None
        except OSError as error:
            raise ChannelBroken from error
        return self._decoded(data)

    def receive_with(self) -> tuple[Received | None, int]:
        """`receive`, and the one descriptor that came with it, or -1; who takes it closes it.

        Raises:
            ChannelBroken: As `receive`.
        """
        try:
            data, descriptors, _, _ = socket.recv_fds(self.socket, self._longest + 1, 1)
        except BlockingIOError:
            return None, -1
        except OSError as error:
            raise ChannelBroken from error
        descriptor = descriptors[0] if descriptors else -1
        try:
            return self._decoded(data), descriptor
        except ChannelBroken:
            if descriptor >= 0:
                os.close(descriptor)
            raise

    def _decoded(self, data: bytes) -> Received:
        if not data:
            raise ChannelBroken
        if len(data) > self._longest:
            raise ChannelBroken(f"it sent a message of more than {self._longest} bytes")
        try:
            return self._decode(data)
        except UNREADABLE as error:
            raise ChannelBroken(f"it sent what is no message: {error}") from error

    def close(self) -> None:
        """Say and hear nothing more."""
        with suppress(OSError):
            self.socket.close()


_FULL: Final = frozenset({11, 105, 55})  # EAGAIN; ENOBUFS of Linux and of the BSDs: a queue of datagrams is full
