"""Drawings as plain text, for the terminal.

May import the room around it. Read ``canvas.py`` first, on which everything here is written cell by cell.
"""

from tomada.diagrams.text.drawing import drawing_text
from tomada.diagrams.text.sequence import sequence_text
from tomada.diagrams.text.states import states_text
from tomada.diagrams.text.timeline import timeline_text

__all__ = ["drawing_text", "sequence_text", "states_text", "timeline_text"]
