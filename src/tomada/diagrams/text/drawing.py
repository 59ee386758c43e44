"""Any drawing as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tomada.diagrams.model import Sequence, StateDiagram
from tomada.diagrams.text.sequence import sequence_text
from tomada.diagrams.text.states import states_text
from tomada.diagrams.text.timeline import timeline_text

if TYPE_CHECKING:
    from tomada.diagrams.checking import Drawing


def drawing_text(drawing: Drawing, *, width: int = 100, colour: bool = False, ascii_only: bool = False) -> str:
    """The drawing as text of `width` columns, with a line end behind each line.

    Raises:
        DrawingError: The drawing does not fit together.
    """
    if isinstance(drawing, Sequence):
        return sequence_text(drawing, width=width, colour=colour, ascii_only=ascii_only)
    if isinstance(drawing, StateDiagram):
        return states_text(drawing, width=width, colour=colour, ascii_only=ascii_only)
    return timeline_text(drawing, width=width, colour=colour, ascii_only=ascii_only)
