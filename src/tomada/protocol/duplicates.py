"""The requests that came lately, by key, with their answers: what comes again is answered again, and not done again."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

_OVERHEAD: Final = 200
"""Bytes that an entry without an answer takes, about."""


class Entry:
    """A request that came.

    Attributes:
        source: Where it came from.
        answer: The datagram that answers it; None while its handler runs, and of a one-way message.
    """

    __slots__ = ("answer", "at", "source")

    def __init__(self, source: object, at: float) -> None:
        self.source = source
        self.at = at
        self.answer: bytes | None = None


class Duplicates:
    """A table within bounds: the oldest entries are forgotten first.

    Args:
        age: How long an entry is kept at the most, in seconds.
        entries: How many are kept at the most.
        most_bytes: How many bytes they may take together, about.
    """

    __slots__ = ("_age", "_bytes", "_entries", "_most", "_most_bytes")

    def __init__(self, age: float = 60.0, entries: int = 65_536, most_bytes: int = 33_554_432) -> None:
        self._age = age
        self._most = entries
        self._most_bytes = most_bytes
        self._bytes = 0
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: bytes, now: float) -> Entry | None:
        """The entry of a key that came before."""
        entry = self._entries.get(key)
        return entry if entry is not None and now - entry.at <= self._age else None

    def add(self, key: bytes, source: object, now: float) -> Entry:
        """Remember a key that comes for the first time."""
        self._forget(key)
        entry = self._entries[key] = Entry(source, now)
        self._bytes += _OVERHEAD
        self._make_room(now)
        return entry

    def answer(self, key: bytes, entry: Entry, answer: bytes, now: float) -> None:
        """Keep the answer, where the entry is still kept."""
        entry.answer = answer
        if self._entries.get(key) is entry:
            self._bytes += len(answer)
            self._make_room(now)

    def _make_room(self, now: float) -> None:
        entries = self._entries
        while entries:
            key, oldest = next(iter(entries.items()))
            fits = len(entries) <= self._most and self._bytes <= self._most_bytes
            if fits and now - oldest.at <= self._age:
                return
            self._forget(key)

    def _forget(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= _OVERHEAD + len(entry.answer or b"")
