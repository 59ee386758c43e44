"""A state diagram as SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tomada.diagrams.svg.palette import Theme

if TYPE_CHECKING:
    from tomada.diagrams.model import StateDiagram


def states_svg(diagram: StateDiagram, *, theme: Theme = Theme.AUTO) -> str:
    """The state diagram as an SVG file."""
    raise NotImplementedError
