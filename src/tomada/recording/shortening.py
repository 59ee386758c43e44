"""The bytes of one direction of a connection, shortened: all headers, and the first bytes of each message.

What is kept of a frame follows from its header alone, so that whoever reads it knows where the next one begins: see
`kept_of`.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from tomada.protocol.frames import HEADER_BYTES, MESSAGE_KINDS, Kind
from tomada.protocol.handshake import MAXIMUM_BYTES
from tomada.recording.blanking import blanked

MOST_KEPT: Final = 65_536
"""Of one message."""
_length: Final = Struct("!I").unpack_from
_KIND: Final = 4
"""Where in a header it stands."""
_SHORTENED: Final = frozenset(map(int, MESSAGE_KINDS))
_SECRET: Final = frozenset({int(Kind.HELLO), int(Kind.WELCOME)})
_FIRST: Final = _SECRET | {int(Kind.GOODBYE)}
"""What the first frame of either end is."""
_LONGEST_GREETING: Final = max(MAXIMUM_BYTES.values())


def kept_of(kind: int, length: int, keep: int) -> int:
    """How much is kept of a payload: of messages so much as was asked for, of what is about the connection all."""
    return min(length, keep) if kind in _SHORTENED else length


class Piece(NamedTuple):
    """What is kept of one read or write."""

    data: bytes | bytearray
    offset: int
    """Where in the direction's bytes it begins: so many came before it since it is looked at."""
    length: int
    """How many bytes it stands for."""
    old: int
    """So many of those belong to a frame that had begun before,"""
    old_kept: int
    """and so many of `data`."""
    is_foreign: bool = False
    """Whether it is not tomada's protocol: then nothing is kept."""


class Shortener:
    """Shortens one direction, whatever pieces its bytes come in.

    Args:
        keep: So many bytes of each message.
        is_beginning: Whether the handshake is to come; secrets stand in its first frame.
        unread: What has come of a frame that is not complete, where it is not the beginning.
    """

    __slots__ = ("_held", "_is_beginning", "_is_foreign", "_keep", "_kept_left", "_left", "_need", "offset")

    def __init__(self, keep: int, *, is_beginning: bool, unread: bytes = b"") -> None:
        self._keep = keep
        self._is_beginning = is_beginning
        self._is_foreign = False
        self._held = bytearray()
        """The beginning of a header, or of a greeting, which is kept when it is whole."""
        self._need = 0
        self._left = 0
        """How many bytes are to come of a frame,"""
        self._kept_left = 0
        """and how many of them are kept."""
        self.offset = 0
        if unread:
            self.shorten(unread)
            self.offset = 0

    def shorten(self, data: bytes | bytearray) -> Piece | None:
        """What is kept of the bytes that come next; None where that is nothing, and no frame ends."""
        if self._held:
            self._held += data
            if len(self._held) < self._need:
                return None
            data, self._held = self._held, bytearray()
        if self._is_beginning:
            data = self._greeting(data)
        if self._held:
            return None
        start = self.offset
        if self._is_foreign:
            self.offset += len(data)
            return Piece(b"", start, len(data), 0, 0, is_foreign=True)
        old = min(self._left, len(data))
        old_kept = min(self._kept_left, old)
        self._left -= old
        self._kept_left -= old_kept
        parts, run, position = self._walk(data, old, old_kept)
        self.offset += position
        if run < position:
            parts.append(data[run:position])
        if not parts and (self._left or not position):
            return None
        return Piece(parts[0] if len(parts) == 1 else b"".join(parts), start, position, old, old_kept)

    def _walk(self, data: bytes | bytearray, old: int, old_kept: int) -> tuple[list[bytes | bytearray], int, int]:
        """Go from frame to frame: what is kept, from where on all is, and where what can be read ends."""
        parts: list[bytes | bytearray] = []
        run = 0
        if old_kept < old:
            if old_kept:
                parts.append(data[:old_kept])
            run = old
        size, position, keep = len(data), old, self._keep
        while size - position >= HEADER_BYTES:
            (length,) = _length(data, position)
            stop = position + HEADER_BYTES + length
            if length > keep or stop > size:
                kept_stop = position + HEADER_BYTES + kept_of(data[position + _KIND], length, keep)
                if stop > size:
                    self._left = stop - size
                    self._kept_left = max(0, kept_stop - size)
                    stop = size
                if kept_stop < stop:
                    parts.append(data[run:kept_stop])
                    run = stop
            position = stop
        if position < size:
            self._hold(data[position:], HEADER_BYTES)
        return parts, run, position

    def _greeting(self, data: bytes | bytearray) -> bytes | bytearray:
        """The first frame, when it is whole, without its secrets; and what follows it."""
        if len(data) < HEADER_BYTES:
            self._hold(data, HEADER_BYTES)
            return data
        (length,), kind = _length(data), data[_KIND]
        stop = HEADER_BYTES + length
        if kind not in _FIRST or length > _LONGEST_GREETING:
            self._is_foreign, self._is_beginning = True, False
        elif stop > len(data):
            self._hold(data, stop)
        else:
            self._is_beginning = False
            if kind in _SECRET:
                return data[:HEADER_BYTES] + blanked(kind, bytes(data[HEADER_BYTES:stop])) + data[stop:]
        return data

    def _hold(self, data: bytes | bytearray, need: int) -> None:
        self._held = bytearray(data)
        self._need = need
