"""The reference of limits and deadlines says what the code does."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import tomada
from tomada.settings import Children

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "limits.md"
SECTIONS: dict[str, type[Any]] = {
    "Limits": tomada.Limits,
    "Deadlines": tomada.Deadlines,
    "Children": Children,
    "Sessions": tomada.Sessions,
}
WORDS = {"none": None, "off": False, "(its own)": ""}


def section(title: str) -> str:
    text = PAGE.read_text(encoding="utf-8")
    return re.split(r"^##? ", text.partition(f"\n## {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def rows(title: str) -> list[list[str]]:
    """The cells of its first table, without the head."""
    lines = [line for line in section(title).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def value(text: str) -> Any:
    return WORDS[text] if text in WORDS else float(text.replace(",", ""))


@pytest.mark.parametrize("title", SECTIONS)
def test_each_setting_has_a_row_with_its_default(title: str) -> None:
    own = SECTIONS[title]()
    told = {row[0].strip("`"): value(row[1]) for row in rows(title)}
    assert list(told) == list(own.__struct_fields__), "in the same order"
    assert told == {name: getattr(own, name) for name in own.__struct_fields__}


@pytest.mark.parametrize("title", SECTIONS)
def test_each_row_says_what_becomes_of_who_meets_it(title: str) -> None:
    for name, _, unit, bounds, outcome in rows(title):
        assert unit, name
        assert len(bounds) > 5, name
        assert len(outcome) > 5, name


def test_each_option_of_access_is_one_of_serve() -> None:
    options = [row[0].strip("`") for row in rows("Who may connect")]
    assert options == ["proxied_by", "unix_mode", "unix_owner", "allow_users"]
    assert set(options) <= set(inspect.signature(tomada.serve).parameters)


@pytest.mark.parametrize(
    "text",
    [
        "the server has {:,} connections, and takes no more; try again later",
        "the server has {:,} connections of 192.0.2.7, and takes no more of it; close one of them",
    ],
)
def test_the_reasons_are_in_the_words_of_the_code(text: str) -> None:
    from tomada.transports import Admission  # noqa: PLC0415 - here alone

    limits = tomada.Limits()
    admission = Admission(limits)
    admission.open = limits.connections if "of 192" not in text else 0
    admission._hosts["192.0.2.7"] = limits.connections_per_host
    reason = admission.why_full("192.0.2.7")
    assert reason == text.format(limits.connections)
    assert reason in section("Limits")
