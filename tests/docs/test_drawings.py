"""What the explanation of sessions draws is what the protocol does."""

from __future__ import annotations

import pytest

from tests.docs import drawings

AGAIN = "run `python -m tests.docs.drawings`"


@pytest.mark.parametrize("name", drawings.shown())
def test_it_shows(name: str) -> None:
    assert drawings.shown()[name] in drawings.DOCUMENT.read_text(), AGAIN


def test_it_is_up_to_date() -> None:
    document = drawings.DOCUMENT.read_text()

    assert drawings.filled(document) == document, AGAIN
