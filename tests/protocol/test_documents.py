"""What the documentation shows of the protocol is what the protocol does."""

from __future__ import annotations

import pytest

from tests.protocol import vectors
from tomada.protocol import Kind
from tomada.protocol.frames import MESSAGE_KINDS

AGAIN = "run `python -m tests.protocol.vectors`"


def test_the_vectors_are_up_to_date() -> None:
    assert vectors.VECTORS.read_text() == vectors.text(), AGAIN


@pytest.mark.parametrize("name", vectors.shown())
def test_the_specification_shows(name: str) -> None:
    assert vectors.shown()[name] in vectors.SPECIFICATION.read_text(), AGAIN


def test_the_specification_is_up_to_date() -> None:
    document = vectors.SPECIFICATION.read_text()

    assert vectors.filled(document) == document, AGAIN


@pytest.mark.parametrize("kind", Kind)
def test_the_specification_numbers_each_kind(kind: Kind) -> None:
    rows = [row for row in vectors.SPECIFICATION.read_text().splitlines() if row.startswith(f"| {int(kind)} | `")]

    assert [row.split("|")[2].strip() for row in rows] == [f"`{kind.name.lower()}`"]
    assert ("control" in rows[0].split("|")[4]) == (kind not in MESSAGE_KINDS)
