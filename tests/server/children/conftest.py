"""As in the integration tests: on both loops, and nothing is left behind."""

from __future__ import annotations

import pytest

from tests.integration.conftest import _loops_have_what_they_keep, folder, run
from tests.server.children import homes

__all__ = ["_loops_have_what_they_keep", "folder", "run"]


@pytest.fixture(autouse=True)
def _others() -> None:
    """What this process has started before a test is not the test's."""
    homes.others.clear()
    homes.others.update(pid for pid, _ in homes.processes())
