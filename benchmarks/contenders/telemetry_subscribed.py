"""The same server, with a subscriber to all events: one for each message, for its handler ends."""

from collections import Counter
from collections.abc import Callable

import tomada
from benchmarks.contenders import telemetry_off

measure = telemetry_off.measure
told: Counter[str] = Counter()


def _count(event: tomada.telemetry.Event) -> None:
    told[type(event).__name__] += 1


def serve(announce: Callable[[int], None]) -> None:
    """Serve the app, and count all events."""
    with tomada.subscribe(_count):
        telemetry_off.serve(announce)
