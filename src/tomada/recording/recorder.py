"""Records what comes and goes over tomada's own connections, and what happens to them, in a recording's file.

One line for each read and each write, written before anything is made of it: what a process that is killed has done is
there. The lines are described in ``docs/reference/recording-messages.md``.
"""

from __future__ import annotations

import itertools
import logging
import os
import sys
import time
from binascii import b2a_base64
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

import msgspec

from tomada.protocol import State
from tomada.protocol.frames import U32
from tomada.recording import tap
from tomada.recording.shortening import MOST_KEPT, Piece, Shortener
from tomada.telemetry import events
from tomada.telemetry.hub import subscribe
from tomada_recorder.writer import LEAST_BYTES, MOST_LINE, Writer, begin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from os import PathLike
    from typing import Self

    from tomada.protocol import TypeEntry
    from tomada.recording.tap import Tapped

KEPT: Final = 256
"""So many bytes of each message, where nothing else is said."""
EVENTS: Final[tuple[type[events.Event], ...]] = (
    events.ListenerOpened,
    events.ListenerClosed,
    events.AcceptFailed,
    events.AcceptResumed,
    events.HandshakeEnded,
    events.ConnectionInterrupted,
    events.SessionResumed,
    events.SessionRefused,
    events.SessionEnded,
    events.ConnectionOpened,
    events.ConnectionEnded,
    events.LimitStruck,
    events.DeadlineStruck,
    events.LoopBlocked,
    events.ChildEnded,
    events.SessionEvicted,
    events.CommitFailed,
    events.CommitResumed,
)
_TYPES_BYTES: Final = MOST_LINE * 3 // 4
_log: Final = logging.getLogger("tomada")
_encode: Final = msgspec.json.Encoder().encode
_now: Final = time.monotonic_ns


class Recorder:
    """A recording under way: ``with`` it, or `close` it in the end. Got from `record`."""

    def __init__(self, path: str | PathLike[str], *, data: int, most_bytes: int, join: bool) -> None:
        if not 0 <= data <= MOST_KEPT:
            raise ValueError(f"data is {data!r}, it must be a number of bytes from 0 to {MOST_KEPT:,}")
        if most_bytes < LEAST_BYTES:
            raise ValueError(f"most_bytes is {most_bytes!r}, it must be {LEAST_BYTES:,} or more")
        self.path = Path(path)
        if not join:
            begin(str(path), most_bytes)
        self.keep = data
        self.pid = os.getpid()
        self.segment = 0
        """How many segments of the file this process has written to."""
        self._numbers = itertools.count(1)
        self._known: set[str] = set()
        """The catalogues that this segment has."""
        self._just_now: _Wire | None = None
        """About whom a line is being written."""
        self._wires: set[_Wire] = set()
        self._lock = Lock()
        self._writer: Writer | None = Writer(str(path), most_bytes, self._repeated)
        self._subscription = subscribe(self._happened, *EVENTS)
        self._end = tap.make(self._make)
        _all.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Record no more; to call it again does nothing."""
        self._end()
        self._subscription.end()
        with self._lock:
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.close()
        for wire in tuple(self._wires):
            wire.leave()
        _all.discard(self)

    @property
    def failure(self) -> str:
        """Why nothing is recorded any more, though it was not closed; empty otherwise."""
        return "" if self._writer is None else self._writer.failure

    def write(self, line: bytes, about: _Wire | None = None) -> None:
        """Append a line; `about` is introduced, should it be the first of a segment."""
        with self._lock:
            self._just_now = about
            if self._writer is not None:
                self._writer.write(line)

    def types(self, entries: Sequence[TypeEntry]) -> tuple[str, bytes]:
        """By which name lines know a catalogue, and the line that says what it is."""
        shown = [(entry.name, entry.kind.value, [field.name for field in entry.fields]) for entry in entries]
        encoded = _encode(shown)
        while len(encoded) > _TYPES_BYTES:  # hardly ever: thousands of types
            shown = shown[: len(shown) // 2]
            encoded = _encode(shown)
        name = sha256(encoded).hexdigest()[:16]
        return name, b'{"kind":"types","pid":%d,"id":"%b","types":%b}\n' % (self.pid, name.encode(), encoded)

    def is_new(self, name: str) -> bool:
        """Whether this segment has no catalogue of that name; it has now."""
        is_new = name not in self._known
        self._known.add(name)
        return is_new

    def gone(self, wire: _Wire) -> None:
        """Nothing more comes of it."""
        self._wires.discard(wire)

    def forked(self) -> None:
        """This is the child of a process that has forked."""
        self.pid = os.getpid()
        self._lock = Lock()
        if self._writer is not None:
            self._writer.forked()
            self._writer.write(self._process())

    def _make(self, link: Tapped) -> _Wire:
        wire = _Wire(self, link, next(self._numbers))
        self._wires.add(wire)
        return wire

    def _repeated(self) -> Iterator[bytes]:
        self.segment += 1
        self._known.clear()
        yield self._process()
        if self._just_now is not None:
            yield from self._just_now.introduction()

    def _process(self) -> bytes:
        record = {
            "kind": "tomada",
            "pid": self.pid,
            "at": _now(),
            "time": time.time(),
            "program": Path(sys.argv[0]).name if sys.argv else "",
        }
        return _encode(record) + b"\n"

    def _happened(self, event: events.Event) -> None:
        record = {
            "kind": "event",
            "pid": self.pid,
            "at": _now(),
            "name": type(event).__name__,
            "fields": msgspec.structs.asdict(event),
        }
        self.write(_encode(record) + b"\n")


class _Wire:
    """The tap of one connection: one end of one transport.

    Args:
        recording: Where to.
        link: The connection.
        number: No other connection of this process has it.
    """

    is_of_transport = True

    __slots__ = ("_before", "_heads", "_known", "_link", "_recording", "_segment", "_ways", "is_beginning", "number")

    def __init__(self, recording: Recorder, link: Tapped, number: int) -> None:
        self._recording = recording
        self._link = link
        self.number = number
        self._before = _sequences(link)
        """The last sequences that went, and came, before this transport."""
        self.is_beginning = True
        self._segment = 0
        self._known: dict[str, tuple[int, str]] = {}
        """Of either end: how many types its catalogue has, and its name."""
        keep = recording.keep
        self._ways = Shortener(keep, is_beginning=True), Shortener(keep, is_beginning=True)
        self._heads = tuple(
            b'{"kind":"frames","pid":%d,"wire":%d,"way":"%b","at":' % (recording.pid, number, way)
            for way in (b"out", b"in")
        )

    def received(self, data: bytes) -> None:
        """As of `Tap`."""
        self._note(1, data)

    def sent(self, data: bytes | bytearray) -> None:
        """As of `Tap`."""
        self._note(0, data)

    def _note(self, way: int, data: bytes | bytearray) -> None:
        try:
            piece = self._ways[way].shorten(data)
            if piece is not None:
                self._write(self._heads[way], piece)
        except Exception:  # noqa: BLE001 - told to the log; the connection is not to suffer from who looks at it
            _log.exception("%s: what comes and goes here is recorded no more", self._link.places[1])
            self._recording.gone(self)
            self.leave()

    def moved(self, link: Tapped) -> None:
        """As of `Tap`."""
        self._link = link
        self._known.clear()
        self._before = _sequences(link)
        self._introduce()

    def ended(self) -> None:
        """As of `Tap`."""
        engine = self._link.engine
        self._line(
            {
                "kind": "gone",
                "pid": self._recording.pid,
                "wire": self.number,
                "at": _now(),
                "state": engine.state.value,
                "reason": engine.reason,
            }
        )
        self._recording.gone(self)

    def leave(self) -> None:
        """The recording is closed, and the connection goes on."""
        tap.detach(self._link, self)

    def introduction(self) -> list[bytes]:
        """Who it is: everything that a reader needs who knows nothing of it."""
        engine = self._link.engine
        here, there = self._link.places
        session = engine.session
        record: dict[str, Any] = {
            "kind": "wire",
            "pid": self._recording.pid,
            "wire": self.number,
            "at": _now(),
            "role": engine.role.value,
            "here": here,
            "there": there,
            "keep": self._recording.keep,
            "state": engine.state.value,
            "begins": self.is_beginning,
        }
        if session is not None:
            record |= {"session": session.id.hex(), "epoch": engine.epoch, "generation": engine.generation}
            record["sent"], record["received"] = self._before
        lines = []
        if not self.is_beginning and engine.state is not State.STARTING:
            types = self._link.types
            for name, entries in (("own", types.own_entries), ("theirs", types.peer_entries)):
                record[name] = self._catalogue(name, entries)
                if self._recording.is_new(record[name]):
                    lines.append(self._recording.types(entries)[1])
        return [*lines, _encode(record) + b"\n"]

    def _catalogue(self, whose: str, entries: Sequence[TypeEntry]) -> str:
        count, name = self._known.get(whose, (-1, ""))
        if count != len(entries):
            name, _ = self._recording.types(entries)
            self._known[whose] = len(entries), name
        return name

    def _write(self, head: bytes, piece: Piece) -> None:
        if self._segment != self._recording.segment:
            self._introduce()
        self.is_beginning = False
        data, offset, length, old, old_kept, is_foreign = piece
        middle = b'%b%d,"offset":%d,"length":%d,' % (head, _now(), offset, length)
        if old or is_foreign:
            middle += b'"old":%d,"old_kept":%d,"foreign":%b,' % (old, old_kept, b"true" if is_foreign else b"false")
        line = b'%b"data":"%b"}\n' % (middle, b2a_base64(data, newline=False))
        self._recording.write(line, self)

    def _introduce(self) -> None:
        self._segment = self._recording.segment
        for line in self.introduction():
            self._recording.write(line, self)

    def _line(self, record: dict[str, Any]) -> None:
        self._recording.write(_encode(record) + b"\n")


def _sequences(link: Tapped) -> tuple[tuple[int, int], tuple[int, int]]:
    engine = link.engine
    went = engine.normal.handed, engine.urgent.handed
    return went, (engine.normal_in.expected - 1 & U32, engine.urgent_in.expected - 1 & U32)


_all: Final[WeakSet[Recorder]] = WeakSet()


def _forked() -> None:
    for recording in tuple(_all):
        recording.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
