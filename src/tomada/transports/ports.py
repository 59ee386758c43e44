"""What a port number says by itself: its class, the service that is registered for it, the privilege that it needs."""

# Importing pathlib would slow every start, for what is rarely asked.
# ruff: noqa: PTH123

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from typing import Final

FIRST_USER_PORT: Final = 1024
FIRST_DYNAMIC_PORT: Final = 49_152
_BIND_SERVICE = 1 << 10  # CAP_NET_BIND_SERVICE in include/uapi/linux/capability.h


def port_class(port: int) -> str:
    """``system``, ``registered`` or ``dynamic``: RFC 6335, section 6."""
    if port < FIRST_USER_PORT:
        return "system"
    return "registered" if port < FIRST_DYNAMIC_PORT else "dynamic"


def service_name(port: int, protocol: str) -> str | None:
    """The service that this machine knows under the port; ``None`` where it knows none, or has no list of them.

    Args:
        port: From 0 to 65535.
        protocol: ``tcp`` or ``udp``.
    """
    with suppress(OSError):
        return socket.getservbyport(port, protocol)
    return None


def first_free_for_all(proc: str = "/proc") -> int:
    """The lowest port on which any process may listen."""
    with (
        suppress(OSError, ValueError),
        open(f"{proc}/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as file,
    ):
        return int(file.read())
    return 0 if sys.platform == "win32" else FIRST_USER_PORT


def has_privilege(proc: str = "/proc") -> bool:
    """Whether this process may listen on ports below `first_free_for_all`."""
    with suppress(OSError, ValueError), open(f"{proc}/self/status", encoding="ascii", errors="replace") as lines:
        for line in lines:
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) & _BIND_SERVICE)
    return not hasattr(os, "geteuid") or os.geteuid() == 0
