"""What a picture of a sequence shows: few enough steps and lanes to be read, and in words what it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tomada.diagrams.amounts import count_text, duration_text, size_text
from tomada.diagrams.cleaning import cleaned
from tomada.diagrams.fold import fold
from tomada.diagrams.gather import gather
from tomada.diagrams.model import Sequence

if TYPE_CHECKING:
    from tomada.diagrams.model import Lane

MOST_STEPS: Final = 2_000
"""What a picture shows unless it is asked for more or fewer."""
SHORT: Final = 60
"""A sequence of no more steps is drawn as it was, repeated or not."""


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """A sequence that can be drawn."""

    sequence: Sequence
    cut: int | None = None
    """Before this step others are left out."""
    missing: str = ""
    """What is left out there."""
    columns: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """The groups, from left to right, with the indices of their lanes."""


def picture_of(sequence: Sequence, *, most: int = MOST_STEPS) -> Picture:
    """What a picture of `sequence` with `most` steps at most shows."""
    return cut(summed_up(sequence), most)


def summed_up(sequence: Sequence) -> Sequence:
    """`sequence` with what comes again and again drawn once, on few enough lanes."""
    if len(sequence.steps) > SHORT:
        sequence = fold(sequence)
    return gather(sequence)


def cut(sequence: Sequence, most: int) -> Picture:
    """The picture of a sequence that is summed up, without its middle where that is too much."""
    before, missing = None, ""
    if len(sequence.steps) > most:
        sequence, before, missing = _without_middle(sequence, most)
    sequence = cleaned(sequence)
    return Picture(sequence=sequence, cut=before, missing=missing, columns=_columns(sequence.lanes))


def _without_middle(sequence: Sequence, most: int) -> tuple[Sequence, int, str]:
    first, last = (most + 1) // 2, len(sequence.steps) - most // 2
    left_out = sequence.steps[first:last]
    size = sum(step.size for step in left_out)
    count = sum(step.count for step in left_out)
    missing = (
        f"{count_text(count, 'step')} from {duration_text(left_out[0].begun)} to {duration_text(left_out[-1].begun)}"
        f"{f', {size_text(size)},' if size else ''} left out"
    )
    place = {index: index if index < first else index - last + first for index in _ranges(first, last, sequence)}
    arrows = tuple(
        msgspec.structs.replace(arrow, source=place[arrow.source], target=place[arrow.target])
        for arrow in sequence.arrows
        if arrow.source in place and arrow.target in place
    )
    note = f"In the middle {missing}: this picture has room for {most:,}. JSON lines (.jsonl) have all."
    kept = (*sequence.steps[:first], *sequence.steps[last:])
    sequence = msgspec.structs.replace(sequence, steps=kept, arrows=arrows, notes=(*sequence.notes, note))
    return sequence, first, missing


def _ranges(first: int, last: int, sequence: Sequence) -> tuple[int, ...]:
    return (*range(first), *range(last, len(sequence.steps)))


def _columns(lanes: tuple[Lane, ...]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Lanes of one group stand together, where the first of them does."""
    groups: dict[str, list[int]] = {}
    for number, lane in enumerate(lanes):
        groups.setdefault(lane.group, []).append(number)
    return tuple((group, tuple(members)) for group, members in groups.items())
