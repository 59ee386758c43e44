from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.transports.proxy_headers import SIGNATURE, Place, block, line, raw_block
from tomada.errors import ProtocolError
from tomada.transports.proxy_protocol import LONGEST_BLOCK, Header, read_header

CLIENT, SERVER = ("192.0.2.7", 56324), ("198.51.100.1", 443)
CLIENT6, SERVER6 = ("2001:db8::7", 1), ("::1", 65535)
LOCAL = raw_block(0x20, 0x00, b"")

ports = st.integers(0, 65_535)
places4 = st.tuples(st.ip_addresses(v=4).map(str), ports)
places6 = st.tuples(st.ip_addresses(v=6).map(str), ports)
pairs: Any = st.one_of(st.tuples(places4, places4), st.tuples(places6, places6))


def read_in_pieces(data: bytes, ends: list[int]) -> Header | str | None:
    """What is found when so many bytes are there, then so many; as soon as something is."""
    for end in [*sorted(end for end in ends if end < len(data)), len(data)]:
        found = read(data[:end])
        if found is not None:
            return found
    return None


def read(data: bytes) -> Header | str | None:
    try:
        return read_header(data)
    except ProtocolError as error:
        return str(error)


@given(pairs, st.binary(max_size=50), st.sampled_from([line, block]))
def test_a_header_says_who_and_where_it_ends(pair: tuple[Place, Place], rest: bytes, write: Any) -> None:
    client, server = pair
    header = write(client, server)
    found = read_header(header + rest)
    assert found is not None
    assert found.size == len(header)
    assert [same(found.client, client), same(found.server, server)] == [True, True]


def same(found: Place | None, wanted: Place) -> bool:
    # inet_ntop and ipaddress write IPv4-mapped addresses in different ways
    import ipaddress  # noqa: PLC0415 - here alone

    return found is not None and (ipaddress.ip_address(found[0]), found[1]) == (
        ipaddress.ip_address(wanted[0]),
        wanted[1],
    )


@given(pairs, st.lists(st.integers(0, 300), max_size=6), st.sampled_from([line, block]))
def test_it_does_not_matter_in_what_pieces_it_comes(pair: tuple[Place, Place], ends: list[int], write: Any) -> None:
    header = write(*pair)
    assert read_in_pieces(header, ends) == read(header)


@pytest.mark.parametrize("header", [line(CLIENT, SERVER), block(CLIENT6, SERVER6, b"\x04\x00\x01x"), LOCAL])
def test_every_beginning_waits_for_more(header: bytes) -> None:
    for size in range(len(header)):
        assert read_header(header[:size]) is None
    assert isinstance(read_header(header), Header)


@given(st.one_of(st.binary(max_size=200), st.binary(max_size=200).map(lambda rest: SIGNATURE + rest)))
@example(b"PROXY")
@example(SIGNATURE)
def test_whatever_comes_is_read_refused_or_waited_for(data: bytes) -> None:
    found = read(data)
    whole = read_in_pieces(data, list(range(len(data))))
    if isinstance(found, Header):
        assert 0 < found.size <= len(data)
        assert whole == found
    if found is None:
        assert len(data) < 16 + LONGEST_BLOCK
        assert whole is None


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 65_535), st.binary(max_size=300))
def test_whatever_version_2_may_say(version: int, kind: int, length: int, rest: bytes) -> None:
    found = read(raw_block(version, kind, rest, length))
    if isinstance(found, Header):
        assert version in (0x20, 0x21)
        assert found.size == 16 + length
        assert (found.client is None) == (version == 0x20 or kind not in (0x11, 0x21))
    elif found is None:
        assert len(rest) < length <= LONGEST_BLOCK


@given(st.binary(max_size=107))
def test_whatever_version_1_may_say(rest: bytes) -> None:
    data = b"PROXY " + rest
    found = read(data + b"\r\n" * 60)
    assert found is not None, "107 bytes are the most that is waited for"


@pytest.mark.parametrize(
    "data",
    [
        LOCAL,
        raw_block(0x20, 0x11, b"\x01" * 12),
        raw_block(0x20, 0x77, b"whatever"),
        raw_block(0x21, 0x00, b""),
        raw_block(0x21, 0x00, b"\x04\x00\x01x"),
        raw_block(0x21, 0x31, b"/run/client.sock".ljust(108, b"\0") * 2),
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
    ],
)
def test_who_names_no_client_speaks_for_itself(data: bytes) -> None:
    assert read_header(data + b"hello") == Header(len(data))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"GET / HTTP/1.1\r\n", r"^it is no PROXY header: it begins with b'GET / HTTP/1.1\\r\\n'$"),
        (b"P" + b"\xff" * 90, "it is no PROXY header"),
        (b"\r\nPROXY", "it is no PROXY header"),
        (b"PROXY TCP4 " + b"1" * 96, "has no end of line within 107 bytes"),
        (b"PROXY UNKNOWN" + b" " * 95 + b"\r\n", "has no end of line within 107 bytes"),
        (b"PROXY UDP4 192.0.2.7 192.0.2.8 1 2\r\n", r"cannot be read: b'PROXY UDP4 192.0.2.7 192.0.2.8 1 2'"),
        (b"PROXY TCP4 192.0.2.7 192.0.2.8 1\r\n", "cannot be read"),
        (b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2 3\r\n", "cannot be read"),
        (b"PROXY TCP4  192.0.2.7 192.0.2.8 1 2\r\n", "cannot be read"),
        (b"PROXY TCP4 192.0.2.7 ::1 1 2\r\n", "cannot be read"),
        (b"PROXY TCP6 192.0.2.7 ::1 1 2\r\n", "cannot be read"),
        (b"PROXY TCP4 192.0.2.777 192.0.2.8 1 2\r\n", "cannot be read"),
        (b"PROXY TCP4 192.0.2.7\x00 192.0.2.8 1 2\r\n", "cannot be read"),
        (b"PROXY TCP4 \xff 192.0.2.8 1 2\r\n", "cannot be read"),
        (b"PROXY TCP4 192.0.2.7 192.0.2.8 1 65536\r\n", "cannot be read"),
        (b"PROXY TCP4 192.0.2.7 192.0.2.8 -1 2\r\n", "cannot be read"),
        (b"PROXY TCP4 192.0.2.7 192.0.2.8 +1 2\r\n", "cannot be read"),
        (b"PROXY TCP4 192.0.2.7 192.0.2.8 000001 2\r\n", "cannot be read"),
        (b"PROXY \r\n", "cannot be read"),
        (raw_block(0x11, 0x11, b"\0" * 12), "is of version 1; 1 and 2 are understood"),
        (raw_block(0x31, 0x11, b"\0" * 12), "is of version 3"),
        (raw_block(0x22, 0x11, b"\0" * 12), "has the command 2"),
        (raw_block(0x21, 0x12, b"\0" * 12), "is for 0x12, which is no TCP connection"),
        (raw_block(0x21, 0x32, b"\0" * 216), "is for 0x32"),
        (raw_block(0x21, 0x11, b"", 11), "has 11 bytes for its addresses, which need 12"),
        (raw_block(0x21, 0x21, b"", 35), "has 35 bytes for its addresses, which need 36"),
        (raw_block(0x21, 0x31, b"", 215), "has 215 bytes for its addresses, which need 216"),
        (raw_block(0x21, 0x11, b"", 4_097), "has 4097 bytes; 4096 are the most that are taken"),
        (raw_block(0x20, 0x00, b"", 65_535), "has 65535 bytes"),
    ],
)
def test_what_is_wrong_is_refused_with_the_reason(data: bytes, text: str) -> None:
    with pytest.raises(ProtocolError, match=text):
        read_header(data)


def test_the_longest_line_fits() -> None:
    header = b"PROXY UNKNOWN".ljust(105) + b"\r\n"
    assert read_header(header + b"x") == Header(107)


def test_what_stands_behind_the_addresses_is_passed_over() -> None:
    header = block(CLIENT, SERVER, b"\x20\xff\xff" + b"\0" * (LONGEST_BLOCK - 15))
    assert read_header(header) == Header(16 + LONGEST_BLOCK, CLIENT, SERVER)
