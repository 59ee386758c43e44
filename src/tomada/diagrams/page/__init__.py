"""Drawings as one HTML file that works offline: the SVG with search, zoom, a filter for lanes, and details.

May import the room around it. Read ``page.js`` first: it adds to a picture what a reader does with it, and ``html.py``
puts both into one file.
"""

from tomada.diagrams.page.html import page

__all__ = ["page"]
