"""Many lanes become few: sockets that did the same share a lane, and what is left over shares one as well."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from tomada.diagrams.fold import Class, common_text, likeness, regrouped
from tomada.diagrams.model import Lane

if TYPE_CHECKING:
    from collections.abc import Hashable

    from tomada.diagrams.model import Sequence

ENOUGH_LANES: Final = 10
"""With no more lanes than these, each is drawn by itself."""
MOST_LANES: Final = 16
"""Beyond these, the last ones share a lane though they differ."""
_NUMBERS: Final = re.compile(r"\d+")


def gather(sequence: Sequence) -> Sequence:
    """`sequence` on few enough lanes to be read, with notes that say which share one."""
    if len(sequence.lanes) > ENOUGH_LANES:
        sequence = _alike(sequence)
    if len(sequence.lanes) > MOST_LANES:
        sequence = _rest(sequence)
    return sequence


def _steps_of(sequence: Sequence) -> list[list[int]]:
    steps: list[list[int]] = [[] for _ in sequence.lanes]
    for index, step in enumerate(sequence.steps):
        steps[step.lane].append(index)
    return steps


def _alike(sequence: Sequence) -> Sequence:
    """Lanes of the same kind of process with the same steps become one."""
    steps = _steps_of(sequence)
    kinds: dict[Hashable, list[int]] = defaultdict(list)
    for number, lane in enumerate(sequence.lanes):
        life = tuple(likeness(sequence.steps[index]) for index in steps[number])
        kinds[_NUMBERS.sub("#", lane.group), _NUMBERS.sub("#", lane.title), life].append(number)
    if len(kinds) == len(sequence.lanes):
        return sequence
    classes = [
        Class(new, list(members))
        for new, same in enumerate(kinds.values())
        for members in zip(*(steps[lane] for lane in same), strict=True)
    ]
    lanes = tuple(_shared([sequence.lanes[lane] for lane in same]) for same in kinds.values())
    shared = sum(len(same) for same in kinds.values() if len(same) > 1)
    note = f"{shared:,} of {len(sequence.lanes):,} lanes did the same as others: each kind is drawn as one lane."
    return regrouped(sequence, lanes, classes, note)


def _shared(lanes: list[Lane]) -> Lane:
    if len(lanes) == 1:
        return lanes[0]
    groups = {lane.group for lane in lanes}
    group = lanes[0].group if len(groups) == 1 else f"{common_text([*groups])} ×{len(groups):,}"
    return Lane(group=group, title=common_text([lane.title for lane in lanes]), detail=f"{len(lanes):,} alike")


def _rest(sequence: Sequence) -> Sequence:
    """The lanes that are too many become one, with each kind of step once."""
    kept, steps = MOST_LANES - 1, _steps_of(sequence)
    classes = [Class(lane, [index]) for lane in range(kept) for index in steps[lane]]
    kinds: dict[Hashable, list[int]] = defaultdict(list)
    for index in (index for lane in steps[kept:] for index in lane):
        kinds[likeness(sequence.steps[index])].append(index)
    classes += [Class(kept, sorted(members)) for members in kinds.values()]
    count = len(sequence.lanes) - kept
    last = Lane(group="others", title=f"{count:,} more", detail="each kind of step once")
    note = f"The last {count:,} of {len(sequence.lanes):,} lanes share one, where each kind of step is drawn once."
    return regrouped(sequence, (*sequence.lanes[:kept], last), classes, note)
