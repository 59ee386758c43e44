"""The first values of a message that was cut."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tomada.recording.beginnings import beginnings

VALUES: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=50)
    | st.binary(max_size=50),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
@given(st.lists(VALUES, max_size=6), st.integers(0, 300))
def test_what_is_whole_is_as_it_was_and_the_last_may_be_cut(values: list[Any], kept: int) -> None:
    payload = msgspec.msgpack.encode(values)
    if kept >= len(payload):
        assert beginnings(payload) == values
        return
    if not kept:
        return
    found = beginnings(payload[: max(3, kept)])
    assert len(found) <= len(values)
    if found:
        assert found[:-1] == values[: len(found) - 1]
        last = values[len(found) - 1]
        is_cut = isinstance(last, str | bytes) and last[: len(found[-1])] == found[-1]
        assert is_cut or found[-1] == last


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
@given(st.binary(max_size=100))
def test_whatever_is_not_messagepack_is_refused_in_one_way(payload: bytes) -> None:
    with suppress(ValueError, msgspec.DecodeError, IndexError, TypeError):
        beginnings(payload)


def test_what_is_no_array_is_refused() -> None:
    for payload in (b"", b"\x01", b"\xa1x", b"\x81\x01\x02"):
        with pytest.raises(ValueError, match="no array"):
            beginnings(payload)
    huge = b"\xdd\xff\xff\xff\xff" + b"\xdd\xff\xff\xff\xff" * 50
    assert beginnings(huge) == []
