"""Drawings as PNG, made from their SVG by resvg.

resvg, by way of ``resvg-py``, is one wheel of 1.4 MB with nothing beside it, for Linux, macOS and Windows. It reads
neither network nor files on behalf of an SVG unless it is told to. CairoSVG, the other library that is kept up, needs
the system's Cairo, which a wheel cannot bring.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tomada.diagrams.errors import DrawingError, MissingLibrary
from tomada.diagrams.svg import drawing_svg
from tomada.diagrams.svg.palette import Theme

if TYPE_CHECKING:
    from tomada.diagrams.checking import Drawing

ZOOM: Final = 2.0
"""Pixels for each unit of the SVG, where the picture is not too large for that."""
MOST_PIXELS: Final = 24_000_000
"""Of one picture: 100 MB while it is made."""
MOST_STEPS: Final = 600
"""Of a sequence, and rows of a timeline: more would be too small to be read."""


def png(drawing: Drawing, *, theme: Theme = Theme.LIGHT) -> bytes:
    """The drawing as a PNG file, with two pixels for each unit of the SVG, or fewer where it is large.

    The letters are those of the system's fonts.

    Raises:
        DrawingError: The drawing does not fit together, or cannot be drawn.
        MissingLibrary: ``tomada[diagrams]`` is not installed.
    """
    try:
        from resvg_py import svg_to_bytes  # noqa: PLC0415 - optional: only PNG needs it
    except ImportError as error:
        raise MissingLibrary("PNG needs one more library: pip install 'tomada[diagrams]'") from error
    svg = drawing_svg(drawing, theme=theme, most=MOST_STEPS)
    width, height = (float(size) for size in svg.split('viewBox="0 0 ', 1)[1].split('"', 1)[0].split())
    zoom = min(ZOOM, (MOST_PIXELS / (width * height)) ** 0.5)
    try:
        return bytes(svg_to_bytes(svg_string=svg, zoom=zoom, font_family="DejaVu Sans Mono"))
    except ValueError as error:
        raise DrawingError(f"the picture cannot be made: {error}") from error
