"""A server at whom nobody looks, asked by a client that costs little."""

from collections.abc import Callable

from benchmarks.contenders import tomada_async
from benchmarks.frames_load import rate_of_frames
from benchmarks.load import Plan


def serve(announce: Callable[[int], None]) -> None:
    """Serve the app."""
    tomada_async.serve(announce)


def measure(port: int, plan: Plan) -> float:
    """Ask, frame by frame."""
    return rate_of_frames(port, tomada_async.Ping, plan)
