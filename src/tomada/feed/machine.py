"""What this process takes of its machine."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Final

_STATM: Final = Path("/proc/self/statm")


class Machine:
    """Measures how much of one processor the process uses, from look to look."""

    __slots__ = ("_at", "_used", "processor")

    def __init__(self) -> None:
        self._at = time.monotonic()
        self._used = time.process_time()
        self.processor = 0.0
        """Between the last two looks; more than 1 where several threads worked."""

    def look(self) -> None:
        """Measure, since the last look."""
        at, used = time.monotonic(), time.process_time()
        if at > self._at:
            self.processor = (used - self._used) / (at - self._at)
        self._at, self._used = at, used

    @staticmethod
    def memory() -> int:
        """Bytes that it has in memory now; the most it ever had, where the system does not tell the other."""
        try:
            return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError, IndexError, AttributeError):
            return _highest()


def is_running(pid: int) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def _highest() -> int:
    try:
        import resource  # noqa: PLC0415 - Windows has none
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
