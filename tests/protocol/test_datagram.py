"""The layout of messages in datagrams, the proof of a source, and what is remembered against repetitions."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tests.protocol.vectors import VECTORS
from tomada.errors import ProtocolError
from tomada.protocol.datagram import (
    DATAGRAM_HEADER_BYTES,
    KEY_BYTES,
    TOKEN_BYTES,
    DatagramKind,
    Parcel,
    Tokens,
    decode_parcel,
    encode_parcel,
)
from tomada.protocol.duplicates import Duplicates

ALL: dict[str, Any] = json.loads(VECTORS.read_text())
FULL = Parcel(DatagramKind.ASK, b"client-1", 7, "Transfer", b"digest!!", b"\x91\x01", b"token")


def test_there_and_back() -> None:
    for parcel in (FULL, Parcel(DatagramKind.REPLY, bytes(8), 0), Parcel(DatagramKind.PROVE, bytes(8), 2**32 - 1)):
        assert decode_parcel(encode_parcel(parcel)) == parcel
    assert FULL.key == b"client-1\0\0\0\7"
    assert len(FULL.key) == KEY_BYTES


def test_a_name_that_is_too_long() -> None:
    with pytest.raises(ValueError, match="has 201 bytes, and 200 are the most"):
        encode_parcel(FULL._replace(name="x" * 201))


@pytest.mark.parametrize("vector", ALL["datagrams"], ids=lambda vector: vector["name"])
def test_a_vector(vector: dict[str, Any]) -> None:
    parcel = decode_parcel(bytes.fromhex(vector["hex"]))

    told = parcel._asdict()
    assert {name: told[name].hex() for name in ("client", "digest", "payload", "token")} == vector["bytes"]
    assert (told["kind"].name.lower(), told["number"], told["name"]) == (
        vector["kind"],
        vector["number"],
        vector["type"],
    )
    assert encode_parcel(parcel).hex() == vector["hex"]


@pytest.mark.parametrize("vector", ALL["no_datagrams"], ids=lambda vector: vector["name"])
def test_what_is_no_message(vector: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError, match=vector["reason"]):
        decode_parcel(bytes.fromhex(vector["hex"]))


def test_every_beginning_is_read_or_refused() -> None:
    whole = encode_parcel(FULL)
    for length in range(DATAGRAM_HEADER_BYTES + len(FULL.token) + len(FULL.name)):
        with pytest.raises(ProtocolError):
            decode_parcel(whole[:length])


def test_rubbish_is_refused_and_nothing_else_happens() -> None:
    rng = random.Random(1)
    for _ in range(5_000):
        data = bytearray(rng.randbytes(rng.randrange(80)))
        if rng.random() < 0.7:
            data[:4] = b"tm\1" + bytes([rng.randrange(8)])
        try:
            parcel = decode_parcel(bytes(data))
        except ProtocolError:
            continue
        assert encode_parcel(parcel) == bytes(data)


def test_a_token_is_good_for_its_source_and_for_a_while() -> None:
    tokens = Tokens(b"s" * 32, lifetime=60)
    token = tokens.make(b"here", 1_000.9)

    assert len(token) == TOKEN_BYTES
    assert tokens.is_good(token, b"here", 1_000)
    assert tokens.is_good(token, b"here", 1_060)
    assert not tokens.is_good(token, b"here", 1_061)
    assert not tokens.is_good(token, b"here", 999)
    assert not tokens.is_good(token, b"there", 1_000)
    assert not Tokens(b"t" * 32).is_good(token, b"here", 1_000)
    for wrong in (b"", token[:-1], token + b"x", token[:4] + bytes(16), bytes(4) + token[4:]):
        assert not tokens.is_good(wrong, b"here", 1_000)


def test_a_token_of_a_clock_that_wraps() -> None:
    tokens = Tokens(b"s" * 32, lifetime=60)

    assert tokens.is_good(tokens.make(b"here", 2**32 - 10), b"here", 2**32 + 10)


def test_what_comes_again_finds_its_answer() -> None:
    table = Duplicates(age=60)
    entry = table.add(b"key", "source", 0)

    assert table.find(b"key", 1) is entry
    assert (entry.source, entry.answer) == ("source", None)
    table.answer(b"key", entry, b"answer", 2)
    assert table.find(b"key", 60) is entry
    assert entry.answer == b"answer"
    assert table.find(b"key", 61) is None
    assert table.find(b"other", 1) is None


def test_the_oldest_are_forgotten_first() -> None:
    table = Duplicates(age=60, entries=3)
    for number in range(5):
        table.add(b"%d" % number, "source", number)

    assert [table.find(b"%d" % number, 5) is not None for number in range(5)] == [False, False, True, True, True]
    table.add(b"late", "source", 100)
    assert len(table) == 1


def test_long_answers_push_out_others_and_themselves() -> None:
    table = Duplicates(most_bytes=1_000)
    first = table.add(b"1", "source", 0)
    second = table.add(b"2", "source", 0)
    table.answer(b"1", first, b"x" * 500, 0)
    table.answer(b"2", second, b"x" * 300, 0)
    assert (table.find(b"1", 0), table.find(b"2", 0)) == (None, second)
    table.answer(b"1", first, b"x" * 500, 0)  # forgotten meanwhile: not kept
    third = table.add(b"3", "source", 0)
    table.answer(b"3", third, b"x" * 5_000, 0)
    assert len(table) == 0
    again = table.add(b"2", "source", 0)
    assert table.add(b"2", "source", 1) is not again
    assert (len(table), table._bytes) == (1, 200)
