"""What a service manager is told: ready, reloading, stopping, alive. See sd_notify(3); the few lines are our own."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import MutableMapping

_LONGEST_STATUS: Final = 1_000


class Notifier:
    """Tells the service manager that started this process, if there is one that wants to know.

    Attributes:
        watchdog: Seconds between two signs of life that it waits for at the most; 0 where it waits for none.
    """

    __slots__ = ("_name", "_next_beat", "watchdog")

    def __init__(self, name: str = "", watchdog: float = 0.0) -> None:
        # What begins with @ is in no file system: unix(7), abstract.
        self._name = "\0" + name[1:] if name.startswith("@") else name
        self.watchdog = watchdog
        self._next_beat = 0.0

    def ready(self, status: str) -> None:
        """It serves, now or again."""
        self._tell("READY=1", f"STATUS={_line(status)}")

    def reloading(self) -> None:
        """It loads the application anew; `ready` says when that is over, however it went."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """It ends what is under way."""
        self._tell("STOPPING=1", "STATUS=stopping")

    def status(self, text: str) -> None:
        """Something that people want to know."""
        self._tell(f"STATUS={_line(text)}")

    def alive(self, now: float) -> None:
        """It is; may be called as often as it is known. `now` is of any clock that does not go back, in seconds."""
        if self.watchdog and now >= self._next_beat:
            self._next_beat = now + self.watchdog / 2
            self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> None:
        if not self._name:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | getattr(socket, "SOCK_CLOEXEC", 0)) as telling:
                telling.settimeout(1)
                telling.connect(self._name)
                telling.send("\n".join(lines).encode())
        except OSError:
            # The service manager is gone, or too busy: nobody is left to tell it to, and the service goes on.
            return


def _line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_STATUS]


def notifier(environment: MutableMapping[str, str] = os.environ) -> Notifier:
    """One that tells whom the environment names. What names it is taken out: it is not meant for child processes."""
    name = environment.pop("NOTIFY_SOCKET", "")
    process, interval = environment.pop("WATCHDOG_PID", ""), environment.pop("WATCHDOG_USEC", "")
    if not interval.isdigit() or process not in ("", str(os.getpid())):
        interval = "0"
    return Notifier(name, int(interval) / 1_000_000)
