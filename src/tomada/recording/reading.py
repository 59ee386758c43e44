"""Reads a recording and hands its records to who understands them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Protocol, TypeVar

import msgspec

from tomada.diagrams import Sequence, StateDiagram, Timeline
from tomada.recording.file import Reader
from tomada.recording.messages import Messages
from tomada.recording.traced import Traced

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike
    from typing import Self

    from tomada.recording.file import Record

Drawing = TypeVar("Drawing", Sequence, StateDiagram, Timeline)


class Part(Protocol):
    """Understands records of some kinds, as they come, and draws what they tell."""

    @property
    def passed_over(self) -> int:
        """How many records make no sense."""

    def add(self, record: Record) -> bool:
        """Take the next record; False if it is of another kind."""

    def sequence(self) -> Sequence:
        """Who did what to whom."""

    def timeline(self) -> Timeline:
        """Connections over time."""

    def states(self, number: int | None = None, /) -> StateDiagram:
        """The life of one socket or session."""


class Lost(msgspec.Struct, frozen=True):
    """Records that one writer could not write, of whatever kind they were."""

    records: Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]


PARTS: Final[tuple[Callable[[], Part], ...]] = (Traced, Messages)
"""Who may understand the records of a recording; it is whoever understands its first."""


class Recording:
    """A recording that is read, whole or as far as it is written, and can be drawn.

    A context manager, which closes the file.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._reader = Reader(path)
        self._candidates = [part() for part in PARTS]
        self.part = self._candidates[0]
        """Who understands the records."""
        self._unknown = self._lost = 0
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
            if not (self._is_lost(record) or self._is_taken(record)):
                self._unknown += 1
            if told is not None and not self.size % 10_000:
                told(self.size)
        return self.size - before

    def _is_taken(self, record: Record) -> bool:
        for part in self._candidates:
            if part.add(record):
                self.part, self._candidates = part, [part]
                return True
        return False

    def _is_lost(self, record: Record) -> bool:
        if record["kind"] != "lost":
            return False
        try:
            self._lost += msgspec.convert(record, Lost).records
        except msgspec.ValidationError:
            self._unknown += 1
        return True

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
        if self._lost:
            notes.append(f"{self._lost:,} records were lost by those who wrote them")
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
