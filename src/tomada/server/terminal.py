"""Whether the terminal is gone that this process was started from."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

_TERMINAL: Final = "/dev/tty"


def has_terminal() -> bool:
    """Whether there is a terminal. One that goes away says SIGHUP, which servers take for "read your files again"."""
    with suppress(OSError):
        os.close(os.open(_TERMINAL, os.O_RDONLY | getattr(os, "O_NOCTTY", 0)))
        return True
    return False
