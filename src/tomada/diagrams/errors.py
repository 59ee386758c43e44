"""What can be wrong about a drawing, or about what is asked for."""

from __future__ import annotations


class DrawingError(ValueError):
    """A drawing does not fit together, or there is no such form; the text says what, and what would do."""


class MissingLibrary(ImportError):
    """A form needs a library that is not installed; the text names the extra to install."""
