"""Echo and time, with nc as their client, and with senders who are not who they say."""

from __future__ import annotations

import socket
import subprocess
import time

import pytest

import tomada
from tests.examples.classics.conftest import Serve, all_from, ran, raw, tool


@pytest.fixture(scope="module")
def addresses(serve: Serve) -> dict[str, tomada.Address]:
    """Of TCP echo and time, then of UDP's."""
    found = serve("udp_time_echo", ECHO="127.0.0.1:0", TIME="127.0.0.1:0")
    return dict(zip(("echo", "time", "udp echo", "udp time"), found, strict=True))


def place(address: tomada.Address) -> tuple[str, str]:
    return address.host, str(address.port)


def test_nc_is_echoed(addresses: dict[str, tomada.Address]) -> None:
    assert ran("nc", "-N", *place(addresses["echo"]), text="x" * 100_000).stdout == "x" * 100_000
    assert ran("nc", "-u", "-W", "1", *place(addresses["udp echo"]), text="hello").stdout == "hello"


def test_nc_is_told_the_time(addresses: dict[str, tomada.Address]) -> None:
    for words in (("-N", *place(addresses["time"])), ("-u", "-W", "1", *place(addresses["udp time"]))):
        before = int(time.time()) + 2_208_988_800
        done = subprocess.run([tool("nc"), *words], input=b"\n", capture_output=True, timeout=20, check=True)
        assert before <= int.from_bytes(done.stdout) <= int(time.time()) + 2_208_988_800


def asked(data: bytes, address: tomada.Address, *, port: int = 0) -> bytes:
    """The answer to a datagram; none where the next one is answered first."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.settimeout(20)
        own.bind(("127.0.0.1", port))
        own.sendto(data, (address.host, address.port or 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.settimeout(20)
            other.sendto(b"next", (address.host, address.port or 0))
            other.recv(100)
        own.setblocking(False)
        try:
            return own.recv(65_536)
        except BlockingIOError:
            return b""


def test_any_datagram_is_answered(addresses: dict[str, tomada.Address]) -> None:
    for data in (b"", b"\x00", b"x" * 60_000):
        assert asked(data, addresses["udp echo"]) == data
        assert len(asked(data, addresses["udp time"])) == 4


def test_services_are_not_answered(addresses: dict[str, tomada.Address]) -> None:
    try:
        socket.create_server(("127.0.0.1", 907)).close()
    except PermissionError:
        pytest.skip("this user may not have a system port")
    for name in ("udp echo", "udp time"):
        assert asked(b"from another echo", addresses[name], port=907) == b""


def test_who_sends_and_never_reads_harms_nobody(addresses: dict[str, tomada.Address]) -> None:
    with raw(addresses["echo"]) as deaf:
        deaf.setblocking(False)
        try:
            while deaf.send(b"x" * 65_536):
                pass
        except BlockingIOError:
            pass
        with raw(addresses["echo"]) as well:
            well.sendall(b"still here")
            well.shutdown(socket.SHUT_WR)
            assert all_from(well) == b"still here"
