"""pyzmq PUSH and PULL, as in `oneway_zeromq`, without high-water marks: nothing ever waits, and memory has no bound."""

from collections.abc import Callable

from benchmarks.contenders import oneway_zeromq
from benchmarks.load import Plan


def serve(announce: Callable[[int], None]) -> None:
    """Decode and count whatever comes."""
    oneway_zeromq.serve(announce, 0)


def measure(port: int, plan: Plan) -> float:
    """Send one after the other."""
    return oneway_zeromq.measure(port, plan, 0)
