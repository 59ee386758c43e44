"""Drawings as PNG, made from their SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tomada.diagrams.errors import MissingLibrary

if TYPE_CHECKING:
    from tomada.diagrams.checking import Drawing


def png(drawing: Drawing) -> bytes:  # noqa: ARG001
    """The drawing as a PNG file, on light paper.

    Raises:
        MissingLibrary: ``tomada[diagrams]`` is not installed.
    """
    raise MissingLibrary("PNG needs one more library: pip install 'tomada[diagrams]'")
