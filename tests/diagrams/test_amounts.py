from __future__ import annotations

import math

import pytest

from tomada.diagrams.amounts import Clock, bytes_text, count_text, duration_text, size_text


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (1023, "1,023 B"),
        (1024, "1.00 KiB"),
        (10_239, "10.0 KiB"),
        (1_048_576, "1.00 MiB"),
        (5 * 1024**5, "5.00 PiB"),
        (5 * 1024**6, "5120 PiB"),
    ],
)
def test_sizes(size: int, shown: str) -> None:
    assert size_text(size) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 µs"),
        (0.000081, "81 µs"),
        (0.00099951, "1.00 ms"),
        (0.0012, "1.20 ms"),
        (0.9996, "1.00 s"),
        (3.4, "3.40 s"),
        (59.4, "59.4 s"),
        (59.7, "1 min 0 s"),
        (125, "2 min 5 s"),
        (7500, "2 h 5 min"),
        (-0.5, "-500 ms"),
        (math.nan, "?"),
    ],
)
def test_durations(seconds: float, shown: str) -> None:
    assert duration_text(seconds) == shown


def test_one_and_many() -> None:
    assert bytes_text(1) == "1 byte"
    assert bytes_text(25_000) == "25,000 bytes"
    assert count_text(1, "call") == "1 call"
    assert count_text(2, "reply", "replies") == "2 replies"


@pytest.mark.parametrize(
    ("lasted", "seconds", "shown", "unit"),
    [
        (0.05, 0.0123456, "12.346", "ms"),
        (0.5, 0.0123456, "12.35", "ms"),
        (5, 1.23456, "1.2346", "s"),
        (500, 123.456, "123.456", "s"),
        (5, math.inf, "?", "s"),
    ],
)
def test_the_times_of_a_picture_stand_below_each_other(lasted: float, seconds: float, shown: str, unit: str) -> None:
    clock = Clock.over(lasted)

    assert (clock.text(seconds), clock.unit) == (shown, unit)
