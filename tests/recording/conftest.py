from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.recording.rig import Rig, rig


@pytest.fixture
def traced(tmp_path: Path) -> Iterator[Rig]:
    """Runs programs that are recorded."""
    with rig(tmp_path) as made:
        yield made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where messages are recorded to."""
    return tmp_path / "bank.recording"
