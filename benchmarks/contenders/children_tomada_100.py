"""tomada with a child process per hundred connections."""

from collections.abc import Callable

from benchmarks.contenders import children_tomada
from benchmarks.contenders.children_tomada import measure

__all__ = ["measure", "serve"]


def serve(announce: Callable[[int], None]) -> None:
    """Serve the app, a hundred connections in each child."""
    children_tomada.serve(announce, 100)
