"""A page of memory that the server shares with each child, in which the child says where it is in what it writes.

When a child dies, the server tells its peer why. It must not do so in the middle of a frame, of which the rest would be
missing: the words would be taken for that rest. Only the child knows, and it has no time to tell when it is killed; so
it notes it here, before and after each write. A child has no other child's page, and cannot cut the file short: the
server would be killed by SIGBUS as soon as it looked at a page that is not there any more.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from typing import Final

PAGE: Final = mmap.PAGESIZE
MIDST: Final = 0
"""Of a page: 1 while the peer has a part of a frame, or may have."""
OPEN: Final = 1
"""Of a page: 1 while a goodbye may be said to the peer."""


class Pages:
    """The server's view of all pages.

    Args:
        count: How many there are.
    """

    __slots__ = ("_free", "_view", "file")

    def __init__(self, count: int) -> None:
        self.file = _memory_file(count * PAGE)
        self._view = mmap.mmap(self.file, count * PAGE)
        self._free = list(range(count - 1, -1, -1))

    def take(self) -> int:
        """The number of a page that nobody uses."""
        slot = self._free.pop()
        self._view[slot * PAGE : slot * PAGE + 2] = b"\0\0"
        return slot

    def give_back(self, slot: int) -> None:
        """The page's child is gone."""
        self._free.append(slot)

    def begin(self, slot: int, *, may_speak: bool) -> None:
        """The page's child gets a connection; whether a goodbye may be said before the child has said anything."""
        self._view[slot * PAGE + OPEN] = may_speak

    def may_speak(self, slot: int) -> bool:
        """Whether a goodbye may be said on the connection of the page's child."""
        return self._view[slot * PAGE + OPEN] == 1 and self._view[slot * PAGE + MIDST] == 0

    def forget(self) -> None:
        """Give up the view in a forked process, which inherits it, and a descriptor with it; `file` stays."""
        self._view.close()

    def close(self) -> None:
        """Give up the server's view."""
        self._view.close()
        os.close(self.file)


def _memory_file(size: int) -> int:
    if hasattr(os, "memfd_create"):
        file = os.memfd_create("tomada children", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(file, size)
        _seal(file)
        return file
    with tempfile.TemporaryFile() as temporary:
        os.ftruncate(temporary.fileno(), size)
        return os.dup(temporary.fileno())


def _seal(file: int) -> None:
    """From now on nobody changes its size, or what is sealed."""
    import fcntl  # noqa: PLC0415 - Windows has none

    fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)


def own_page(file: int, slot: int) -> mmap.mmap:
    """A child's page; the other ones are out of its reach once `file` is closed.

    Before Python 3.13 the page keeps a descriptor of the file: a child that somebody has taken over may then write to
    the pages of others, and have them end with a wrong word, or none.
    """
    if sys.version_info >= (3, 13):
        return mmap.mmap(file, PAGE, offset=slot * PAGE, trackfd=False)
    return mmap.mmap(file, PAGE, offset=slot * PAGE)
