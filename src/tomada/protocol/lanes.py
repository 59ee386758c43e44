"""What comes in one lane; and how sequences count.

They count frames modulo 2**32 and go on across the connections of a session; compare them with `is_after` only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tomada.errors import ProtocolError
from tomada.protocol.frames import HEADER, HEADER_BYTES, MINIMUM_FRAGMENT, MORE, U32

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_EXCEPTIONS: Final = 1_000
"""An acknowledgement names at most so many frames that have come and are not handled yet."""
_HALF: Final = 0x8000_0000
_TORN: Final = 0x10_0000
"""More frames than come or go while a thread that counts them waits for its turn between two numbers."""


def is_after(sequence: int, other: int) -> bool:
    """Whether one sequence is later than another, however they wrap (RFC 1982, serial numbers)."""
    return 0 < (sequence - other & U32) < _HALF


def extended(sequence: int, near: int) -> int:
    """The sequence counted on beyond 2**32, where `near` is one that is less than 2**31 away, so counted."""
    ahead = sequence - near & U32
    return near + ahead - (ahead >= _HALF) * (U32 + 1)


def counted(frames: int, before: int) -> int:
    """The count that has grown from `before`, where only its last 32 bits are known: `frames` modulo 2**32.

    Where that is a little less than before it has not begun anew: another thread asked in the middle of a change.
    """
    now = before + (frames - before + _TORN & U32) - _TORN
    return now if now >= 0 else now + U32 + 1


def split_frames(data: bytes | bytearray | memoryview) -> Iterator[tuple[int, memoryview]]:
    """The frames in `data`, which holds whole ones: the sequence and the bytes of each."""
    view = memoryview(data)
    position = 0
    while position < len(view):
        length, _, _, _, _, sequence = HEADER.unpack_from(view, position)
        stop = position + HEADER_BYTES + length
        yield sequence, view[position:stop]
        position = stop


class Incoming:
    """One lane's incoming side: the sequence that is due, what is held, and what has come of a message in fragments.

    Args:
        name: Of the lane, for the reason of a violation.
        limit: The longest message, in bytes.
        window: How many bytes may wait here.
    """

    __slots__ = (
        "_first",
        "_in_order",
        "_is_again",
        "_latest",
        "_limit",
        "_name",
        "_parts",
        "body",
        "dropped",
        "expected",
        "granted",
        "head",
        "held",
        "held_bytes",
        "missing",
        "near",
        "received",
        "reported",
        "spans",
        "window",
    )

    def __init__(self, name: str, limit: int, window: int) -> None:
        self.expected = 1
        self._parts = 0
        self._first = 0
        self._latest = 0
        self._is_again = False
        self._in_order = True
        """Whether each message has come after those with lower sequences."""
        self.head: tuple[int, int, int, int] | None = None
        """Kind, flags, type and id of the message under way in fragments."""
        self.body = bytearray()
        """What has come of it."""
        self._limit = limit
        self._name = name
        self.window = window
        self.received = 0
        """How many bytes have come, since the session began."""
        self.granted = window
        """Up to which of them a message may be begun."""
        self.held: dict[int, int] = {}
        """The bytes of each message that has come and is not handled yet, by the sequence of its last frame."""
        self.held_bytes = 0
        self.spans: dict[int, int] = {}
        """The sequence of the first frame of each message in fragments, by that of its last."""
        self.missing: set[int] = set()
        """Sequences before `expected` that are to come again: their messages were under way when a process died."""
        self.dropped = 0
        """How many frames came a second time."""
        self.reported: tuple[int, list[int]] = (0, [])
        """What was acknowledged last."""
        self.near = 0
        """A recent sequence, counted on beyond 2**32."""

    def add(self, head: tuple[int, int, int, int], sequence: int, payload: bytes, *, more: bool) -> bytes | None:
        """Take one frame; the whole message when it was the last, or the only one, of its message."""
        is_again = self._count(sequence)
        if self.head is not None and (
            head != self.head or is_again is not self._is_again or sequence != self._latest + 1 & U32
        ):
            raise ProtocolError("a fragment of one message came in the middle of another")
        if len(self.body) + len(payload) > self._limit:
            raise ProtocolError(f"a message in fragments is longer than {self._limit} bytes")
        if more and len(payload) < MINIMUM_FRAGMENT:
            raise ProtocolError(f"a fragment is {len(payload)} bytes long, at least {MINIMUM_FRAGMENT} are required")
        self._latest = sequence
        if self.head is None:
            self._first = sequence
            self._is_again = is_again
        if more:
            self.body += payload
            self.head = head
            self._parts += not is_again
            return None
        if is_again:
            # It was held for the other time.
            for part in range((sequence - self._first & U32) + 1):
                self.held_bytes -= self.held.pop(self._first + part & U32, 0)
        if self.head is None:
            return payload
        whole = bytes(self.body + payload)
        self.spans[sequence] = self._first
        self.clear()
        return whole

    def _count(self, sequence: int) -> bool:
        """Count the frame; whether it comes again."""
        if sequence == self.expected:
            self.expected = sequence + 1 & U32
            return False
        if sequence not in self.missing:
            raise ProtocolError(f"sequence {sequence} came in the {self._name} lane where {self.expected} was due")
        self.missing.remove(sequence)
        self._in_order = False
        return True

    def is_behind(self, sequence: int) -> bool:
        """Whether the frame has come before."""
        return is_after(self.expected, sequence) and sequence not in self.missing

    def handled(self, *, all_of_them: bool = False) -> tuple[int, list[int]]:
        """Up to which sequence all has been handled, and the exceptions: as many as one frame names, or all of them."""
        up_to = (self.expected if self.head is None or self._is_again else self._first) - 1 & U32
        for last in [last for last in self.spans if last not in self.held]:
            del self.spans[last]
        exceptions: list[int] = []
        for last in self.held if self._in_order else sorted(self.held, key=lambda each: each - up_to - 1 & U32):
            first = self.spans.get(last, last)
            if not all_of_them and len(exceptions) + (last - first & U32) >= MOST_EXCEPTIONS:
                return first - 1 & U32, exceptions
            exceptions += [first + part & U32 for part in range((last - first & U32) + 1)]
        return up_to, exceptions

    @property
    def whole(self) -> int:
        """How many messages have come, modulo 2**32: all frames, but for those that were not their message's last."""
        return self.expected - 1 - self._parts & U32

    @property
    def consumed(self) -> int:
        """How many bytes of those that have come are handled: none of a message under way, which is still to be."""
        return self.received - self.held_bytes - self.unfinished

    @property
    def unfinished(self) -> int:
        """How many bytes were counted of the message under way; none where it comes again: they were the other time."""
        if self.head is None or self._is_again:
            return 0
        return (self.expected - self._first & U32) * HEADER_BYTES + len(self.body)

    def clear(self) -> None:
        """Forget the message under way."""
        self.head = None
        self.body = bytearray()


def fragments(head: tuple[int, int, int, int], payload: bytes, sequence: int, frame_bytes: int) -> Iterator[bytes]:
    """A message as frames of its lane.

    Args:
        head: Kind, lane and flags, type and id.
        payload: Of the whole message.
        sequence: Of the first frame.
        frame_bytes: The longest payload of one frame.
    """
    kind, flags, type_, id_ = head
    for start in range(0, len(payload), frame_bytes):
        part = payload[start : start + frame_bytes]
        more = MORE if start + frame_bytes < len(payload) else 0
        yield HEADER.pack(len(part), kind, flags | more, type_, id_, sequence) + part
        sequence = sequence + 1 & U32
