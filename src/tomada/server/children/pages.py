"""A page of memory that the server shares with each child, in which the child says where it is in what it writes.

When a child dies, the server tells its peer why. It must not do so in the middle of a frame, of which the rest would be
missing: the words would be taken for that rest. Only the child knows, and it has no time to tell when it is killed; so
it notes it here, before and after each write. A child has no other child's page.
"""

from __future__ import annotations

import mmap
import os
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
        self.file = _memory_file()
        os.ftruncate(self.file, count * PAGE)
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

    def close(self) -> None:
        """Give up the server's view."""
        self._view.close()
        os.close(self.file)


def _memory_file() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("tomada children")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def own_page(file: int, slot: int) -> mmap.mmap:
    """A child's page; the other ones are out of its reach once `file` is closed."""
    return mmap.mmap(file, PAGE, offset=slot * PAGE)
