from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from tomada import DatagramLimits, Deadlines, Limits, Sessions
from tomada.protocol import PeerLimits


def test_the_defaults_are_what_peers_expect() -> None:
    limits = Limits()

    assert PeerLimits(limits.frame_bytes, limits.message_bytes, limits.requests) == PeerLimits()
    assert Deadlines().drain == 10


@pytest.mark.parametrize("name", Limits.__struct_fields__)
@pytest.mark.parametrize("value", [0, -1, "much", None, 1.5, math.inf, math.nan])
def test_wrong_limits(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} is {value!r}, it must be a (number above 0|whole number)$"):
        Limits(**{name: value})


@pytest.mark.parametrize("name", Deadlines.__struct_fields__)
@pytest.mark.parametrize("value", [0, -0.5, "long", None, math.nan])
def test_wrong_deadlines(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} is {value!r}, it must be a number above 0$"):
        Deadlines(**{name: value})


def test_deadlines_may_be_endless() -> None:
    assert Deadlines(drain=math.inf).drain == math.inf


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"frame_bytes": 1_023}, "frame_bytes is 1023, it must be from 1024 to 4294967295"),
        ({"frame_bytes": 2**32}, "frame_bytes is 4294967296, it must be from 1024 to 4294967295"),
        ({"message_bytes": 1_023}, "message_bytes is 1023, it must be at least 1024"),
        ({"buffer_bytes": 1_023}, "buffer_bytes is 1023, it must be at least 1024"),
        ({"stream_bytes": 1_023}, "stream_bytes is 1023, it must be at least 1024"),
    ],
)
def test_limits_that_no_peer_could_keep(limits: dict[str, int], text: str) -> None:
    with pytest.raises(ValueError, match=f"^{text}$"):
        Limits(**limits)


@pytest.mark.parametrize("value", [1.5, math.inf, 0, -1])
def test_limits_of_datagrams_are_whole_numbers_above_0(value: float) -> None:
    with pytest.raises(ValueError, match=r"^waiting is "):
        DatagramLimits(waiting=value)  # type: ignore[arg-type] # which is the case


@pytest.mark.parametrize("name", ["most", "most_bytes"])
@pytest.mark.parametrize("value", [1.5, math.inf, 0, -1, None])
def test_sessions_are_counted_in_whole_numbers(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name} is {value!r}, it must be a (number above 0|whole number)$"):
        Sessions(**{name: value})


@pytest.mark.parametrize("value", [0, -1.0, math.nan, "long"])
def test_sessions_are_kept_for_some_time(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^keep is "):
        Sessions(keep=value)
    assert Sessions(keep=math.inf).keep == math.inf


def test_they_are_frozen_and_given_by_name() -> None:
    with pytest.raises(AttributeError):
        Limits().requests = 5  # type: ignore[misc]
    with pytest.raises(TypeError):
        Limits(5)  # type: ignore[call-arg]
    assert msgspec.structs.replace(Limits(), requests=5).requests == 5
