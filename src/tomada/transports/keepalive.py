"""TCP's own heartbeat (RFC 9293, section 3.8.4): the system asks a silent peer for a sign, and ends the connection."""

from __future__ import annotations

import socket
import sys
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio

    from tomada.settings import Deadlines

_PROBES: Final = 3
"""How often a silent peer is asked, within one interval."""
_LONGEST: Final = 32_767
"""Linux takes no longer intervals, in seconds."""


def keep_alive(transport: asyncio.BaseTransport, deadlines: Deadlines) -> None:
    """Let the system find out within two intervals of `Deadlines.heartbeat` that the peer's system is gone.

    Without effect where there is no TCP; and where the system has no such options, its own defaults, of hours, hold. It
    counts in whole seconds.
    """
    own = transport.get_extra_info("socket")
    interval = deadlines.heartbeat
    if own is None or own.family == getattr(socket, "AF_UNIX", None) or interval == inf:
        return
    first = min(_LONGEST, max(1, int(interval)))
    options = {
        "TCP_KEEPALIVE" if sys.platform == "darwin" else "TCP_KEEPIDLE": first,
        "TCP_KEEPINTVL": max(1, first // _PROBES),
        "TCP_KEEPCNT": _PROBES,
    }
    if 2 * interval >= deadlines.progress:
        # While something is on its way nobody is asked: it must be confirmed in time. For Linux that is also said of a
        # peer that takes nothing: by then it is to be cut anyway.
        options["TCP_USER_TIMEOUT"] = min(int(2000 * interval), 2**31 - 1)
    with suppress(OSError, ValueError):  # it is gone already; uvloop says ValueError
        own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in options.items():
            if hasattr(socket, name):
                own.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
