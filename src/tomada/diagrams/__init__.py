"""Draws what happened: sequence diagrams, state diagrams and timelines, for people and for programs.

Pure functions: a drawing as data goes in, text or bytes come out. May import nothing of the house. Read ``model.py``
first: the three kinds of drawings; who reads recordings makes them, and one file for each form writes them.
"""

from tomada.diagrams.errors import DrawingError, MissingLibrary
from tomada.diagrams.model import (
    Arrow,
    Lane,
    Mark,
    Place,
    Row,
    Sequence,
    Span,
    StateDiagram,
    Step,
    Timeline,
    Tone,
    Transition,
)
from tomada.diagrams.paths import Told, state_diagram_of
from tomada.diagrams.rendering import FORMS, form_of, render, write

__all__ = [
    "FORMS",
    "Arrow",
    "DrawingError",
    "Lane",
    "Mark",
    "MissingLibrary",
    "Place",
    "Row",
    "Sequence",
    "Span",
    "StateDiagram",
    "Step",
    "Timeline",
    "Told",
    "Tone",
    "Transition",
    "form_of",
    "render",
    "state_diagram_of",
    "write",
]
