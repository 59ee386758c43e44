"""Drawings in Mermaid's language."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tomada.diagrams.errors import DrawingError

if TYPE_CHECKING:
    from tomada.diagrams.checking import Drawing


def mermaid(drawing: Drawing) -> str:  # noqa: ARG001
    """The drawing in Mermaid's language."""
    raise DrawingError("Mermaid is not there yet")
