"""The same server, with a subscriber to all events: one for each message, for its handler ends."""

from collections.abc import Callable

import tomada
from benchmarks.contenders import telemetry_off

measure = telemetry_off.measure


def _hear(_: tomada.telemetry.Event) -> None:
    """What is done with an event is its subscriber's own affair."""


def serve(announce: Callable[[int], None]) -> None:
    """Serve the app, and be told of all events."""
    with tomada.subscribe(_hear):
        telemetry_off.serve(announce)
