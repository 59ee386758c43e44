from __future__ import annotations

from tests.integration.conftest import _loops_have_what_they_keep, folder, run

__all__ = ["_loops_have_what_they_keep", "folder", "run"]
