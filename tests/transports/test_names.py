"""Addresses, and what the system calls them."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tomada.address import Address
from tomada.errors import DatagramError
from tomada.transports.names import Names, is_number, socket_name

FOUR = Names(socket.AF_INET, "udp", is_dual=False)
SIX = Names(socket.AF_INET6, "udp", is_dual=False)
BOTH = Names(socket.AF_INET6, "udp", is_dual=True)
FILES = Names(getattr(socket, "AF_UNIX", 1), "unixgram", is_dual=False)
LO = socket.if_nametoindex("lo")


@pytest.mark.parametrize(
    ("names", "text", "name"),
    [
        (FOUR, "udp://127.0.0.1:7", ("127.0.0.1", 7)),
        (SIX, "udp://[::1]:7", ("::1", 7, 0, 0)),
        (SIX, f"udp://[fe80::1%{LO}]:7", ("fe80::1", 7, 0, LO)),
        (BOTH, "udp://[::1]:7", ("::1", 7, 0, 0)),
        (BOTH, "udp://127.0.0.1:7", ("::ffff:127.0.0.1", 7, 0, 0)),
        (FILES, "unixgram:///tmp/x", "/tmp/x"),  # noqa: S108 - nothing is opened
    ],
)
def test_there_and_back(names: Names, text: str, name: Any) -> None:
    address = Address.parse(text)

    assert names.known(address) == name
    assert names.address(name) == address


def test_a_zone_by_its_name() -> None:
    assert socket_name(socket.AF_INET6, Address.parse("udp://[fe80::1%lo]:7")) == ("fe80::1", 7, 0, LO)
    with pytest.raises(DatagramError, match="names an interface that this machine has not: lost0"):
        socket_name(socket.AF_INET6, Address.parse("udp://[fe80::1%lost0]:7"))


def test_no_host_is_this_machine() -> None:
    address = Address("udp", "", 7)

    assert FOUR.known(address) == ("127.0.0.1", 7)
    assert SIX.known(address) == ("::1", 7, 0, 0)
    assert BOTH.known(address) == ("::ffff:127.0.0.1", 7, 0, 0)
    assert BOTH.address(("::", 7, 0, 0)) == address


def test_a_name_in_no_file_system() -> None:
    address = FILES.address(b"\x0000a1f")

    assert address == Address("unixgram", path="\x0000a1f")
    assert FILES.known(address) == b"\x0000a1f"
    assert FILES.address(None) == Address("unixgram")


@pytest.mark.parametrize(
    ("names", "text"),
    [(FOUR, "udp://[::1]:7"), (SIX, "udp://127.0.0.1:7"), (FOUR, "tcp://127.0.0.1:7"), (FOUR, "udp://127.0.0.1:0")],
)
def test_another_kind(names: Names, text: str) -> None:
    with pytest.raises(DatagramError):
        names.known(Address.parse(text))


def test_what_a_look_up_gives() -> None:
    four: Any = (socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.1", 7))
    six: Any = (socket.AF_INET6, socket.SOCK_DGRAM, 17, "", ("::1", 7, 0, 0))

    assert FOUR.known(Address.parse("udp://localhost:7")) is None
    assert FOUR.chosen([six, four]) == ("127.0.0.1", 7)
    assert SIX.chosen([four, six]) == ("::1", 7, 0, 0)
    assert BOTH.chosen([four, six]) == ("::ffff:127.0.0.1", 7, 0, 0)
    assert FOUR.chosen([six]) is None
    assert [is_number(host) for host in ("localhost", "10.0.0.1", "::1", "")] == [False, True, True, True]
