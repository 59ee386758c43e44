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
from tomada.transports.admission import Ticket
from tomada.transports.callers import Callers

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomada.address import Address
    from tomada.transports.admission import Admission

_BURST: Final = 64
"""So many are accepted before others have their turn."""
_SHED: Final = 1_024
"""So many are let go at once, when there are no descriptors to keep them."""
_PAUSE: Final = 1.0
"""Seconds until accepting is tried again for which the system had no means."""
_CALM: Final = 3 * _PAUSE
"""So long accepting must go well before the shortage is over: else there would be two lines per second in the log."""
_GONE: Final = frozenset(
    getattr(errno, name)
    for name in (
        # accept(2): the caller has gone, its network has, or a firewall forbids it. The next one may be well.
        *("ECONNABORTED", "EPROTO", "ECONNRESET", "ETIMEDOUT", "EPERM", "EACCES"),
        *("ENETDOWN", "ENOPROTOOPT", "EHOSTDOWN", "ENONET", "EHOSTUNREACH", "EOPNOTSUPP", "ENETUNREACH"),
    )
    if hasattr(errno, name)
)
_CLOSED: Final = frozenset({errno.EBADF, errno.EINVAL, errno.ENOTSOCK})
_RESET: Final = struct.pack("ii", 1, 0)


class Acceptor:
    """Takes what comes to a listening socket, which it closes in the end.

    Args:
        listening: Bound and listening.
        address: Where it listens, for what is told.
        take: Called with each socket that was accepted, which is its own from then on, and what it was admitted with.
        admission: Says whether a caller is accepted at all; by default all are.
        callers: Says who they are.
    """

    __slots__ = (
        "_address",
        "_admission",
        "_callers",
        "_calm",
        "_dropped",
        "_is_paused",
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
        callers: Callers = Callers(),  # noqa: B008 - frozen
    ) -> None:
        listening.setblocking(False)  # noqa: FBT003 - a socket's own
        self._listening = listening
        self._address = address
        self._take = take
        self._admission = admission
        self._callers = callers
        self._loop = asyncio.get_running_loop()
        self._reserve = _reserved()
        self._short_since: float | None = None
        self._dropped = 0
        self._is_paused = False
        self._timer: asyncio.TimerHandle | None = None
        """When accepting is tried again."""
        self._calm: asyncio.TimerHandle | None = None
        """When the shortage is over."""
        self.resume()

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The listening socket; none once it is closed."""
        return () if self._listening.fileno() < 0 else (self._listening,)

    def resume(self) -> None:
        """Accept, again."""
        self._cancel_timer()
        self._is_paused = False
        if self._listening.fileno() >= 0:
            self._loop.add_reader(self._listening.fileno(), self._accept)

    def pause(self) -> None:
        """Accept nobody for now: callers wait in the system's queue."""
        self._is_paused = True
        self._cancel_timer()
        if self._listening.fileno() >= 0:
            self._loop.remove_reader(self._listening.fileno())

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _cancel_calm(self) -> None:
        if self._calm is not None:
            self._calm.cancel()
            self._calm = None

    def close(self) -> None:
        """Accept no more, at once. To call it again does nothing."""
        self.pause()
        self._cancel_calm()
        self._listening.close()
        _close(self._reserve)
        self._reserve = -1

    def _accept(self) -> None:
        gone = 0
        for _ in range(_BURST):
            try:
                accepted, name = self._listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                gone += error.errno in _GONE
                if error.errno not in _GONE or gone == _BURST:  # so many in a row are no caller's doing
                    self._failed(error)
                    return
                continue
            if self._short_since is not None and self._calm is None:
                self._calm = self._loop.call_later(_CALM, self._recovered)
            self._admit(accepted, name)
            if self._is_paused or self._listening.fileno() < 0:
                return

    def _admit(self, accepted: socket.socket, name: object) -> None:
        """Give a caller a ticket, and pass it on; or drop it."""
        host, refusal = self._callers.known(accepted, name)
        ticket = Ticket(None, host, refusal) if refusal else None
        if self._admission is not None:
            ticket = self._admission.admit(host)
            if ticket is None:
                drop(accepted)
                return
            ticket.refuse(refusal)
        try:
            self._take(accepted, ticket)
        except BaseException:
            if ticket is not None:
                ticket.release()
            drop(accepted)
            raise

    # What the system refuses.

    def _failed(self, error: OSError) -> None:
        if error.errno in _CLOSED:
            self.pause()
            self._tell_failure(f"{_text(error)}: somebody else has closed the socket; nobody is accepted any more")
            return
        if self._short_since is None:
            self._short_since = self._loop.time()
            self._tell_failure(f"{_text(error)}{_advice(error)}; trying again every {_PAUSE:g} s")
        self._cancel_calm()
        if error.errno in (errno.EMFILE, errno.ENFILE):
            self._shed()
        self.pause()
        self._timer = self._loop.call_later(_PAUSE, self.resume)

    def _shed(self) -> None:
        """Let those who wait go, with the descriptor that was kept for it: they hear at once, and may go elsewhere."""
        _close(self._reserve)
        with suppress(OSError):
            for _ in range(_SHED):
                drop(self._listening.accept()[0])
                self._dropped += 1
        self._reserve = _reserved()

    def _recovered(self) -> None:
        self._calm = None
        if self._reserve < 0:
            self._reserve = _reserved()
        seconds = self._loop.time() - (self._short_since or 0.0)
        if AcceptResumed.subscribers:
            emit(AcceptResumed(address=str(self._address), seconds=seconds, dropped=self._dropped))
        self._short_since, self._dropped = None, 0

    def _tell_failure(self, reason: str) -> None:
        if AcceptFailed.subscribers:
            emit(AcceptFailed(address=str(self._address), reason=reason))


def drop(accepted: socket.socket) -> None:
    """Close a socket without a word, and without leaving anything of it behind: a TCP peer is told by a reset."""
    if accepted.family != getattr(socket, "AF_UNIX", None):
        with suppress(OSError):
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    accepted.close()


def _text(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)


def _advice(error: OSError) -> str:
    if error.errno == errno.EMFILE:
        return " (this process has as many as it may: raise its limit, or lower Limits.connections)"
    return " (the whole system has as many as it may: raise fs.file-max)" if error.errno == errno.ENFILE else ""


def _reserved() -> int:
    try:
        return os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return -1


def _close(descriptor: int) -> None:
    if descriptor >= 0:
        os.close(descriptor)
