from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web import chromium

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def page() -> Iterator[chromium.Page]:
    """A tab of a real browser, for all tests: each opens its own file in it."""
    program = chromium.find()
    if program is None:
        assert not os.environ.get("CI"), "in CI a browser must be there"
        pytest.skip("there is no Chromium: scripts/set-up test installs it where it can")
    with chromium.browser(program) as tab:
        yield tab
