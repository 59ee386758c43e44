from __future__ import annotations

from collections.abc import Iterator

import pytest

import tomada
from tomada.telemetry import CommitFailed, CommitResumed, Event, SessionEvicted


@pytest.fixture
def told() -> Iterator[list[Event]]:
    """What stores and journals tell."""
    events: list[Event] = []
    with tomada.subscribe(events.append, SessionEvicted, CommitFailed, CommitResumed):
        yield events
