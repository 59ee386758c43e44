"""What was recorded of tomada's own connections: the lines, put together again to frames. All of it may be hostile.

A *wire* is one end of one transport; several of them, one after the other, carry a session.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tomada.errors import UNREADABLE, ProtocolError
from tomada.protocol.frames import HEADER, HEADER_BYTES, LANE_MASK, MESSAGE_LANES, MORE, Kind
from tomada.protocol.handshake import TypeEntry, decode_declaration, decode_hello, decode_welcome
from tomada.protocol.lanes import is_after
from tomada.recording.lines import LINES, EventLine, FramesLine, GoneLine, ProcessLine, TypesLine, WireLine
from tomada.recording.shortening import kept_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tomada.protocol.state import Role
    from tomada.recording.file import Record
    from tomada.recording.lines import Sequences

MOST_FRAMES: Final = 100_000
"""Of a recording that has more, the first half of so many are read, and the last."""
MOST_WIRES: Final = 100_000

_GREETINGS: Final = frozenset({Kind.HELLO, Kind.WELCOME, Kind.DECLARE})


class Named(msgspec.Struct, frozen=True):
    """A type, as far as it is shown."""

    name: str
    kind: str = ""
    fields: tuple[str, ...] = ()


NOBODY: Final = Named("")


class Frame(msgspec.Struct, gc=False):
    """One frame on a wire."""

    at: int
    is_received: bool
    kind: int
    flags: int
    id: int
    sequence: int
    length: int
    """Of its payload."""
    type: Named
    payload: bytes = b""
    """What was kept of it."""
    ended: int | None = None
    """When the last of it went or came; None: it is not whole."""
    is_repeated: bool = False
    """Whether the session has had a frame with this sequence before."""
    state: str = ""
    """Where in its life its end was then, as `lives.ends_of` finds out."""
    ordinal: int = 0
    """Which it is of its kind, in its direction of this wire."""

    @property
    def lane(self) -> int:
        """In which it travels."""
        return self.flags & LANE_MASK

    @property
    def has_more(self) -> bool:
        """Whether its message goes on in another frame."""
        return bool(self.flags & MORE)


class _Way:
    """One direction of a wire, put together again."""

    __slots__ = ("_counts", "_end", "_frame", "_keep", "_missing", "_next", "bytes", "completed", "gaps", "is_received")

    def __init__(self, keep: int, *, is_received: bool) -> None:
        self.is_received = is_received
        self._keep = keep
        self._frame: Frame | None = None
        self.completed: Frame | None = None
        """The frame of an earlier line that the last one has completed."""
        self._missing = self._end = 0
        self._next: int | None = None
        self._counts: dict[int, int] = {}
        self.gaps = 0
        self.bytes = 0

    def take(self, line: FramesLine) -> list[tuple[Frame, int]]:
        """The frames that begin in a line, with the numbers of their types."""
        frames: list[tuple[Frame, int]] = []
        try:
            data = a2b_base64(line.data)
        except (Base64Error, ValueError):
            data = b""
            self.gaps += 1
        self.bytes += line.length
        self._go_on(line, data)
        place, position = line.offset + line.old, line.old_kept
        if self._next is not None and place != self._next:
            self.gaps += 1
        self._next = None if len(data) < position else place
        while len(data) - position >= HEADER_BYTES:
            length, kind, flags, type_, id_, sequence = HEADER.unpack_from(data, position)
            kept = kept_of(kind, length, self._keep)
            position += HEADER_BYTES
            payload = data[position : position + kept]
            position += kept
            self._next = self._end = place = place + HEADER_BYTES + length
            ordinal = self._counts[kind] = self._counts.get(kind, -1) + 1
            frame = Frame(line.at, self.is_received, kind, flags, id_, sequence, length, NOBODY, payload)
            frame.ordinal = ordinal
            if place <= line.offset + line.length:
                frame.ended = line.at
            else:
                self._frame, self._missing = frame, kept - len(payload)
            frames.append((frame, type_))
        return frames

    def _go_on(self, line: FramesLine, data: bytes) -> None:
        """Complete the frame that had begun before."""
        self.completed = None
        frame = self._frame
        if frame is None:
            return
        more = data[: min(line.old_kept, self._missing)]
        frame.payload += more
        self._missing -= len(more)
        if line.offset + line.old >= self._end:
            if line.offset + line.old == self._end and not self._missing:
                frame.ended = line.at
                self.completed = frame
            self._frame = None


class Wire:
    """One end of one transport.

    Attributes:
        line: What it has said of itself last.
        session: Of which session it carried messages; empty: of none.
        generation: Which attempt of its client to go on with the session it is.
        begun: When it was seen first.
        gone: How it ended, if it did.
    """

    def __init__(self, line: WireLine) -> None:
        self.line = line
        self.begins = line.begins
        self.session = ""
        self.generation = 0
        self.begun = line.at
        self.gone: GoneLine | None = None
        self.is_foreign = False
        self.ways = _Way(line.keep, is_received=False), _Way(line.keep, is_received=True)
        self.types: list[list[Named]] = [[], []]
        """Of this end, and of the other."""
        self._promised = "", 0
        """The session, and attempt, that its hello names."""
        self.introduce(line)

    def introduce(self, line: WireLine) -> None:
        """It says anew who it is."""
        self.line = line
        if line.session:
            self.session, self.generation = line.session, line.generation

    @property
    def role(self) -> Role:
        """Which end of its connection it is."""
        return self.line.role

    def greet(self, frame: Frame) -> None:
        """Learn from a greeting, or a declaration, which types and which session there are."""
        types = self.types[frame.is_received]
        try:
            if frame.kind == Kind.HELLO:
                hello = decode_hello(frame.payload)
                types += map(_named, hello.catalogue)
                if hello.session is not None:
                    self._promised = hello.session.id.hex(), hello.session.generation
            elif frame.kind == Kind.WELCOME:
                welcome = decode_welcome(frame.payload)
                types += map(_named, welcome.catalogue)
                if welcome.session is not None:
                    self.session = welcome.session.id.hex()
                    self.generation = self._promised[1] if self._promised[0] == self.session else 0
            else:
                types += map(_named, decode_declaration(frame.payload))
        except ProtocolError:
            self.ways[frame.is_received].gaps += 1


def _named(entry: TypeEntry) -> Named:
    return Named(entry.name, entry.kind.value, tuple(field.name for field in entry.fields))


class Wires:
    """All that a recording has of tomada's own connections.

    Attributes:
        frames: With their wires, in the order of the file: the first, and the last.
        left_out: How many there are between those.
        passed_over: How many records make no sense.
    """

    def __init__(self) -> None:
        self.processes: dict[int, str] = {}
        self.wires: dict[tuple[int, int], Wire] = {}
        self.events: list[EventLine] = []
        self.events_left_out = 0
        self.passed_over = 0
        self.begun: int | None = None
        self.ended = 0
        self._first: list[tuple[Wire, Frame]] = []
        self._last: deque[tuple[Wire, Frame]] = deque(maxlen=MOST_FRAMES // 2)
        self._count = 0
        self._catalogues: dict[tuple[int, str], list[Named]] = {}
        self._latest: dict[tuple[str, Role, bool, int], int] = {}
        """The last sequence, by session, role of this end, direction and lane."""

    @property
    def frames(self) -> Iterator[tuple[Wire, Frame]]:
        """As said above."""
        yield from self._first
        yield from self._last

    @property
    def left_out(self) -> int:
        """As said above."""
        return self._count - len(self._first) - len(self._last)

    @property
    def gaps(self) -> int:
        """How often something is missing between two lines of a wire."""
        return sum(way.gaps for wire in self.wires.values() for way in wire.ways)

    def add(self, record: Record) -> bool:
        """Take the next record; False if it is of another kind."""
        kind = LINES.get(record["kind"])
        if kind is None:
            return False
        try:
            line = msgspec.convert(record, kind)
        except UNREADABLE:
            self.passed_over += 1
        else:
            self._take(line)
        return True

    def _take(self, line: Any) -> None:
        if not isinstance(line, TypesLine):
            self.begun = line.at if self.begun is None else min(self.begun, line.at)
            self.ended = max(self.ended, line.at)
        match line:
            case FramesLine():
                self._frames(line)
            case WireLine():
                self._introduced(line)
            case GoneLine():
                wire = self.wires.get((line.pid, line.wire))
                if wire is not None:
                    wire.gone = line
            case TypesLine():
                named = [Named(name, what, tuple(fields)) for name, what, fields in line.types]
                self._catalogues[line.pid, line.id] = named
            case ProcessLine():
                self.processes[line.pid] = line.program
            case _:
                if len(self.events) < MOST_FRAMES // 10:
                    self.events.append(line)
                else:
                    self.events_left_out += 1

    def _introduced(self, line: WireLine) -> None:
        wire = self.wires.get((line.pid, line.wire))
        if wire is not None:
            wire.introduce(line)
        elif len(self.wires) >= MOST_WIRES:
            self.passed_over += 1
            return
        else:
            wire = self.wires[line.pid, line.wire] = Wire(line)
        for place, name in enumerate((line.own, line.theirs)):
            if name and not wire.types[place]:
                wire.types[place] = list(self._catalogues.get((line.pid, name), ()))
        if line.session:
            self._note(wire, line.sent, is_received=False)
            self._note(wire, line.received, is_received=True)

    def _note(self, wire: Wire, sequences: Sequences | None, *, is_received: bool) -> None:
        """So far the session had got before."""
        for lane, sequence in zip((2, 1), sequences or (), strict=False):
            self._latest.setdefault((wire.session, wire.role, is_received, lane), sequence)

    def _frames(self, line: FramesLine) -> None:
        wire = self.wires.get((line.pid, line.wire))
        if wire is None:
            self.passed_over += 1
            return
        if line.foreign:
            wire.is_foreign = True
            return
        way = wire.ways[line.way == "in"]
        begun = way.take(line)
        for frame in (way.completed, *(frame for frame, _ in begun if frame.ended is not None)):
            if frame is not None and frame.kind in _GREETINGS:
                wire.greet(frame)
        for frame, type_ in begun:
            types = wire.types[frame.is_received]
            if type_:
                frame.type = types[type_ - 1] if type_ <= len(types) else Named(f"type {type_}")
            frame.is_repeated = self._is_repeated(wire, frame)
            self._count += 1
            (self._first if len(self._first) < MOST_FRAMES // 2 else self._last).append((wire, frame))

    def _is_repeated(self, wire: Wire, frame: Frame) -> bool:
        if frame.lane not in MESSAGE_LANES or not wire.session:
            return False
        key = wire.session, wire.role, frame.is_received, frame.lane
        latest = self._latest.get(key)
        if latest is None or is_after(frame.sequence, latest):
            self._latest[key] = frame.sequence
            return False
        return True
