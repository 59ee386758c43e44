"""Drawings as SVG: one file each, without scripts, fonts or anything else from elsewhere, readable in light and dark.

May import the room around it. Read ``document.py`` first; for each kind of drawing one file says where everything
stands, and another one draws it.
"""

from tomada.diagrams.svg.drawing import drawing_svg
from tomada.diagrams.svg.sequence import sequence_svg
from tomada.diagrams.svg.states import states_svg
from tomada.diagrams.svg.timeline import timeline_svg

__all__ = ["drawing_svg", "sequence_svg", "states_svg", "timeline_svg"]
