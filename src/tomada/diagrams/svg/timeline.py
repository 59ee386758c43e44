"""A timeline as SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tomada.diagrams.svg.palette import Theme

if TYPE_CHECKING:
    from tomada.diagrams.model import Timeline


def timeline_svg(timeline: Timeline, *, theme: Theme = Theme.AUTO) -> str:
    """The timeline as an SVG file."""
    raise NotImplementedError
