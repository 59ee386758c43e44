from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tomada import LimitExceeded
from tomada.streams.buffer import ReceiveBuffer

PIECES = st.lists(st.binary(min_size=1, max_size=20), max_size=30)


def filled(*pieces: bytes) -> ReceiveBuffer:
    buffer = ReceiveBuffer()
    for piece in pieces:
        buffer.append(piece)
    return buffer


def test_a_chunk_that_is_taken_as_it_came_is_not_copied() -> None:
    chunk = b"x" * 100
    buffer = filled(chunk)

    assert buffer.take(100) is chunk
    assert buffer.size == 0


@given(PIECES, st.lists(st.integers(1, 50), max_size=50))
def test_what_is_taken_is_what_came_in_order(pieces: list[bytes], sizes: list[int]) -> None:
    buffer = filled(*pieces)
    taken = [buffer.take(size) for size in sizes]

    assert all(len(part) <= size for part, size in zip(taken, sizes, strict=True))
    assert b"".join(taken) + buffer.take(buffer.size) == b"".join(pieces)
    assert buffer.size == 0


@given(st.lists(st.binary(max_size=8).filter(lambda line: b"\r\n" not in line + b"\r"), max_size=10))
def test_pieces_between_separators_do_not_depend_on_how_they_came(lines: list[bytes]) -> None:
    whole = b"".join(line + b"\r\n" for line in lines)
    for cut in (1, 2, 3, 1_000):
        buffer = ReceiveBuffer()
        found = []
        for start in range(0, len(whole), cut):
            buffer.append(whole[start : start + cut])
            while (line := buffer.take_until(b"\r\n", 8)) is not None:
                found.append(line)
        assert found == lines
        assert buffer.size == 0


def test_a_piece_may_have_just_as_many_bytes_as_the_limit() -> None:
    assert filled(b"12345678\r\n").take_until(b"\r\n", 8) == b"12345678"
    assert filled(b"12345678\r").take_until(b"\r\n", 8) is None


@pytest.mark.parametrize("came", [b"123456789\r\n", b"1234567890", b"x" * 100_000])
def test_more_than_the_limit_without_a_separator_is_refused_and_stays(came: bytes) -> None:
    buffer = filled(came)

    with pytest.raises(LimitExceeded, match=r"8 bytes came without the separator b'\\r\\n'"):
        buffer.take_until(b"\r\n", 8)
    assert buffer.take(buffer.size) == came


def test_what_has_been_searched_is_not_searched_again() -> None:
    buffer = filled(b"x" * 50_000)
    assert buffer.take_until(b"\n", 100_000) is None
    assert buffer._searched == 50_000


def test_a_separator_may_come_in_two_pieces() -> None:
    buffer = filled(b"ab\r")
    assert buffer.take_until(b"\r\n", 10) is None
    buffer.append(b"\ncd")
    assert buffer.take_until(b"\r\n", 10) == b"ab"
    assert buffer.peek(2) == b"cd"
    assert buffer.size == 2
    buffer.clear()
    assert buffer.take(10) == b""
