"""In which order a sequence is drawn: one row for each call, two where it waited while others went on."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import msgspec

from tomada.diagrams.amounts import bytes_text, duration_text, size_text

if TYPE_CHECKING:
    from tomada.diagrams.model import Sequence, Step


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
    after = {index: index for index in range(len(sequence.steps))}
    for arrow in sequence.arrows:
        after[arrow.target] = max(after[arrow.target], arrow.source)
    found: list[tuple[float, int, int, Moment]] = []
    for index, step in enumerate(sequence.steps):
        if not waits(step):
            found.append((step.begun, index, 0, Moment(step.begun, index, Part.WHOLE)))
            continue
        found.append((step.begun, index, 0, Moment(step.begun, index, Part.BEGIN)))
        if step.ended is not None:
            ended = max(step.begun, step.ended)
            found.append((ended, after[index], 1, Moment(ended, index, Part.END)))
    found.sort(key=lambda entry: entry[:3])
    return _joined([moment for *_, moment in found])


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
    if part is Part.END:
        says = bool(step.result or step.size)
        call = Bit("call", f"{step.text.partition('(')[0].strip()}{'' if says else ' ends'}")
        bits = (call, Bit("result", step.result), *_data(step, size=size, data=data), _waited(step))
        return tuple(bit for bit in bits if bit.text)
    bits = (Bit("call", step.text), Bit("result", step.result), *_data(step, size=size, data=data), _waited(step))
    return tuple(bit for bit in (*bits, *_counted(step)) if bit.text)


def _data(step: Step, *, size: bool, data: bool) -> tuple[Bit, ...]:
    is_unsaid = size and step.size and not step.result and step.count == 1
    return (Bit("result", bytes_text(step.size) if is_unsaid else ""), Bit("data", step.data if data else ""))


def _waited(step: Step) -> Bit:
    if step.count > 1 or not (step.is_blocked or step.ended is None):
        return Bit("wait", "")
    if step.ended is None:
        return Bit("wait", "has not ended")
    return Bit("wait", f"waited {duration_text(max(0.0, step.ended - step.begun))}")


def _counted(step: Step) -> tuple[Bit, ...]:
    if step.count == 1:
        return ()
    over = "" if step.ended is None else f"in {duration_text(max(0.0, step.ended - step.begun))}"
    return (
        Bit("count", f"×{step.count:,}"),
        Bit("result", size_text(step.size) if step.size else ""),
        Bit("wait", over),
    )


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
