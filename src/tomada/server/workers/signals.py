"""Signals as something to wait for beside sockets."""

from __future__ import annotations

import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self


class Signals:
    """Keeps signals until they are asked for; what they did before comes back at the end of the ``with``.

    Only for the main thread.
    """

    def __init__(self, numbers: Iterable[signal.Signals]) -> None:
        self._numbers = tuple(numbers)
        self._before: dict[signal.Signals, Any] = {}
        self._wakeup = -1
        self.socket, self._inner = socket.socketpair()
        """Readable when there is one."""
        self.socket.settimeout(0)
        self._inner.settimeout(0)

    def __enter__(self) -> Self:
        self._wakeup = signal.set_wakeup_fd(self._inner.fileno(), warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, _pass) for number in self._numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        self.socket.close()
        self._inner.close()

    def take(self) -> list[int]:
        """The signals that have come, in their order; one that came often in the meantime may be told once."""
        with suppress(BlockingIOError):
            return list(self.socket.recv(4096))
        return []


def _pass(*_: object) -> None:
    """The wakeup socket tells of it."""
