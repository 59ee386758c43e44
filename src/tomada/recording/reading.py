"""Reads a recording and hands its records to who understands them."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import msgspec

from tomada.diagrams import Sequence, StateDiagram, Timeline
from tomada.recording.file import Reader
from tomada.recording.traced import Traced

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike
    from typing import Self

    from tomada.recording.file import Record

Drawing = TypeVar("Drawing", Sequence, StateDiagram, Timeline)


class Part(Protocol):
    """Understands records of some kinds, as they come, and draws what they tell."""

    passed_over: int

    def add(self, record: Record) -> bool:
        """Take the next record; False if it is of another kind."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know."""

    def sequence(self) -> Sequence:
        """Who did what to whom."""

    def timeline(self) -> Timeline:
        """Connections over time."""

    def states(self, socket: int | None = None) -> StateDiagram:
        """The life of one socket or session."""


class _Spoken:
    """tomada's own messages, in a recording of them."""

    KINDS: Final = frozenset({"tomada", "types", "wire", "frames", "gone", "event"})
    passed_over = 0
    notes = ()

    def __init__(self) -> None:
        self._messages: Any = import_module("tomada.recording.messages").Messages(())

    def add(self, record: Record) -> bool:
        """Take the next record; False if it is of another kind."""
        if record["kind"] not in self.KINDS:
            return False
        self._messages.read((record,))
        return True

    def sequence(self) -> Sequence:
        """Who said what to whom."""
        drawing: Sequence = self._messages.sequence()
        return drawing

    def timeline(self) -> Timeline:
        """Connections over time."""
        drawing: Timeline = self._messages.timeline()
        return drawing

    def states(self, socket: int | None = None) -> StateDiagram:
        """The life of one end."""
        drawing: StateDiagram = self._messages.states(socket)
        return drawing


def _can_speak() -> bool:
    return find_spec("tomada.recording.messages") is not None


class Recording:
    """A recording that is read, whole or as far as it is written, and can be drawn.

    A context manager, which closes the file.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._reader = Reader(path)
        self._path = path
        self.part: Part = Traced()
        """Who understands the records."""
        self._unknown = 0
        self.size = 0
        """How many records have been read."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    def read(self, told: Callable[[int], None] | None = None) -> int:
        """Read what was written since the last time; how many records that were.

        Args:
            told: Is told of the number now and then, in long recordings.
        """
        before = self.size
        for record in self._reader.records():
            self.size += 1
            if record["kind"] in _Spoken.KINDS and not isinstance(self.part, _Spoken) and _can_speak():
                self.part = _Spoken()
            self._unknown += not self.part.add(record)
            if told is not None and not self.size % 10_000:
                told(self.size)
        return self.size - before

    @property
    def notes(self) -> tuple[str, ...]:
        """What was lost, or could not be read."""
        reader, notes = self._reader, []
        if reader.lost_records:
            notes.append(
                f"the oldest {reader.lost_records:,} records ({reader.lost_bytes:,} bytes) were dropped: the recording "
                f"has reached its bound of {reader.header.most:,} bytes"
            )
        passed_over = reader.passed_over + self.part.passed_over + self._unknown
        if passed_over:
            notes.append(f"{passed_over:,} lines of the recording could not be understood")
        if reader.is_cut:
            notes.append("the last line of the recording is not whole")
        return tuple(notes)

    def sequence(self) -> Sequence:
        """Who did what to whom, in order."""
        return _with(self.part.sequence(), self.notes)

    def timeline(self) -> Timeline:
        """Connections or sockets over time."""
        return _with(self.part.timeline(), self.notes)

    def states(self, socket: int | None = None) -> StateDiagram:
        """The life of one socket or session, by its number from 1; of all of them without one.

        Raises:
            RecordingError: There is none of that number.
        """
        return _with(self.part.states(socket), self.notes)


def _with(drawing: Drawing, notes: tuple[str, ...]) -> Drawing:
    return msgspec.structs.replace(drawing, notes=(*notes, *drawing.notes))
