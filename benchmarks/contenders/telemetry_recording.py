"""The same server, which records all messages in a file."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import tomada
from benchmarks.contenders import telemetry_off

measure = telemetry_off.measure


def serve(announce: Callable[[int], None]) -> None:
    """Serve the app, and record."""
    with tempfile.TemporaryDirectory() as folder, tomada.record(Path(folder) / "recording"):
        telemetry_off.serve(announce)
