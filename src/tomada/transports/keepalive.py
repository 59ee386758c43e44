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

    Without effect where there is no TCP, and where the peer is on this machine: its end is always told. Where the
    system has no such options its own defaults, of hours, hold. It counts in whole seconds.
    """
    own, peer = transport.get_extra_info("socket"), transport.get_extra_info("peername")
    interval = deadlines.heartbeat
    if own is None or interval == inf or not isinstance(peer, tuple) or _is_here(peer[0]):
        return
    longest = min(_LONGEST, max(1, int(interval)))
    # Thousands that came together must not be asked together: systems have short queues, and drop what is too much.
    first = longest - peer[1] % (longest // 2 + 1)
    options = {
        "TCP_KEEPALIVE" if sys.platform == "darwin" else "TCP_KEEPIDLE": first,
        "TCP_KEEPINTVL": max(1, longest // _PROBES),
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


def _is_here(host: str) -> bool:
    return host == "::1" or host.removeprefix("::ffff:").startswith("127.")
