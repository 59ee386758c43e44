from __future__ import annotations

import pytest

from tests.integration.conftest import _loops_have_what_they_keep, folder, run
from tomada.telemetry import tally

__all__ = ["_loops_have_what_they_keep", "folder", "run"]


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts of this test alone: where another's handlers were many, the first ones here would not be timed."""
    monkeypatch.setattr(tally, "_tallies", {})
