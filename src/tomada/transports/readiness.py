"""Waiting for a socket without an event loop: until there is something to receive, or room to send."""

from __future__ import annotations

import select
import socket
from typing import Final, Protocol

AT_ONCE: Final = getattr(socket, "MSG_DONTWAIT", 0)  # Windows has no such flag, and waits


class HasNumber(Protocol):
    """A socket, or what stands around one."""

    def fileno(self) -> int:
        """The number by which the system knows it."""
        ...


def wait(on: HasNumber, seconds: float | None, *, to_receive: bool = True, to_send: bool = False) -> bool:
    """Wait until the socket is ready; whether there is something to receive, or the end."""
    if not hasattr(select, "poll"):  # Windows
        ready, _, _ = select.select([on] if to_receive else [], [on] if to_send else [], [], seconds)
        return bool(ready)
    poll = select.poll()
    poll.register(on, select.POLLIN * to_receive | select.POLLOUT * to_send)
    events = poll.poll(None if seconds is None else max(0.0, seconds) * 1000)
    return bool(events) and bool(events[0][1] & ~select.POLLOUT)
