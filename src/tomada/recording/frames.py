"""The frames in the bytes of a connection, by their headers alone; and who watches one connection live."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from tomada.protocol.frames import HEADER, HEADER_BYTES, LANE_MASK, MESSAGE_LANES, U32, Lane, kind_name
from tomada.protocol.lanes import is_after

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tomada.recording.tap import Tapped

_unpack: Final = HEADER.unpack_from
MOST_ROWS: Final = 200
"""Between two looks at a connection."""
_LANES: Final = {int(lane): lane.name.lower() for lane in Lane}

Header = tuple[int, int, int, int, int, int]
"""Length of the payload, kind, lane and flags, type, id, sequence."""


def lane_name(flags: int) -> str:
    """In which lane a frame travels; the number where that has no name."""
    lane = flags & LANE_MASK
    return _LANES.get(lane, str(lane))


class Walk:
    """Goes from header to header in one direction of a connection, whatever pieces the bytes come in.

    Args:
        begun: What has come of a frame that is not complete.
    """

    __slots__ = ("_head", "_left")

    def __init__(self, begun: bytes = b"") -> None:
        self._head = b""
        self._left = 0
        for _ in self.over(begun):
            pass

    def over(self, data: bytes | bytearray) -> Iterator[Header]:
        """The headers of the frames that begin in `data`, which comes next. To be gone through to the end."""
        if self._head:
            data, self._head = self._head + data, b""
        position = self._left
        while len(data) - position >= HEADER_BYTES:
            header: Header = _unpack(data, position)
            position += HEADER_BYTES + header[0]
            yield header
        self._left = max(0, position - len(data))
        if position < len(data):
            self._head = bytes(data[position:])


class Frame(NamedTuple):
    """A frame that went or came; or several alike of one read or write."""

    at: float
    """In seconds since the connection began."""
    is_received: bool
    kind: str
    """As the protocol names it: ask, reply, send, item, …"""
    name: str
    """The message's type; empty for what has none."""
    id: int
    lane: str
    sequence: int
    size: int
    """In bytes, with the header; of all of them."""
    count: int  # type: ignore[assignment] # of frames, not of what a tuple counts
    is_repeated: bool
    """Whether it has gone, or come, before, over a connection that was lost."""


class Watching:
    """A tap that keeps the last frames of one connection for who looks at it now and then: see `tap.py`.

    Args:
        link: The connection.
        most: How many it keeps at the most.
    """

    is_of_transport = False

    __slots__ = ("_frames", "_kept", "_link", "_seen", "_walks")

    def __init__(self, link: Tapped, most: int = MOST_ROWS) -> None:
        engine = link.engine
        self._link = link
        self._frames: deque[_Row] = deque(maxlen=most)
        self._kept = 0
        """How many there were since the last look."""
        self._walks = Walk(), Walk(engine.unread)
        self._seen = {
            (False, int(Lane.NORMAL)): engine.normal.handed,
            (False, int(Lane.URGENT)): engine.urgent.handed,
            (True, int(Lane.NORMAL)): engine.normal_in.expected - 1 & U32,
            (True, int(Lane.URGENT)): engine.urgent_in.expected - 1 & U32,
        }
        """The latest sequence, by direction and lane."""

    def take(self) -> tuple[list[Frame], int]:
        """What went and came since the last call, the oldest first; and how many more frames there were before."""
        rows, kept = list(self._frames), self._kept
        self._frames.clear()
        self._kept = 0
        types = self._link.types
        names = [entry.name for entry in types.own_entries], [entry.name for entry in types.peer_entries]
        return [_frame(row, names[row[1]]) for row in rows], kept - sum(row[8] for row in rows)

    def received(self, data: bytes) -> None:
        """As of `Tap`."""
        self._note(data, is_received=True)

    def sent(self, data: bytes | bytearray) -> None:
        """As of `Tap`."""
        self._note(data, is_received=False)

    def moved(self, link: Tapped) -> None:
        """As of `Tap`: it stays with its session."""

    def ended(self) -> None:
        """As of `Tap`; a new transport begins with a whole frame."""
        self._walks = Walk(), Walk()

    def _note(self, data: bytes | bytearray, *, is_received: bool) -> None:
        now = time.monotonic() - self._link.engine.made_at
        before: tuple[int, int, int, bool] | None = None
        for length, kind, flags, type_, id_, sequence in self._walks[is_received].over(data):
            self._kept += 1
            is_repeated = self._is_repeated(is_received, flags & LANE_MASK, sequence)
            alike = kind, flags, type_, is_repeated
            size, count = HEADER_BYTES + length, 1
            if alike == before:
                last = self._frames.pop()
                size, count = size + last[7], last[8] + 1
            before = alike
            self._frames.append((now, is_received, kind, type_, id_, flags, sequence, size, count, is_repeated))

    def _is_repeated(self, is_received: bool, lane: int, sequence: int) -> bool:  # noqa: FBT001 - for every frame
        if lane not in MESSAGE_LANES:
            return False
        seen = self._seen[is_received, lane]
        if is_after(sequence, seen):
            self._seen[is_received, lane] = sequence
            return False
        return True


_Row = tuple[float, bool, int, int, int, int, int, int, int, bool]
"""As `Frame`, with numbers in place of names: the kind, the type, and the flags for the lane."""


def _frame(row: _Row, names: list[str]) -> Frame:
    at, is_received, kind, type_, id_, flags, sequence, size, count, is_repeated = row
    name = names[type_ - 1] if 0 < type_ <= len(names) else ""
    return Frame(at, is_received, kind_name(kind), name, id_, lane_name(flags), sequence, size, count, is_repeated)
