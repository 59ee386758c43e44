"""Who is at the other end of a Unix socket, as the kernel says; no peer can make it up (unix(7), SO_PEERCRED)."""

from __future__ import annotations

import socket
import struct
from typing import Final

import msgspec

_UCRED: Final = struct.Struct("3i")
IS_TOLD: Final = hasattr(socket, "SO_PEERCRED")
"""Whether this system tells."""


class Credentials(msgspec.Struct, frozen=True):
    """The process at the other end of a Unix socket: as it was when it connected, or when it began to listen.

    Attributes:
        process: Its id; 0 where it is not to be seen from this process, as from inside a container.
        user: The id of the user that it runs as.
        group: The id of its group.
    """

    process: int
    user: int
    group: int


def credentials(connected: socket.socket) -> Credentials | None:
    """Who is at the other end; ``None`` where it is no Unix socket, the system does not tell, or it is closed."""
    if not IS_TOLD or connected.family != socket.AF_UNIX:
        return None
    try:
        return Credentials(*_UCRED.unpack(connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)))
    except (OSError, ValueError):  # it is gone; uvloop says ValueError
        return None
