from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.diagrams import scenes
from tomada.diagrams.cleaning import LONGEST, clean, cleaned, shorten, squeeze, width_of, wrap

ANY_TEXT = st.text(st.characters(codec=None), max_size=200)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("recv(1024)", "recv(1024)"),
        ("GET /\r\n\tx", "GET /\\r\\n\\tx"),
        ("\x1b[31mred\x07", "\\e[31mred\\x07"),
        ("\x9b2J", "\\x9b2J"),
        ("a\u202eb\u2066c\u200d", "a\\u202eb\\u2066c\\u200d"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800\ufffe", "\\ud800\\ufffe"),
        ("é ü 日本 שלום", "é ü 日本 שלום"),
        ("e\u0301\u0302\u0303", "e\u0301\u0302\\u0303"),
        ("\u0e01\u0e34\u0e34\u0e34", "\u0e01\u0e34\u0e34\\u0e34"),
        ("o\u20dd\u20dd\u20dd", "o\u20dd\u20dd\\u20dd"),
        ("\xa0", "\\xa0"),
    ],
)
def test_what_is_not_plainly_printable_is_an_escape(text: str, shown: str) -> None:
    assert clean(text) == shown


@settings(deadline=None)
@given(ANY_TEXT)
def test_whatever_it_was_it_is_one_harmless_line(text: str) -> None:
    shown = clean(text)

    assert shown.isprintable()
    shown.encode()


def test_what_is_endless_is_cut() -> None:
    assert len(clean("x" * 10_000_000)) == LONGEST + 1


def test_all_texts_of_a_drawing_are_cleaned() -> None:
    drawing = cleaned(scenes.hostile())

    texts = [drawing.title, *drawing.notes]
    texts += [text for lane in drawing.lanes for text in (lane.group, lane.title, lane.detail)]
    texts += [text for step in drawing.steps for text in (step.text, step.result, step.data, step.state)]
    texts += [arrow.text for arrow in drawing.arrows]
    assert all(text.isprintable() for text in texts)


@settings(deadline=None)
@given(ANY_TEXT.map(clean), st.integers(0, 50))
def test_what_is_shortened_fits_and_says_so(text: str, width: int) -> None:
    short = shorten(text, width)

    assert width_of(short) <= width
    assert short == text or short.endswith("…") or not width


def test_wide_letters_take_two_columns() -> None:
    assert width_of("日本") == 4
    assert shorten("日本語", 5) == "日本…"
    assert shorten("日本語", 4) == "日…"


@settings(deadline=None)
@given(ANY_TEXT.map(clean), st.integers(0, 50))
def test_what_is_squeezed_fits_and_keeps_its_end(text: str, width: int) -> None:
    short = squeeze(text, width)

    assert width_of(short) <= width
    assert short == text or "…" in short or not width


def test_of_addresses_both_ends_are_kept() -> None:
    assert squeeze("TCP 127.0.0.1:38123 with 127.0.0.1:55290, fd 4", 31) == "TCP 127.0.0.1:3…0.1:55290, fd 4"
    assert squeeze("日本日本日本", 7) == "日…本" or squeeze("日本日本日本", 7) == "日本…本"


def test_marks_on_letters_take_no_column() -> None:
    assert width_of("\u0e17\u0e35\u0e48") == 1
    assert width_of("\u2764\ufe0f") == 1


@settings(deadline=None)
@given(st.text(st.sampled_from("ab 日\u0301"), max_size=100).map(clean), st.integers(2, 20))
def test_wrapped_lines_fit_and_nothing_is_lost(text: str, width: int) -> None:
    lines = wrap(text, width)

    assert all(width_of(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())
