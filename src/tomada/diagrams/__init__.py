"""Draws what happened: sequence diagrams, state diagrams and timelines, for people and for programs.

Pure functions: a drawing as data goes in, text or bytes come out. May import nothing of the house. Read ``model.py``
first: the three kinds of drawings; who reads recordings makes them, and one file for each form writes them.
"""

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

__all__ = [
    "Arrow",
    "Lane",
    "Mark",
    "Place",
    "Row",
    "Sequence",
    "Span",
    "StateDiagram",
    "Step",
    "Timeline",
    "Tone",
    "Transition",
]
