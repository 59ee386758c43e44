"""A file's bytes to a socket within the kernel, which copies nothing into this process (sendfile(2))."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Final

from tomada.transports import unacknowledged

if TYPE_CHECKING:
    from collections.abc import Callable

PIECE: Final = 2_097_152
"""Bytes sent by one call, in which nothing else runs in this thread."""


def can_send_file(transport: asyncio.BaseTransport) -> bool:
    """Whether the kernel can: the transport is a plain socket, without TLS or WebSocket around it."""
    connected = transport.get_extra_info("socket")
    return (
        hasattr(os, "sendfile")
        and connected is not None
        and connected.type == socket.SOCK_STREAM
        and transport.get_extra_info("scheme") is None
    )


async def send_file(
    transport: asyncio.BaseTransport, file: int, offset: int, count: int, *, timeout: float, sent: Callable[[int], None]
) -> int:
    """Send `count` bytes of `file`, from `offset` on; how many there were: fewer where the file is shorter.

    Nothing may wait in the transport's own buffer, and nothing else may write to it meanwhile.

    Args:
        transport: Of a plain stream socket.
        file: The number of an open file.
        offset: In bytes.
        count: In bytes.
        timeout: Seconds that the peer may take nothing.
        sent: Told of each piece that the kernel has taken.

    Raises:
        TimeoutError: It took nothing for so long.
        OSError: The connection is gone, or the file cannot be read.
    """
    # The loops forbid to wait on a socket that is a transport's, by its number: this is the same socket by another.
    own = os.dup(transport.get_extra_info("socket").fileno())
    try:
        gone = 0
        while gone < count:
            try:
                piece = os.sendfile(own, file, offset + gone, min(PIECE, count - gone))
            except BlockingIOError:
                await _writable(own, timeout, transport)
                continue
            if not piece:
                break
            gone += piece
            sent(piece)
            if piece == PIECE:
                await asyncio.sleep(0)  # the kernel takes all at once: let others have their turn
        return gone
    finally:
        os.close(own)


async def _writable(number: int, timeout: float, transport: asyncio.BaseTransport) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_writer(number, _wake, ready)
    try:
        held = unacknowledged(transport)
        while not (await asyncio.wait([ready], timeout=timeout))[0]:
            # The kernel asks for more only when a good part of its own buffer is free again.
            before, held = held, unacknowledged(transport)
            if held >= before:
                raise TimeoutError
    finally:
        loop.remove_writer(number)


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
