from __future__ import annotations

from collections.abc import Iterator

import pytest

import tomada
from tests.integration.conftest import _loops_have_what_they_keep, folder, run
from tomada.telemetry import DeadlineStruck

__all__ = ["_loops_have_what_they_keep", "folder", "run"]


@pytest.fixture
def struck() -> Iterator[list[DeadlineStruck]]:
    """The deadlines that strike."""
    told: list[DeadlineStruck] = []
    with tomada.subscribe(told.append, DeadlineStruck):
        yield told
