"""The pictures in the documents are those that are drawn today."""

from __future__ import annotations

import pytest

from tests.diagrams import scenes
from tests.docs import pictures
from tomada.diagrams.text import sequence_text

AGAIN = "run `python -m tests.docs.pictures`"


@pytest.mark.parametrize("name", pictures.drawn())
def test_it_is_up_to_date_and_shown(name: str) -> None:
    assert (pictures.FOLDER / f"{name}.svg").read_text() == pictures.pictures()[name], AGAIN
    assert f"(../pictures/{name}.svg)" in pictures.DOCUMENT.read_text()


def test_the_text_in_the_guide_is_what_the_terminal_shows() -> None:
    assert f"```\n{sequence_text(scenes.echo(), width=80)}```\n" in pictures.DOCUMENT.read_text()
