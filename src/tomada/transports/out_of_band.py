"""TCP's own out-of-band data: one byte that overtakes what waits at the receiver (RFC 9293, section 3.8.5; RFC 6093).

The loops know nothing of it. Linux tells of such a byte as a condition of its own, which only epoll can wait for on
their behalf: an epoll instance is itself a file that becomes readable.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys

from tomada.errors import TransportError


def send(transport: asyncio.BaseTransport, byte: bytes) -> None:
    """Send one byte out of band.

    Raises:
        TransportError: The transport has no such thing, or its connection is gone.
    """
    with _socket(transport) as own:
        try:
            own.send(byte, socket.MSG_OOB)
        except OSError as error:
            raise TransportError(f"out-of-band data cannot be sent: {error}") from error


async def receive(transport: asyncio.BaseTransport, ended: asyncio.Future[None]) -> bytes:
    """The next byte that comes out of band; no bytes where `ended` is done first.

    Raises:
        TransportError: The transport, or the system, has no such thing.
    """
    if sys.platform != "linux":
        raise TransportError("out-of-band data can be received on Linux only")
    import select  # noqa: PLC0415 - with an epoll on Linux only

    with _socket(transport) as own, select.epoll() as watch:
        watch.register(own.fileno(), select.EPOLLPRI)
        while not (byte := _receive_some(own)) and not ended.done():
            await _ready(watch.fileno(), ended)
        return byte


def _receive_some(own: socket.socket) -> bytes:
    try:
        return own.recv(1, socket.MSG_OOB)
    except OSError as error:
        # EINVAL: none has come, or it has been taken. EAGAIN: it is announced, and still on its way.
        if error.errno in (errno.EINVAL, errno.EAGAIN):
            return b""
        raise TransportError(f"out-of-band data cannot be received: {error}") from error


async def _ready(number: int, ended: asyncio.Future[None]) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(number, _set, ready)
    try:
        await asyncio.wait([ready, ended], return_when=asyncio.FIRST_COMPLETED)
    finally:
        loop.remove_reader(number)


def _socket(transport: asyncio.BaseTransport) -> socket.socket:
    """The transport's socket by another number: the loops forbid to wait for their own."""
    shown = transport.get_extra_info("socket")
    if shown is None or shown.family not in (socket.AF_INET, socket.AF_INET6) or transport.get_extra_info("scheme"):
        raise TransportError("out-of-band data is TCP's own: this stream is not plain TCP")
    return socket.socket(fileno=os.dup(shown.fileno()))


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
