from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path

import pytest

from tests.transports.conftest import Run
from tests.transports.recorder import serving
from tomada.address import Address
from tomada.transports import ports, probe, resolution, socket_file

linux = pytest.mark.skipif(sys.platform != "linux", reason="read from Linux's /proc")


def test_a_host_is_looked_up_for_listening_and_for_connecting(run: Run) -> None:
    async def main() -> None:
        async def both(text: str) -> list[list[str]]:
            address = Address.parse(text)
            return [await resolution.hosts(address, 30, listening=listening) for listening in (True, False)]

        assert await both("tcp://127.0.0.1:1") == [["127.0.0.1"], ["127.0.0.1"]]
        everywhere, here = await both(":1")
        assert everywhere == ["0.0.0.0", "::"]  # noqa: S104 - what is looked up
        assert set(here) <= {"127.0.0.1", "::1"}
        assert (await both("tcp://localhost:1"))[0] == here
        with pytest.raises(OSError, match=r"not known|resolution|No address"):
            await both("tcp://nowhere.invalid:1")

    run(main())


def test_a_look_up_ends_after_its_time(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def never(*_: object, **__: object) -> list[object]:
            return await loop.create_future()  # type: ignore[no-any-return] # it never does

        loop.getaddrinfo = never  # type: ignore[assignment,method-assign] # a resolver that does not answer
        with pytest.raises(TimeoutError):
            await resolution.hosts(Address.parse("tcp://far.example:1"), 0.01, listening=False)

    run(main())


def test_which_hosts_are_this_machine() -> None:
    own = ["192.0.2.7"]
    for host in ("127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "::", "192.0.2.7"):  # noqa: S104 - what is asked about
        assert resolution.is_own(host, own)
    assert not resolution.is_own("192.0.2.8", own)
    assert resolution.is_link_local("fe80::1%eth0")
    assert not resolution.is_loopback("fe80::1%eth0")


FIB = """Main:
  +-- 0.0.0.0/0 3 0 5
        |-- 127.0.0.1
           /32 host LOCAL
        |-- 192.0.2.0
           /24 link UNICAST
        |-- 192.0.2.7
           /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
Local:
        |-- 192.0.2.7
           /32 host LOCAL
"""
IF_INET6 = """00000000000000000000000000000001 01 80 10 80       lo
20010db8000000000000000000000007 02 40 00 80     eth0
fe800000000000000000000000000001 02 40 20 80     eth0
"""


def test_own_hosts_are_read_from_the_tables(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/fib_trie").write_text(FIB)
    (tmp_path / "net/if_inet6").write_text(IF_INET6)
    assert resolution.own_hosts(str(tmp_path)) == ["192.0.2.7", "2001:db8::7", "fe80::1%eth0"]


def test_without_tables_own_hosts_are_what_the_routes_say(tmp_path: Path) -> None:
    for host in resolution.own_hosts(str(tmp_path)):
        assert not resolution.is_loopback(host)


@pytest.mark.parametrize(
    ("port", "expected"),
    [(1, "system"), (1023, "system"), (1024, "registered"), (49_151, "registered"), (49_152, "dynamic")],
)
def test_the_class_of_a_port(port: int, expected: str) -> None:
    assert ports.port_class(port) == expected


def test_a_service_has_a_name_where_the_system_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def known(port: int, protocol: str) -> str:
        if (port, protocol) != (53, "udp"):
            raise OSError("port/proto not found")
        return "domain"

    monkeypatch.setattr(socket, "getservbyport", known)
    assert ports.service_name(53, "udp") == "domain"
    assert ports.service_name(53, "tcp") is None


def test_the_privilege_is_read_from_the_process_and_the_system(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "sys/net/ipv4").mkdir(parents=True)
    (tmp_path / "sys/net/ipv4/ip_unprivileged_port_start").write_text("80\n")
    assert ports.first_free_for_all(str(tmp_path)) == 80
    for capabilities, has in (("0000000000000400", True), ("00000000000003ff", False)):
        (tmp_path / "self/status").write_text(f"Name:\tx\nCapEff:\t{capabilities}\n")
        assert ports.has_privilege(str(tmp_path)) is has
    assert ports.first_free_for_all(str(tmp_path / "none")) == 1024
    assert ports.has_privilege(str(tmp_path / "none")) is (os.geteuid() == 0)


def test_an_address_is_tried_and_nothing_is_sent(run: Run, address: Address) -> None:
    async def main() -> None:
        for place in (Address.parse("tcp://127.0.0.1:0"), address):
            async with serving(place) as server:
                assert await probe.why_unreached(server.listener.addresses[0], 30) == ""
                visitor = await server.accepted.get()
                assert await visitor.lost is None
                assert not visitor.data.done()
                (there,) = server.listener.addresses
            assert "start the server" in await probe.why_unreached(there, 30)

    run(main())


@linux
def test_what_is_at_a_path(folder: Path) -> None:
    path = f"{folder}/é.sock"
    nothing = socket_file.look(path)
    assert (nothing.exists, nothing.is_socket, nothing.mode) == (False, False, "")
    assert (nothing.bytes, nothing.limit) == (len(path) + 1, 107)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        Path(path).chmod(0o600)
        found = socket_file.look(path)
        assert (found.exists, found.is_socket, found.mode) == (True, True, "srw-------")
        os.chown(path, os.getuid(), os.getgid())
    assert not socket_file.look(str(folder)).is_socket


@linux
@pytest.mark.skipif(os.geteuid() != 0, reason="needs the right to give files away")
def test_an_owner_without_a_name_is_a_number(folder: Path) -> None:
    os.chown(folder, 3_000_000_000, 3_000_000_001)
    assert (socket_file.look(str(folder)).owner, socket_file.look(str(folder)).group) == ("3000000000", "3000000001")
