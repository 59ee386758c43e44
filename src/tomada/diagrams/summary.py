"""What a drawing shows, in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tomada.diagrams.amounts import bytes_text, count_text, duration_text, size_text
from tomada.diagrams.model import Tone

if TYPE_CHECKING:
    from tomada.diagrams.model import Sequence, StateDiagram, Timeline


def sequence_summary(sequence: Sequence) -> str:
    """As ``2 lanes · 14 steps · 1.20 s · 5 bytes arrived``."""
    failed = sum(step.count for step in sequence.steps if step.tone is Tone.FAILED)
    arrived = sum(arrow.size for arrow in sequence.arrows)
    parts = [
        count_text(len(sequence.lanes), "lane"),
        count_text(sum(step.count for step in sequence.steps), "step"),
        duration_text(lasted(sequence)),
        f"{bytes_text(arrived)} arrived" if arrived else "",
        f"{failed:,} failed" if failed else "",
    ]
    return " · ".join(part for part in parts if part)


def lasted(sequence: Sequence) -> float:
    """Seconds from the begin of the recording to the last that happened in it."""
    return max((step.begun if step.ended is None else step.ended for step in sequence.steps), default=0.0)


def states_summary(diagram: StateDiagram) -> str:
    """As ``9 states · 12 of 30 transitions taken · now open``."""
    taken = sum(move.taken > 0 for move in diagram.transitions)
    parts = [
        count_text(len(diagram.places), "state"),
        f"{taken:,} of {count_text(len(diagram.transitions), 'transition')} taken",
        f"now {diagram.current}" if diagram.current else "",
    ]
    return " · ".join(part for part in parts if part)


def timeline_summary(timeline: Timeline) -> str:
    """As ``12 rows · 3.40 s · 1.2 MiB sent · 15 KiB received``."""
    sent, received = sum(row.sent for row in timeline.rows), sum(row.received for row in timeline.rows)
    parts = [count_text(len(timeline.rows), "row"), duration_text(timeline.ended)]
    parts += [f"{size_text(sent)} sent", f"{size_text(received)} received"] if sent or received else []
    return " · ".join(parts)
