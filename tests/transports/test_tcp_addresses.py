from __future__ import annotations

import asyncio
import errno
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from tests.transports.conftest import Run
from tests.transports.recorder import Recorder, connected, serving
from tomada import transports
from tomada.address import Address
from tomada.errors import ListenFailed
from tomada.transports import accepting

LOOPBACK = {"127.0.0.1", "::1"}
EVERYWHERE = {"0.0.0.0", "::"}  # noqa: S104


@pytest.mark.parametrize("host", ["", "localhost"])
def test_a_free_port_is_the_same_on_every_address(run: Run, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def both(*_: Any, **__: Any) -> list[Any]:
        families = ((socket.AF_INET6, ("::1", 0, 0, 0)), (socket.AF_INET, ("127.0.0.1", 0)))
        return [(family, socket.SOCK_STREAM, 6, "", name) for family, name in families]

    async def main() -> None:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both)
        async with serving(Address("tcp", host, 0)) as server:
            addresses = server.listener.addresses
            assert {address.host for address in addresses} == (LOOPBACK if host else EVERYWHERE)
            assert len({address.port for address in addresses}) == 1
            for loopback in ("127.0.0.1", "::1"):
                async with connected(Address("tcp", loopback, addresses[0].port)):
                    await server.accepted.get()

    run(main())


@pytest.mark.usefixtures("blind")
def test_a_free_port_that_is_busy_on_the_next_address_is_given_up_by_a_blind_loop_too(run: Run) -> None:
    taken: list[socket.socket] = []

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        create_server = loop.create_server

        async def create_and_take(factory: Any, host: str, port: int, **options: Any) -> Any:
            server = await create_server(factory, host, port, **options)
            if len(taken) < 2 and host == "0.0.0.0":  # noqa: S104
                busy = server.sockets[0].getsockname()[1]
                taken.append(socket.create_server(("::", busy), family=socket.AF_INET6))
            return server

        loop.create_server = create_and_take
        async with serving(Address("tcp", "", 0)) as server:
            ports = {address.port for address in server.listener.addresses}
            assert len(server.listener.addresses) == 2
            assert len(ports) == 1
            assert len(taken) == 2
            assert not ports & {each.getsockname()[1] for each in taken}

    try:
        run(main())
    finally:
        for each in taken:
            each.close()


def test_a_free_port_that_is_busy_on_the_next_address_is_given_up_for_another(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[socket.socket] = []
    bound_to_port = accepting._bound_to_port

    def bind_and_take(host: str, port: int, backlog: int, *, reuse: bool) -> socket.socket:
        bound = bound_to_port(host, port, backlog, reuse=reuse)
        if len(taken) < 2 and host == "0.0.0.0":  # noqa: S104
            taken.append(socket.create_server(("::", bound.getsockname()[1]), family=socket.AF_INET6))
        return bound

    async def main() -> None:
        monkeypatch.setattr(accepting, "_bound_to_port", bind_and_take)
        async with serving(Address("tcp", "", 0)) as server:
            ports = {address.port for address in server.listener.addresses}
            assert len(server.listener.addresses) == 2
            assert len(ports) == 1
            assert len(taken) == 2
            assert not ports & {each.getsockname()[1] for each in taken}

    try:
        run(main())
    finally:
        for each in taken:
            each.close()


MISSING_IPV6 = [
    OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"),
    OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol"),
    OSError("could not bind on any address out of [('::', 0)]"),
    None,
]


def without_ipv6(loop: Any, missing: OSError | None) -> None:
    """Makes the loop answer as on a machine without IPv6: an error, or a server without sockets."""
    create_server = loop.create_server

    async def create(factory: Any, host: str, port: int, **options: Any) -> Any:
        if ":" not in host:
            return await create_server(factory, host, port, **options)
        if missing is not None:
            raise missing
        server = await create_server(factory, "127.0.0.1", 0, **options)
        server.close()
        return server

    loop.create_server = create


class IPv4Socket(socket.socket):
    """As on a machine whose kernel knows no IPv6, or has it switched off."""

    missing = "the family"

    def __init__(self, family: int = socket.AF_INET, *rest: Any, **named: Any) -> None:
        if family == socket.AF_INET6 and self.missing == "the family":
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        super().__init__(family, *rest, **named)

    def bind(self, address: Any) -> None:
        if self.family == socket.AF_INET6:
            raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
        super().bind(address)


@pytest.fixture(params=["the family", "the addresses"])
def no_ipv6(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is none where sockets are bound for all loops that can watch them."""
    monkeypatch.setattr(IPv4Socket, "missing", request.param)
    names = {name: getattr(socket, name) for name in dir(socket)}
    monkeypatch.setattr(accepting, "socket", SimpleNamespace(**names | {"socket": IPv4Socket}))


@pytest.mark.usefixtures("no_ipv6")
@pytest.mark.parametrize("host", ["", "localhost"])
def test_without_ipv6_ipv4_is_enough(run: Run, host: str) -> None:
    async def main() -> None:
        async with serving(Address("tcp", host, 0)) as server:
            expected = "127.0.0.1" if host else "0.0.0.0"  # noqa: S104
            assert [address.host for address in server.listener.addresses] == [expected]

    run(main())


@pytest.mark.usefixtures("no_ipv6")
@pytest.mark.parametrize("host", ["::1", "::"])
def test_without_ipv6_its_addresses_are_none_of_this_machine(run: Run, host: str) -> None:
    async def main() -> None:
        text = rf"^cannot listen on tcp://\[{host}\]:0: this machine has no such address"
        with pytest.raises(ListenFailed, match=text):
            await transports.listen(Address("tcp", host, 0), Recorder)

    run(main())


@pytest.mark.usefixtures("blind")
@pytest.mark.parametrize("missing", MISSING_IPV6)
def test_without_ipv6_all_interfaces_are_those_of_ipv4(run: Run, missing: OSError | None) -> None:
    async def main() -> None:
        without_ipv6(asyncio.get_running_loop(), missing)
        async with serving(Address("tcp", "", 0)) as server:
            assert [address.host for address in server.listener.addresses] == ["0.0.0.0"]  # noqa: S104

    run(main())


@pytest.mark.usefixtures("blind")
@pytest.mark.parametrize("missing", MISSING_IPV6)
def test_without_ipv6_an_ipv6_address_cannot_be_listened_on(run: Run, missing: OSError | None) -> None:
    async def main() -> None:
        without_ipv6(asyncio.get_running_loop(), missing)
        with pytest.raises(ListenFailed, match=r"^cannot listen on tcp://\[::1\]:0: this machine has no such address"):
            await transports.listen(Address("tcp", "::1", 0), Recorder)

    run(main())
