"""Connections on their way from one worker to another: for each a datagram with a descriptor, through a socket pair.

Only the worker that reads has the reading end; so the system tells who writes that it is gone. What waits is bounded by
the buffer of the pair.
"""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from typing import Annotated, Final

import msgspec

from tomada.address import Address

_ROOM: Final = 262_144
"""Bytes that may wait in one mailbox, as the system counts them; a hello is 65,536 at most."""
_LONGEST: Final = 131_072
_GONE: Final = frozenset({errno.ECONNREFUSED, errno.ECONNRESET, errno.ENOTCONN, errno.EPIPE})
_CLOEXEC: Final = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class Gone(Exception):
    """There is no process that reads it."""


class Full(Exception):
    """It takes no more just now."""


class Handed(msgspec.Struct, frozen=True, array_like=True):
    """A connection whose hello names a session of the worker that gets it; the descriptor travels with it."""

    at: float
    """When it was sent, by the machine's monotonic clock."""
    peer: Address
    """Who it is, as a proxy may have said."""
    heard: Annotated[bytes, msgspec.Meta(max_length=_LONGEST)]
    """What has come over it so far: the hello."""


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Handed).decode


def mailbox() -> tuple[socket.socket, socket.socket]:
    """Where the reader reads, and where all others write; neither ever waits."""
    reading, writing = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for own in (reading, writing):
        own.settimeout(0)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM)
    return reading, writing


def send(box: socket.socket, handed: Handed, descriptor: int) -> None:
    """Send a connection, whose descriptor stays open here, too.

    Raises:
        Gone: Nobody will ever read it.
        Full: It found no room, or the system gives none.
    """
    try:
        socket.send_fds(box, [_encode(handed)], [descriptor])
    except OSError as error:
        raise _explained(error) from error


def probe(box: socket.socket) -> None:
    """Find out whether somebody reads it. Raises as `send`."""
    try:
        box.send(b"")
    except OSError as error:
        raise _explained(error) from error


def _explained(error: OSError) -> Gone | Full:
    kind = Gone if error.errno in _GONE else Full
    return kind(error.strerror or str(error))


def receive(inbox: socket.socket) -> tuple[Handed, socket.socket] | None:
    """The next connection; None where there is none just now.

    Raises:
        ValueError: What came is none; it has been dropped.
    """
    try:
        data, descriptors, _, _ = socket.recv_fds(inbox, _LONGEST, 1, _CLOEXEC)
        while not data and not descriptors:  # a probe
            data, descriptors, _, _ = socket.recv_fds(inbox, _LONGEST, 1, _CLOEXEC)
    except OSError:
        return None
    try:
        return _read(data, descriptors)
    except (ValueError, OSError) as error:
        for descriptor in descriptors:
            with suppress(OSError):
                os.close(descriptor)
        raise ValueError(str(error)) from error


def _read(data: bytes, descriptors: list[int]) -> tuple[Handed, socket.socket]:
    if len(descriptors) != 1:
        raise ValueError("a connection came without its descriptor: raise the limit of open files")
    handed = _decode(data)
    return handed, socket.socket(fileno=descriptors[0])
