"""Repeated exchanges become one: a pattern of steps that comes again and again on a lane is drawn once, with its count.

Theory of operation: each lane is folded by itself, because what one socket does is in order, while the order among
sockets is by chance. Two steps are alike if they differ in nothing but numbers, sizes, data and times. For each length
of a pattern, one pass from the end says how far the lane goes on repeating itself from each step; a second pass, from
the begin, takes the longest repetition, or goes one step on. Arrows follow their steps. All counts and sizes are sums:
a folded sequence has the totals of the whole one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import msgspec

from tomada.diagrams.amounts import count_text
from tomada.diagrams.model import Arrow, Sequence, Step, Tone

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable
    from collections.abc import Sequence as Listed

    from tomada.diagrams.model import Lane

LONGEST_PATTERN: Final = 8
"""Steps of the longest exchange whose repetition is seen."""
LEAST_REPEATS: Final = 4
"""An exchange that comes less often is drawn as it was."""
_NUMBERS: Final = re.compile(r"\d+")


class Class(msgspec.Struct, frozen=True):
    """Steps that become one."""

    lane: int
    """Where that one stands."""
    members: list[int]


def fold(sequence: Sequence) -> Sequence:
    """`sequence` with repeated exchanges folded, and a note that says so where something was."""
    lanes: list[list[int]] = [[] for _ in sequence.lanes]
    for index, step in enumerate(sequence.steps):
        lanes[step.lane].append(index)
    classes = [
        Class(lane, members)
        for lane, indices in enumerate(lanes)
        for members in _folded([likeness(sequence.steps[index]) for index in indices], indices)
    ]
    if len(classes) == len(sequence.steps):
        return sequence
    after = sum(len(each.members) == 1 for each in classes)
    gone = len(sequence.steps) - after
    note = (
        f"Repeated exchanges are folded: {count_text(gone, 'step')} of {len(sequence.steps):,} "
        f"are drawn as {len(classes) - after:,}, marked ×."
    )
    return regrouped(sequence, sequence.lanes, classes, note)


def likeness(step: Step) -> Hashable:
    """Equal for steps that differ in nothing but numbers, sizes, data and times."""
    words = _NUMBERS.sub("#", step.text), _NUMBERS.sub("#", step.result), step.state
    return (*words, step.tone, step.ended is None)


def _folded(keys: Listed[Hashable], indices: list[int]) -> list[list[int]]:
    """The classes of one lane."""
    runs = _runs(keys)
    classes: list[list[int]] = []
    at = 0
    while at < len(keys):
        period, repeats = _best(runs, at)
        classes += [indices[at + offset : at + period * repeats : period] for offset in range(period)]
        at += period * repeats
    return classes


def _runs(keys: Listed[Hashable]) -> list[list[int]]:
    """For each period, at each step: so many steps from there on are alike the one a period later."""
    runs = []
    for period in range(1, LONGEST_PATTERN + 1):
        run = [0] * (len(keys) + 1)
        for at in range(len(keys) - period - 1, -1, -1):
            if keys[at] == keys[at + period]:
                run[at] = run[at + 1] + 1
        runs.append(run)
    return runs


def _best(runs: list[list[int]], at: int) -> tuple[int, int]:
    """Period and repeats of the pattern that covers most from there on; (1, 1) where nothing comes often enough."""
    best = (1, 1)
    for period, run in enumerate(runs, start=1):
        repeats = run[at] // period + 1
        if repeats >= LEAST_REPEATS and repeats * period > best[0] * best[1]:
            best = (period, repeats)
    return best


def regrouped(sequence: Sequence, lanes: tuple[Lane, ...], classes: Iterable[Class], note: str) -> Sequence:
    """The sequence in which each class of steps is one step; arrows go between those, and `note` is added."""
    made = [(_one(sequence.steps, each), each.members) for each in classes]
    made.sort(key=lambda pair: (pair[0].begun, pair[1][0]))
    place = {member: number for number, (_, members) in enumerate(made) for member in members}
    return Sequence(
        title=sequence.title,
        lanes=lanes,
        steps=tuple(step for step, _ in made),
        arrows=_arrows(sequence.arrows, place),
        notes=(*sequence.notes, note),
    )


def _one(steps: Listed[Step], each: Class) -> Step:
    members = [steps[index] for index in each.members]
    first = members[0]
    if len(members) == 1:
        return msgspec.structs.replace(first, lane=each.lane)
    ends = [step.ended for step in members]
    return Step(
        lane=each.lane,
        begun=min(step.begun for step in members),
        ended=None if None in ends else max(end for end in ends if end is not None),
        text=_common([step.text for step in members]),
        result=_common([step.result for step in members]),
        data=first.data,
        size=sum(step.size for step in members),
        is_blocked=any(step.is_blocked for step in members),
        tone=first.tone,
        state=members[-1].state,
        count=sum(step.count for step in members),
    )


def _common(texts: list[str]) -> str:
    """What the texts have in common, with ``…`` for numbers that differ; empty where more than numbers differs."""
    if len(set(texts)) == 1:
        return texts[0]
    first = _NUMBERS.split(texts[0])
    numbers: list[str] = _NUMBERS.findall(texts[0])
    for text in set(texts):
        if _NUMBERS.split(text) != first:
            return ""
        numbers = [mine if mine == other else "…" for mine, other in zip(numbers, _NUMBERS.findall(text), strict=True)]
    return "".join(part + number for part, number in zip(first, [*numbers, ""], strict=True))


def common_text(texts: list[str]) -> str:
    """What the texts have in common, with ``…`` for numbers that differ; the first where more than numbers differs."""
    return _common(texts) or texts[0]


def _arrows(arrows: Iterable[Arrow], place: dict[int, int]) -> tuple[Arrow, ...]:
    together: dict[tuple[int, int, Tone, bool], list[Arrow]] = defaultdict(list)
    for arrow in arrows:
        if arrow.source in place and arrow.target in place:
            together[place[arrow.source], place[arrow.target], arrow.tone, arrow.at_begin].append(arrow)
    return tuple(
        Arrow(
            source=source,
            target=target,
            text=_common([arrow.text for arrow in same]),
            size=sum(arrow.size for arrow in same),
            tone=tone,
            count=sum(arrow.count for arrow in same),
            at_begin=at_begin,
        )
        for (source, target, tone, at_begin), same in together.items()
    )
