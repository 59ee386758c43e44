"""In which order a sequence is drawn: one row for each call, two where it waited while others went on."""

from __future__ import annotations

from collections import defaultdict
from enum import Enum
from itertools import groupby
from typing import TYPE_CHECKING

import msgspec

from tomada.diagrams.amounts import bytes_text, duration_text, size_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Sequence as Listed

    from tomada.diagrams.model import Arrow, Sequence, Step


class Part(Enum):
    """How much of a step a row shows."""

    WHOLE = "whole"
    BEGIN = "begin"
    END = "end"


class Moment(msgspec.Struct, frozen=True):
    """A step, its begin or its end, at its place in the order."""

    at: float
    step: int
    part: Part


def moments_of(sequence: Sequence) -> list[Moment]:
    """The rows of a picture of `sequence`, by time; of moments at the same time the one that caused comes first."""
    found: list[Moment] = []
    for index, step in enumerate(sequence.steps):
        is_bar = waits(step)
        found.append(Moment(step.begun, index, Part.BEGIN if is_bar else Part.WHOLE))
        if is_bar and step.ended is not None:
            found.append(Moment(max(step.begun, step.ended), index, Part.END))
    found.sort(key=lambda moment: moment.at)
    incoming: dict[int, list[Arrow]] = defaultdict(list)
    for arrow in sequence.arrows:
        incoming[arrow.target].append(arrow)
    causes = {
        moment: [arrow.source for arrow in incoming[moment.step] if arrives(arrow, sequence.steps, moment.part)]
        for moment in found
        if moment.step in incoming
    }
    ordered: list[Moment] = []
    for _, together in groupby(found, key=lambda moment: moment.at):
        ordered += _causes_first(list(together), sequence.steps, causes)
    return _joined(ordered)


def arrives(arrow: Arrow, steps: Listed[Step], part: Part) -> bool:
    """Whether it is in this part of its target that an arrow comes in."""
    if part is Part.WHOLE or steps[arrow.target].ended is None:
        return True
    return arrow.at_begin == (part is Part.BEGIN)


def _causes_first(moments: list[Moment], steps: Listed[Step], causes: Mapping[Moment, list[int]]) -> list[Moment]:
    """Moments at the same time: each after those before it on its lane, and after those that its step had to await."""
    if len(moments) == 1:
        return moments
    needs: dict[Moment, list[Moment]] = {}
    places: dict[Moment, tuple[int, bool]] = {}
    begins = {moment.step: moment for moment in moments if moment.part is not Part.END}
    last: dict[int, Moment] = {}
    for moment in moments:
        lane = steps[moment.step].lane
        sources = [source for source in causes.get(moment, ()) if source in begins]
        places[moment] = max(sources, default=moment.step), bool(sources) or moment.part is Part.END
        needs[moment] = [*([last[lane]] if lane in last else ()), *(begins[source] for source in sources)]
        last[lane] = moment
    ordered: dict[Moment, None] = {}
    seen: set[Moment] = set()
    for first in sorted(moments, key=places.__getitem__):
        way = [first]
        while way:
            open_ = [] if way[-1] in seen else [need for need in needs[way[-1]] if need not in seen]
            seen.add(way[-1])
            if open_:
                way += reversed(open_)
            else:
                ordered[way.pop()] = None
    return list(ordered)


def _joined(moments: list[Moment]) -> list[Moment]:
    """One row for a step that waited while nothing else happened."""
    joined: list[Moment] = []
    for moment in moments:
        if moment.part is Part.END and joined and joined[-1].step == moment.step:
            joined[-1] = Moment(joined[-1].at, moment.step, Part.WHOLE)
        else:
            joined.append(moment)
    return joined


def waits(step: Step) -> bool:
    """Whether it is drawn as a bar over the rows in which it waited; a summary of many is not."""
    return step.count == 1 and (step.is_blocked or step.ended is None)


class Bit(msgspec.Struct, frozen=True):
    """A part of a label, by what it is: ``call``, ``result``, ``data``, ``wait``, ``count``, ``name`` or ``state``."""

    kind: str
    text: str


def label_of(step: Step, part: Part, *, size: bool, data: bool) -> tuple[Bit, ...]:
    """What stands beside a step.

    Args:
        step: Of which it is.
        part: How much of it the row shows.
        size: Whether to say how many bytes it were, where the step itself does not: no arrow says it.
        data: Whether to show the first bytes: no arrow shows them.
    """
    if part is Part.BEGIN:
        return (Bit("call", step.text), Bit("wait", "waits" if step.ended is not None else "has not ended"))
    name = step.text
    if part is Part.END:
        name = f"{name.partition('(')[0].strip()}{'' if step.result or step.size else ' ends'}"
    bits = (
        Bit("count", f"×{step.count:,}" if step.count > 1 else ""),
        Bit("call", name),
        Bit("result", step.result),
        Bit("result", _amount(step, says=size)),
        Bit("wait", _time(step)),
        Bit("data", step.data if data else ""),  # comes last: of what is too long the end is cut
    )
    return tuple(bit for bit in bits if bit.text)


def _amount(step: Step, *, says: bool) -> str:
    if step.count > 1:
        return size_text(step.size) if step.size else ""
    return bytes_text(step.size) if says and step.size and not step.result else ""


def _time(step: Step) -> str:
    if step.ended is None:
        return "has not ended" if step.count == 1 else ""
    took = duration_text(max(0.0, step.ended - step.begun))
    return f"in {took}" if step.count > 1 else f"waited {took}" if step.is_blocked else ""


def payload_of(sequence: Sequence, source: int, arrows: list[int]) -> tuple[Bit, ...]:
    """What stands on the arrows of one step: how much, how often, and its first bytes."""
    step = sequence.steps[source]
    drawn = [sequence.arrows[index] for index in arrows]
    size = step.size or sum(arrow.size for arrow in drawn)
    text = next((arrow.text for arrow in drawn if arrow.text and arrow.text != step.text), "")
    bits = (
        Bit("count", f"×{step.count:,}" if step.count > 1 else ""),
        Bit("name", text),
        Bit("result", size_text(size) if size else ""),
        Bit("data", step.data if step.data != text else ""),
    )
    return tuple(bit for bit in bits if bit.text)
