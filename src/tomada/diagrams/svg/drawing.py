"""Any drawing as SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tomada.diagrams.condense import MOST_ROWS
from tomada.diagrams.model import Sequence, StateDiagram
from tomada.diagrams.picture import MOST_STEPS
from tomada.diagrams.svg.palette import Theme
from tomada.diagrams.svg.sequence import sequence_svg
from tomada.diagrams.svg.states import states_svg
from tomada.diagrams.svg.timeline import timeline_svg

if TYPE_CHECKING:
    from tomada.diagrams.checking import Drawing


def drawing_svg(drawing: Drawing, *, theme: Theme = Theme.AUTO, most: int | None = None) -> str:
    """The drawing as an SVG file.

    Args:
        drawing: Of whichever kind.
        theme: The background for which it is drawn; the viewer's own unless one is named.
        most: Steps of a sequence, or rows of a timeline, that are drawn.

    Raises:
        DrawingError: The drawing does not fit together.
    """
    if isinstance(drawing, Sequence):
        return sequence_svg(drawing, theme=theme, most=most or MOST_STEPS)
    if isinstance(drawing, StateDiagram):
        return states_svg(drawing, theme=theme)
    return timeline_svg(drawing, theme=theme, most=most or MOST_ROWS)
