"""Lanes: sequences, and messages that travel in fragments."""

from __future__ import annotations

from tomada.errors import ProtocolError
from tomada.protocol.frames import HEADER, MINIMUM_FRAGMENT, MORE, U32


class Incoming:
    """One lane's incoming side: the sequence that is due, and what has come of a message in fragments.

    Args:
        name: Of the lane, for the reason of a violation.
        limit: The longest message, in bytes.
    """

    __slots__ = ("_limit", "_name", "_parts", "body", "expected", "head")

    def __init__(self, name: str, limit: int) -> None:
        self.expected = 1
        self._parts = 0
        self.head: tuple[int, int, int, int] | None = None
        """Kind, flags, type and id of the message under way in fragments."""
        self.body = bytearray()
        """What has come of it."""
        self._limit = limit
        self._name = name

    def add(self, head: tuple[int, int, int, int], sequence: int, payload: bytes, *, more: bool) -> bytes | None:
        """Take one frame; the whole message when it was the last, or the only one, of its message."""
        if sequence != self.expected:
            raise ProtocolError(f"sequence {sequence} came in the {self._name} lane where {self.expected} was due")
        self.expected = sequence + 1 & U32
        if self.head is not None and head != self.head:
            raise ProtocolError("a fragment of one message came in the middle of another")
        if len(self.body) + len(payload) > self._limit:
            raise ProtocolError(f"a message in fragments is longer than {self._limit} bytes")
        if more and len(payload) < MINIMUM_FRAGMENT:
            raise ProtocolError(f"a fragment is {len(payload)} bytes long, at least {MINIMUM_FRAGMENT} are required")
        if self.head is None and not more:
            return payload
        self.body += payload
        if more:
            self.head = head
            self._parts += 1
            return None
        whole = bytes(self.body)
        self.clear()
        return whole

    @property
    def whole(self) -> int:
        """How many messages have come, modulo 2**32: all frames, but for those that were not their message's last."""
        return self.expected - 1 - self._parts & U32

    def clear(self) -> None:
        """Forget the message under way."""
        self.head = None
        self.body = bytearray()


def fragments(
    head: tuple[int, int, int, int], payload: bytes, sequence: int, frame_bytes: int
) -> tuple[bytearray, int]:
    """A message as frames of its lane, and the sequence of the frame after them.

    Args:
        head: Kind, lane and flags, type and id.
        payload: Of the whole message.
        sequence: Of the first frame.
        frame_bytes: The longest payload of one frame.
    """
    kind, flags, type_, id_ = head
    frames = bytearray()
    view = memoryview(payload)
    for start in range(0, len(payload), frame_bytes):
        part = view[start : start + frame_bytes]
        more = MORE if start + frame_bytes < len(payload) else 0
        frames += HEADER.pack(len(part), kind, flags | more, type_, id_, sequence)
        frames += part
        sequence = sequence + 1 & U32
    return frames, sequence
