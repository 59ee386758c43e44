"""tomada without sessions: the same server and client as with them, and nothing is kept until it is acknowledged."""

from collections.abc import Callable

from benchmarks.contenders import tomada_async
from benchmarks.load import Plan


def serve(announce: Callable[[int], None]) -> None:
    """Serve the app, without sessions."""
    tomada_async.serve(announce, None)


def measure(port: int, plan: Plan) -> float:
    """The same client, without a session."""
    return tomada_async.measure(port, plan, sessions=False)
