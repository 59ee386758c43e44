"""The guide shows the very store that the other tests of this folder break."""

from __future__ import annotations

from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "write-a-session-store.md"


def test_the_guide_shows_the_store_that_is_tested() -> None:
    assert f"```python\n{Path(__file__).with_name('filestore.py').read_text()}```\n" in GUIDE.read_text()
