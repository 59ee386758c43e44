"""The standard library's web server, as `tomada trace` runs it; its clients are not traced."""

from collections.abc import Callable

from benchmarks.contenders import http_untraced
from benchmarks.contenders.traced_socket import record
from benchmarks.load import Plan


def serve(announce: Callable[[int], None]) -> None:
    """Answer every request with a small page."""
    record(anew=True)
    http_untraced.serve(announce)


def measure(port: int, plan: Plan) -> float:
    """Requests per second, each over a connection of its own."""
    return http_untraced.measure(port, plan)
