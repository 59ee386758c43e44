"""Accepts connections at one listening socket, and goes on whatever the system answers.

The loops do it too, each in its own way when descriptors run out: uvloop drops callers without a word, and closes the
listener for a want of memory; asyncio writes a thousand lines. So sockets are accepted here, with one way for all.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from tomada.telemetry import AcceptFailed, AcceptResumed, emit

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomada.address import Address
    from tomada.transports.admission import Admission, Ticket

_BURST: Final = 64
"""So many are accepted before others have their turn."""
_PAUSE: Final = 1.0
"""Seconds until accepting is tried again for which the system had no means."""
_NO_MEANS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_CLOSED: Final = frozenset({errno.EBADF, errno.EINVAL, errno.ENOTSOCK})
_RESET: Final = struct.pack("ii", 1, 0)


class Acceptor:
    """Takes what comes to a listening socket, which it closes in the end.

    Args:
        listening: Bound and listening.
        address: Where it listens, for what is told.
        take: Called with each socket that was accepted, which is its own from then on, and what it was admitted with.
        admission: Says whether a caller is accepted at all; by default all are.
    """

    __slots__ = (
        "_address",
        "_admission",
        "_dropped",
        "_listening",
        "_loop",
        "_reserve",
        "_short_since",
        "_take",
        "_timer",
    )

    def __init__(
        self,
        listening: socket.socket,
        address: Address,
        take: Callable[[socket.socket, Ticket | None], None],
        admission: Admission | None = None,
    ) -> None:
        listening.setblocking(False)  # noqa: FBT003 - a socket's own
        self._listening = listening
        self._address = address
        self._take = take
        self._admission = admission
        self._loop = asyncio.get_running_loop()
        self._reserve = _reserved()
        self._short_since = 0.0
        self._dropped = 0
        self._timer: asyncio.TimerHandle | None = None
        self.resume()

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The listening socket; none once it is closed."""
        return () if self._listening.fileno() < 0 else (self._listening,)

    def resume(self) -> None:
        """Accept, again."""
        self._timer = None
        if self._listening.fileno() >= 0:
            self._loop.add_reader(self._listening.fileno(), self._accept)

    def pause(self) -> None:
        """Accept nobody for now: callers wait in the system's queue."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._listening.fileno() >= 0:
            self._loop.remove_reader(self._listening.fileno())

    def close(self) -> None:
        """Accept no more, at once. To call it again does nothing."""
        self.pause()
        self._listening.close()
        _close(self._reserve)
        self._reserve = -1

    def _accept(self) -> None:
        for _ in range(_BURST):
            try:
                accepted, name = self._listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _NO_MEANS:
                    self._back_off(error)
                    return
                if error.errno in _CLOSED:
                    self.pause()
                    return
                continue  # the caller has gone, or its network: accept(2) says to try the next one
            if self._short_since:
                self._recovered()
            ticket = None
            if self._admission is not None:
                ticket = self._admission.admit(name[0] if isinstance(name, tuple) else "")
                if ticket is None:
                    drop(accepted)
                    continue
            self._take(accepted, ticket)

    def _back_off(self, error: OSError) -> None:
        """Let those who wait go, with the descriptor that was kept for it, and try again in a while."""
        if not self._short_since:
            self._short_since = self._loop.time()
            if AcceptFailed.subscribers:
                reason = os.strerror(error.errno or 0)
                emit(AcceptFailed(address=str(self._address), reason=f"{reason}; trying again every {_PAUSE:g} s"))
        if error.errno in (errno.EMFILE, errno.ENFILE):
            _close(self._reserve)
            with suppress(OSError):
                for _ in range(_BURST):
                    drop(self._listening.accept()[0])
                    self._dropped += 1
            self._reserve = _reserved()
        self.pause()
        self._timer = self._loop.call_later(_PAUSE, self.resume)

    def _recovered(self) -> None:
        seconds = self._loop.time() - self._short_since
        if self._reserve < 0:
            self._reserve = _reserved()
        if AcceptResumed.subscribers:
            emit(AcceptResumed(address=str(self._address), seconds=seconds, dropped=self._dropped))
        self._short_since, self._dropped = 0.0, 0


def drop(accepted: socket.socket) -> None:
    """Close a socket without a word, and without leaving anything of it behind: a TCP peer is told by a reset."""
    if accepted.family != getattr(socket, "AF_UNIX", None):
        with suppress(OSError):
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    accepted.close()


def _reserved() -> int:
    try:
        return os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return -1


def _close(descriptor: int) -> None:
    if descriptor >= 0:
        os.close(descriptor)
