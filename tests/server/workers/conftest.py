from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a path short enough for socket files, whatever pytest is told to use."""
    with tempfile.TemporaryDirectory(prefix="tomada-") as name:
        yield Path(name)
