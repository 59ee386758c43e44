"""From frames to messages: who asked what, who answered, what came again. Makes the drawings of a recording."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tomada.errors import RecordingError
from tomada.recording.drawing import Drawing
from tomada.recording.lives import End, diagram_of, ends_of, in_order, timeline_of
from tomada.recording.wires import Wires

if TYPE_CHECKING:
    from tomada.diagrams import Sequence, StateDiagram, Timeline
    from tomada.recording.file import Record

MOST_LANES: Final = 40
"""Of a sequence diagram; of more ends those with the most frames are drawn."""
_NAMED: Final = 4


class Messages:
    """What a recording, or several, have of tomada's own connections."""

    def __init__(self) -> None:
        self.wires = Wires()
        self._ends: dict[int, End] | None = None

    def add(self, record: Record) -> bool:
        """Take the next record; False if it is of another kind."""
        self._ends = None
        return self.wires.add(record)

    @property
    def passed_over(self) -> int:
        """How many records make no sense."""
        return self.wires.passed_over

    @property
    def ends(self) -> list[End]:
        """The ends of sessions, and of connections without one, in the order in which they began."""
        return in_order(self._by_wire)

    @property
    def _by_wire(self) -> dict[int, End]:
        if self._ends is None:
            self._ends = ends_of(self.wires)
        return self._ends

    def sequence(self) -> Sequence:
        """Who said what to whom; of more than `MOST_LANES` ends those with the most frames, as a note says then."""
        busiest = sorted(self.ends, key=lambda one: -one.frames)[:MOST_LANES]
        chosen = sorted(busiest, key=lambda one: one.number)
        return Drawing(self.wires, self._by_wire, chosen).draw(self.title, self.notes(len(chosen)))

    def timeline(self) -> Timeline:
        """All ends, one below the other."""
        return timeline_of(self.title, self.wires, self._by_wire, self.notes(len(self.ends)))

    def states(self, end: int | None = None) -> StateDiagram:
        """The life of one end, by its number; by default of that with the longest.

        Raises:
            RecordingError: There is no end of that number, or none at all.
        """
        if end is not None and not 1 <= end <= len(self.ends):
            raise RecordingError(f"there is no connection {end} in the recording: it has 1 to {len(self.ends)}")
        if not self.ends:
            raise RecordingError("the recording has no connection of tomada's: there is no life to draw")
        return diagram_of(max(self.ends, key=lambda one: len(one.path)) if end is None else self.ends[end - 1])

    @property
    def title(self) -> str:
        """What the drawings are called."""
        programs = sorted({end.process for end in self.ends})
        more = len(programs) - _NAMED
        return ", ".join(programs[:_NAMED]) + (f" and {more} more" if more > 0 else "")

    def notes(self, drawn: int) -> tuple[str, ...]:
        """What a reader of the drawings must know."""
        wires, notes = self.wires, []
        if drawn < len(self.ends):
            notes.append(f"{drawn} of {len(self.ends):,} ends are drawn: those with the most frames")
        if wires.left_out:
            notes.append(f"{wires.left_out:,} frames are left out between the first and the last of the recording")
        if wires.events_left_out:
            notes.append(f"{wires.events_left_out:,} events are left out at the end of the recording")
        if wires.gaps:
            notes.append(
                f"in {wires.gaps:,} places something is missing: it was dropped for the bound, or never written"
            )
        foreign = sum(wire.is_foreign for wire in wires.wires.values())
        if foreign:
            notes.append(f"{foreign:,} connections were not of tomada's protocol")
        return tuple(notes)
