"""The mark of a step: its shape says what its colour does, for who sees no colours."""

from __future__ import annotations

from typing import Final

from tomada.diagrams.model import Tone
from tomada.diagrams.svg.document import element

SHAPES: Final = {
    Tone.PLAIN: "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
    Tone.BEGIN: "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0zM-2.4 0a2.4 2.4 0 1 1 4.8 0a2.4 2.4 0 1 1 -4.8 0z",
    Tone.END: "M-4 -4h8v8h-8z",
    Tone.URGENT: "M0 -5.5l5.5 9.5h-11z",
    Tone.REPEATED: "M0 -5.5l5.5 5.5l-5.5 5.5l-5.5 -5.5z",
    Tone.CONTROL: "M-2.5 0a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0 -5 0z",
    Tone.FAILED: "M-5.5 -3.5l2 -2l3.5 3.5l3.5 -3.5l2 2l-3.5 3.5l3.5 3.5l-2 2l-3.5 -3.5l-3.5 3.5l-2 -2l3.5 -3.5z",
}
"""Around the middle, as SVG paths."""
NAMES: Final = {
    Tone.PLAIN: "step",
    Tone.BEGIN: "begins",
    Tone.END: "ends",
    Tone.URGENT: "urgent",
    Tone.REPEATED: "sent again",
    Tone.CONTROL: "control",
    Tone.FAILED: "failed",
}
"""What the legend says."""


def mark(x: float, y: float, tone: Tone) -> str:
    """The mark with its middle at (`x`, `y`)."""
    return element("path", d=SHAPES[tone], transform=f"translate({x:g} {y:g})", class_=f"mark tone-{tone.value}")
