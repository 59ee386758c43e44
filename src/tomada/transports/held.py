"""What the kernel holds of what was sent, because the peer has not taken it."""

from __future__ import annotations

import sys
from array import array
from contextlib import suppress


def held_by_kernel(number: int) -> int:
    """Bytes that wait in a stream socket of this number, or that its peer has not confirmed; 0 if nobody tells."""
    if sys.platform != "linux":
        return 0
    import termios  # noqa: PLC0415 - there is none on Windows
    from fcntl import ioctl  # noqa: PLC0415 - as above

    left = array("i", [0])
    with suppress(OSError, ValueError):  # it is gone
        ioctl(number, termios.TIOCOUTQ, left)
    return left[0]
