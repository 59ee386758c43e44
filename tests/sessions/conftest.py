from __future__ import annotations

from collections.abc import Iterator

import pytest

import tomada
from tests.integration.conftest import _loops_have_what_they_keep, run
from tomada.telemetry import CommitFailed, CommitResumed, Event, SessionEvicted

__all__ = ["_loops_have_what_they_keep", "run"]


@pytest.fixture
def told() -> Iterator[list[Event]]:
    """What stores and journals tell."""
    events: list[Event] = []
    with tomada.subscribe(events.append, SessionEvicted, CommitFailed, CommitResumed):
        yield events
