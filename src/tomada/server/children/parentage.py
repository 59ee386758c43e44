"""Who ends with whom, as far as Linux does it by itself; elsewhere the end of a channel has to do."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import signal

_SET_DEATH_SIGNAL: Final = 1  # linux/prctl.h
_SET_CHILD_SUBREAPER: Final = 36
_libc: Final = ctypes.CDLL(None) if sys.platform == "linux" else None  # once: to look it up costs each child its share


def end_with_parent(parent: int, number: signal.Signals) -> None:
    """Let the system send this process a signal when its parent ends; at once where that has happened.

    To become another user takes it back.
    """
    _prctl(_SET_DEATH_SIGNAL, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def adopt_orphans() -> None:
    """Be the parent of the descendants whose own parent ends, so that they are waited for."""
    _prctl(_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    if _libc is not None:
        _libc.prctl(option, value, 0, 0, 0)
