# No file is made: the paths are only read.
# ruff: noqa: S108

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tomada.address import MAX_ADDRESS_LENGTH, MAX_SOCKET_PATH, Address
from tomada.errors import AddressError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tcp://localhost:4477", Address("tcp", "localhost", 4477)),
        ("tcp://:4477", Address("tcp", "", 4477)),
        ("tcp://127.0.0.1:0", Address("tcp", "127.0.0.1", 0)),
        ("tcp://example.com.:65535", Address("tcp", "example.com.", 65535)),
        ("tcp://[::1]:4477", Address("tcp", "::1", 4477)),
        ("tcp://[fe80::1%eth0]:4477", Address("tcp", "fe80::1%eth0", 4477)),
        ("tcp://my_host-1:80", Address("tcp", "my_host-1", 80)),
        ("tcp://maçã.example:80", Address("tcp", "maçã.example", 80)),
        ("TCP://localhost:4477", Address("tcp", "localhost", 4477)),
        ("tls://localhost:4477", Address("tls", "localhost", 4477)),
        ("udp://localhost:4477", Address("udp", "localhost", 4477)),
        ("unix:///tmp/bank.sock", Address("unix", path="/tmp/bank.sock")),
        ("unix:///tmp/my bank?#%20@:.sock", Address("unix", path="/tmp/my bank?#%20@:.sock")),
        ("unixgram:///tmp/bank.sock", Address("unixgram", path="/tmp/bank.sock")),
        ("ws://localhost:4477/feed/@me", Address("ws", "localhost", 4477, "/feed/@me")),
        ("ws://localhost:4477", Address("ws", "localhost", 4477, "/")),
        ("ws://localhost", Address("ws", "localhost", 80, "/")),
        ("wss://[::1]/feed", Address("wss", "::1", 443, "/feed")),
        ("memory://bank", Address("memory", "bank")),
        ("memory://1", Address("memory", "1")),
    ],
)
def test_every_scheme_is_read_and_printed(text: str, expected: Address) -> None:
    assert Address.parse(text) == expected
    assert Address.parse(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":4477", "tcp://:4477"),
        ("localhost:4477", "tcp://localhost:4477"),
        ("[::1]:4477", "tcp://[::1]:4477"),
        ("tcp:4477", "tcp://tcp:4477"),
    ],
)
def test_an_address_without_a_scheme_is_tcp(text: str, expected: str) -> None:
    assert str(Address.parse(text)) == expected


def test_an_error_shows_the_address_marks_the_wrong_part_and_gives_a_right_one() -> None:
    with pytest.raises(AddressError) as caught:
        Address.parse("tcp://localhost:99999")
    assert str(caught.value).splitlines() == [
        "tcp://localhost:99999 is no address: the port must be a number from 0 to 65535",
        "    tcp://localhost:99999",
        "                    ^^^^^",
        "a right one: tcp://localhost:4477",
    ]


ERRORS = [
    ("", "", "empty", "tcp://localhost:4477"),
    (" tcp://h:1", " ", "begins or ends with whitespace", "tcp://localhost:4477"),
    ("tcp://h:1 ", " ", "begins or ends with whitespace", "tcp://localhost:4477"),
    ("tcp://my host:1", " ", "whitespace", "tcp://localhost:4477"),
    ("tcp://h:1\n", r"\n", "whitespace", "tcp://localhost:4477"),
    ("unix:///tmp/a\0b", r"\x00", "cannot be printed", "tcp://localhost:4477"),
    ("tcp://h\ud800:1", r"\ud800", "cannot be printed", "tcp://localhost:4477"),
    ("tpc://h:1", "tpc", "scheme must be one of tcp, tls", "tcp://localhost:4477"),
    ("uinx:///tmp/x", "uinx", "scheme must be one of", "unix:///tmp/app.sock"),
    ("gopher://h:1", "gopher", "scheme must be one of", "tcp://localhost:4477"),
    ("://h:1", ":", "scheme is missing", "tcp://localhost:4477"),
    ("tcp:h:1", ":", "after 'tcp' comes '://'", "tcp://localhost:4477"),
    ("unix:/tmp/x", ":", "after 'unix' comes '://'", "unix:///tmp/app.sock"),
    ("/tmp/x", "/tmp/x", "a path needs its scheme", "unix:///tmp/x"),
    ("./x", "./x", "a path needs its scheme", "unix:///tmp/app.sock"),
    ("localhost", "", "port is missing", "tcp://localhost:4477"),
    ("4477", "", "port is missing", ":4477"),
    ("tcp://localhost", "", "port is missing", "tcp://localhost:4477"),
    ("tcp://localhost:", "", "port is missing", "tcp://localhost:4477"),
    ("tcp://", "", "port is missing", "tcp://localhost:4477"),
    ("tcp://[::1]", "", "port is missing", "tcp://localhost:4477"),
    ("ws://localhost:/x", "", "port is missing", "ws://localhost:4477/"),
    ("tcp://h:http", "http", "number from 0 to 65535", "tcp://localhost:4477"),
    ("tcp://h:-1", "-1", "number from 0 to 65535", "tcp://localhost:4477"),
    ("tcp://h:65536", "65536", "number from 0 to 65535", "tcp://localhost:4477"),
    ("tcp://h:٣", "٣", "number from 0 to 65535", "tcp://localhost:4477"),
    ("tcp://[::1:80", "[", "never closed", "tcp://[::1]:4477"),
    ("tcp://[]:80", "", "must hold an IPv6 address", "tcp://[::1]:4477"),
    ("tcp://[localhost]:80", "localhost", "must hold an IPv6 address", "tcp://[::1]:4477"),
    ("tcp://[fe80::1%]:80", "fe80::1%", "must hold an IPv6 address", "tcp://[::1]:4477"),
    ("tcp://[::1]80", "80", "after the bracket", "tcp://[::1]:4477"),
    ("::1", "::1", "needs brackets", "tcp://[::1]:4477"),
    ("tcp://::1:80", "::1", "needs brackets", "tcp://[::1]:80"),
    ("tcp://fe80::1:beef", "fe80::1:beef", "needs brackets", "tcp://[fe80::1:beef]:4477"),
    ("tcp://localhost:80:90", ":90", "more than one colon", "tcp://localhost:4477"),
    ("tcp://*:80", "*", "no host at all", "tcp://:4477"),
    ("tcp://a,b:80", ",", "letters, digits", "tcp://localhost:4477"),
    ("tcp://300.0.0.1:80", "300.0.0.1", "four numbers", "tcp://127.0.0.1:4477"),
    ("tcp://a..b:80", "a..b", "parts of 1 to 63", "tcp://localhost:4477"),
    (f"tcp://{'a' * 64}:80", "a" * 64, "parts of 1 to 63", "tcp://localhost:4477"),
    (f"tcp://{'a.' * 127}a:80", f"{'a.' * 127}a", "at most 253", "tcp://localhost:4477"),
    ("tcp://h:1/x", "/x", "a tcp address has no path", "tcp://localhost:4477"),
    ("memory://a/b", "/b", "a memory address has no path", "memory://app"),
    ("memory://", "", "name is missing", "memory://app"),
    ("memory://a:1", ":", "letters, digits", "memory://app"),
    ("ws://h:1/x?y=1", "?y=1", "no query", "ws://localhost:4477/"),
    ("tcp://h:1#top", "#top", "no fragment", "tcp://localhost:4477"),
    ("unix://", "", "socket file is missing", "unix:///tmp/app.sock"),
    ("unix:///", "/", "socket file is missing", "unix:///tmp/app.sock"),
    ("unix://tmp/x", "tmp/x", "three slashes follow 'unix'", "unix:///tmp/x"),
]


@pytest.mark.parametrize(("text", "marked", "why", "right"), ERRORS)
def test_what_is_wrong_is_marked_and_told(text: str, marked: str, why: str, right: str) -> None:
    with pytest.raises(AddressError) as caught:
        Address.parse(text)
    told, shown, marks, example = str(caught.value).splitlines()
    assert why in told
    assert shown[marks.find("^") :].startswith(marked)
    assert marks.strip() == "^" * max(1, len(marked))
    assert example == f"a right one: {right}"
    Address.parse(right)


@pytest.mark.parametrize(
    "text",
    ["tcp://ana:secret@h:1", "tcp://ana:sec/ret@h:1", "redis://:secret@h:1", "wss://secret@h/x", "ana:secret@h:1"],
)
def test_a_password_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(AddressError, match="no user and no password") as caught:
        Address.parse(text)
    assert "secret" not in str(caught.value)
    assert "ret" not in str(caught.value).replace("secret", "")


def test_the_longest_socket_path_is_taken_and_a_longer_one_is_not() -> None:
    longest = "/" + "é" * ((MAX_SOCKET_PATH - 1) // 2)
    assert len(longest.encode()) == MAX_SOCKET_PATH
    assert Address.parse(f"unix://{longest}").path == longest
    with pytest.raises(AddressError, match=f"has {MAX_SOCKET_PATH + 1} bytes"):
        Address.parse(f"unix://{longest}x")


def test_a_text_that_is_too_long_is_not_repeated() -> None:
    with pytest.raises(AddressError, match=f"{MAX_ADDRESS_LENGTH:,} are the most") as caught:
        Address.parse("tcp://" + "a" * 1_000_000)
    assert len(str(caught.value)) < 200


def test_addresses_are_values() -> None:
    one, other = Address.parse(":4477"), Address.parse("tcp://:4477")
    assert one == other
    assert {one: "bank"}[other] == "bank"
    with pytest.raises(AttributeError):
        one.port = 1  # type: ignore[misc]


PIECES = st.sampled_from(
    [*"[]:/@?#%.* ", "://", "tcp://", "unix:///", "ws://", "memory://", "::1", "localhost", "127.0.0.1", "4477", "é"]
)
TEXTS = st.one_of(st.text(st.characters(codec=None, exclude_categories=())), st.lists(PIECES, max_size=8).map("".join))


@given(TEXTS)
def test_no_text_raises_anything_but_an_address_error(text: str) -> None:
    try:
        address = Address.parse(text)
    except AddressError as error:
        assert "a right one: " in str(error)  # noqa: PT017  whether it raises depends on the text
    else:
        assert Address.parse(str(address)) == address


NAMES = st.from_regex(r"[a-z0-9_-]{1,20}(\.[a-z][a-z0-9_-]{0,20}){0,3}", fullmatch=True).filter(
    lambda name: not name.isdigit()
)
HOSTS = st.one_of(
    st.just(""), NAMES, st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(lambda address: f"[{address}]")
)
PORTS = st.integers(0, 65535)


@given(st.sampled_from(["tcp", "tls", "udp"]), HOSTS, PORTS)
def test_every_host_and_port_comes_back(scheme: str, host: str, port: int) -> None:
    address = Address.parse(f"{scheme}://{host}:{port}")
    assert (address.scheme, address.host, address.port) == (scheme, host.strip("[]"), port)
    assert str(address) == f"{scheme}://{host}:{port}"
