"""One-way messages over tomada, as in `oneway_tomada`, without sessions."""

from collections.abc import Callable

from benchmarks.contenders import oneway_tomada
from benchmarks.load import Plan


def serve(announce: Callable[[int], None]) -> None:
    """Serve the app, without sessions."""
    oneway_tomada.serve(announce, None)


def measure(port: int, plan: Plan) -> float:
    """The same client, without a session."""
    return oneway_tomada.measure(port, plan, sessions=False)
