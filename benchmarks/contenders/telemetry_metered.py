"""The same server, with the meter on that the dashboard and the metrics read."""

from collections.abc import Callable

from benchmarks.contenders import telemetry_off
from tomada.telemetry.meter import Meter

measure = telemetry_off.measure


def serve(announce: Callable[[int], None]) -> None:
    """Serve the app, and count handlers by type."""
    with Meter():
        telemetry_off.serve(announce)
