"""A short queue in the kernel: what has been handed to it can be overtaken by nothing."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import asyncio

_UNSENT: Final = 131_072
"""So many bytes may wait in the kernel that have not been sent; what was sent and is not confirmed does not count, so
that a long way is filled as ever. Over loopback nothing waits there: bulk is as fast, and calls are, as without."""
_OPTION: Final[int | None] = getattr(socket, "TCP_NOTSENT_LOWAT", None)


def shorten_queue(transport: asyncio.BaseTransport) -> None:
    """Let the kernel take little more of a message connection than it can send at once.

    Without effect where there is no TCP, and on systems without the option (Linux and macOS have it).
    """
    shorten(transport.get_extra_info("socket"))


def shorten(own: Any) -> None:
    """The same for anything that is a socket, or stands for one; or None."""
    if _OPTION is not None and own is not None and own.family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError, ValueError):  # it is gone already; uvloop says ValueError
            own.setsockopt(socket.IPPROTO_TCP, _OPTION, _UNSENT)
