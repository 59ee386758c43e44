"""Raw blocking sockets, one request at a time, both ends as `tomada trace` runs them."""

import os
from collections.abc import Callable
from pathlib import Path

from benchmarks.contenders import raw_socket
from benchmarks.load import Plan
from tomada_recorder import start, writer

RECORDING = Path(__file__).parents[2] / "build" / "bench-trace"


def record(*, anew: bool) -> None:
    """Record this process from now on, as the recorder does in a program that is traced."""
    if anew:
        RECORDING.parent.mkdir(exist_ok=True)
        writer.begin(str(RECORDING))
    os.environ["TOMADA_TRACE"] = str(RECORDING)
    start.start()


def serve(announce: Callable[[int], None]) -> None:
    """Answer one connection after the other."""
    record(anew=True)
    raw_socket.serve(announce)


def measure(port: int, plan: Plan) -> float:
    """Ping-pong; ``plan.load`` can only be 1."""
    record(anew=False)
    return raw_socket.measure(port, plan)
