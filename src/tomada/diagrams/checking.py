"""Whether a drawing fits together: who draws may then trust every index and every name."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tomada.diagrams.errors import DrawingError
from tomada.diagrams.model import Sequence, StateDiagram, Timeline

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tomada.diagrams.model import Step

Drawing = Sequence | StateDiagram | Timeline
"""What can be drawn."""


def check(drawing: Drawing) -> None:
    """Raise `DrawingError` where `drawing` does not fit together."""
    if isinstance(drawing, Sequence):
        _check_sequence(drawing)
    elif isinstance(drawing, StateDiagram):
        _check_states(drawing)
    elif isinstance(drawing, Timeline):
        _check_timeline(drawing)
    else:
        raise DrawingError(f"a {type(drawing).__name__} cannot be drawn: give a Sequence, StateDiagram or Timeline")


def _check_sequence(sequence: Sequence) -> None:
    lanes, steps = len(sequence.lanes), len(sequence.steps)
    for number, step in enumerate(sequence.steps):
        if not 0 <= step.lane < lanes:
            raise DrawingError(f"step {number} is on lane {step.lane}, and there are {lanes} lanes")
        _check_step(number, step)
    for number, arrow in enumerate(sequence.arrows):
        if not (0 <= arrow.source < steps and 0 <= arrow.target < steps):
            raise DrawingError(
                f"arrow {number} goes from step {arrow.source} to step {arrow.target}, and there are {steps} steps"
            )


def _check_step(number: int, step: Step) -> None:
    _check_times(f"step {number}", [step.begun, *([] if step.ended is None else [step.ended])])
    if step.count < 1:
        raise DrawingError(f"step {number} stands for {step.count} steps: it must be 1 or more")


def _check_states(diagram: StateDiagram) -> None:
    names = {place.name for place in diagram.places}
    if len(names) != len(diagram.places):
        raise DrawingError("two states have the same name")
    ends = [
        (f"the transition {move.text!r}", name) for move in diagram.transitions for name in (move.source, move.target)
    ]
    current = [("the current state", diagram.current)] if diagram.current else []
    for what, name in [("the start", diagram.start), *ends, *current]:
        if name not in names:
            raise DrawingError(f"{what} is at {name!r}, and there is no such state: {', '.join(sorted(names))}")


def _check_timeline(timeline: Timeline) -> None:
    _check_times("the timeline", [timeline.ended])
    for row in timeline.rows:
        for span in row.spans:
            _check_times(f"a span of {row.title!r}", [span.begun, *([] if span.ended is None else [span.ended])])
        _check_times(f"a mark of {row.title!r}", [mark.at for mark in row.marks])


def _check_times(what: str, times: Iterable[float]) -> None:
    wrong = [time for time in times if not math.isfinite(time)]
    if wrong:
        raise DrawingError(f"{what} has the time {wrong[0]}, which is no time")
