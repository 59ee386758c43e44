from __future__ import annotations

import asyncio
import errno
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.transports.conftest import Run
from tests.transports.recorder import Recorder, connected, serving
from tomada import transports
from tomada.address import Address
from tomada.errors import AddressInUse, ConnectFailed, ListenFailed, SystemPort
from tomada.transports import happy_eyeballs, tcp

HERE = Address.parse("tcp://127.0.0.1:0")
DOCUMENTATION = "192.0.2.1"  # RFC 5737: no machine has it


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_bytes_go_both_ways(run: Run, host: str) -> None:
    async def main() -> None:
        async with serving(Address.parse(f"tcp://{host}:0")) as server:
            (address, *_) = server.listener.addresses
            async with connected(address) as (transport, client):
                peer = await server.accepted.get()
                transport.write(b"ola")
                assert await peer.data == b"ola"
                (await peer.made).write(b"tchau")
                assert await client.data == b"tchau"

    run(main())


def test_both_ends_know_where_the_other_is(run: Run) -> None:
    async def main() -> None:
        async with serving(HERE) as server, connected(server.listener.addresses[0]) as (transport, _):
            peer = await (await server.accepted.get()).made
            assert transports.peer_address(transport) == server.listener.addresses[0]
            host, port = transport.get_extra_info("sockname")
            assert transports.peer_address(peer) == Address("tcp", host, port)

    run(main())


def test_small_writes_are_not_held_back_on_either_end(run: Run) -> None:
    async def main() -> None:
        async with serving(HERE) as server, connected(server.listener.addresses[0]) as (transport, _):
            peer = await (await server.accepted.get()).made
            for end in (transport, peer):
                assert end.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0

    run(main())


def test_a_port_serves_again_right_after_its_server_has_closed_connections(run: Run) -> None:
    """SO_REUSEADDR: the old connections stay in TIME_WAIT, because this side closed them first."""

    async def main() -> None:
        address = HERE
        for _ in range(2):
            async with serving(address) as server:
                (address,) = server.listener.addresses
                async with connected(address) as (_, client):
                    peer = await server.accepted.get()
                    (await peer.made).close()
                    await client.lost

    run(main())


def test_ipv4_and_ipv6_may_listen_on_one_port_apart(run: Run) -> None:
    async def main() -> None:
        async with serving(Address("tcp", "::", 0)) as server:
            (every,) = server.listener.addresses
            async with serving(Address("tcp", "0.0.0.0", every.port)) as other:  # noqa: S104
                assert [str(address) for address in other.listener.addresses] == [f"tcp://0.0.0.0:{every.port}"]

    run(main())


def test_a_busy_port_is_told_with_its_holder(run: Run) -> None:
    async def main() -> None:
        async with serving(HERE) as server:
            (address,) = server.listener.addresses
            with pytest.raises(AddressInUse) as caught:
                await transports.listen(address, Recorder)
        text = str(caught.value)
        assert f"cannot listen on {address}: port {address.port} is held by " in text
        assert "0 for a free one" in text
        if sys.platform == "linux":
            assert f"process {os.getpid()} (" in text
        assert isinstance(caught.value.__cause__, OSError)

    run(main())


def test_a_busy_port_on_one_address_gives_up_the_others(run: Run) -> None:
    async def main() -> None:
        async with serving(Address("tcp", "::", 0)) as server:
            port = server.listener.addresses[0].port
            with pytest.raises(AddressInUse, match="another process" if sys.platform != "linux" else "process"):
                await transports.listen(Address("tcp", "", port), Recorder)
            async with serving(Address("tcp", "0.0.0.0", port)):  # noqa: S104
                pass

    run(main())


def test_an_address_of_another_machine_cannot_be_listened_on(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(ListenFailed, match="this machine has no such address"):
            await transports.listen(Address("tcp", DOCUMENTATION, 0), Recorder)

    run(main())


# uvloop loads the codec when it first meets a host, and the user that is left may not read the interpreter's files.
UNPRIVILEGED = """
import asyncio, encodings.idna, os, sys, uvloop
from tomada import transports
from tomada.address import Address
from tomada.errors import SystemPort

async def main():
    try:
        (await transports.listen(Address("tcp", "127.0.0.1", int(sys.argv[2])), asyncio.Protocol)).close()
    except SystemPort as error:
        print(error)

os.setuid(65534)
with asyncio.Runner(loop_factory={"asyncio": asyncio, "uvloop": uvloop}[sys.argv[1]].new_event_loop) as runner:
    runner.run(main())
"""


def first_unprivileged_port() -> int:
    setting = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    return int(setting.read_text()) if setting.exists() else 0


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or first_unprivileged_port() < 100, reason="needs a right to give up"
)
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_process_without_the_right_is_told_that_the_port_is_a_system_port(loop: str) -> None:
    command = [sys.executable, "-c", UNPRIVILEGED, loop, "99"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert text.startswith("cannot listen on tcp://127.0.0.1:99: 99 is a system port")


def test_how_to_get_a_system_port_is_told() -> None:
    error = tcp.listen_error(Address("tcp", "", 80), PermissionError(errno.EACCES, "Permission denied"))
    assert isinstance(error, SystemPort)
    for hint in ("80 is a system port", "above 1023", "CAP_NET_BIND_SERVICE", "net.ipv4.ip_unprivileged_port_start"):
        assert hint in str(error)


def test_a_higher_port_that_is_not_permitted_is_no_system_port() -> None:
    error = tcp.listen_error(Address("tcp", "", 5000), PermissionError(errno.EACCES, "Permission denied"))
    assert type(error) is ListenFailed
    assert "the system does not permit it" in str(error)


def test_what_has_no_words_of_its_own_is_told_in_those_of_the_system() -> None:
    address = Address("tcp", "h", 5000)
    assert "No buffer space" in str(tcp.listen_error(address, OSError(errno.ENOBUFS, "No buffer space")))
    assert os.strerror(errno.ENETUNREACH) in str(tcp.connect_error(address, OSError(errno.ENETUNREACH, "Call"), 1))
    assert "strange" in str(tcp.connect_error(address, OSError("strange"), 1))


@pytest.mark.parametrize("host", ["nowhere.invalid", "é" * 63])
def test_a_name_that_is_not_known_is_told(run: Run, host: str) -> None:
    async def main() -> None:
        with pytest.raises(ListenFailed, match=f"the name '{host}' is not known") as listening:
            await transports.listen(Address("tcp", host, 0), Recorder)
        with pytest.raises(ConnectFailed, match=f"the name '{host}' is not known") as connecting:
            await transports.connect(Address("tcp", host, 4477), Recorder, timeout=30)
        for caught in (listening, connecting):
            assert isinstance(caught.value.__cause__, (socket.gaierror, UnicodeError))

    run(main())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", ""])
def test_where_nothing_listens_that_is_told(run: Run, host: str) -> None:
    async def main() -> None:
        address = Address("tcp", host, free_port())
        with pytest.raises(ConnectFailed) as caught:
            await transports.connect(address, Recorder, timeout=30)
        assert str(caught.value).startswith(f"cannot connect to {address}: nothing listens there; start the server")
        assert isinstance(caught.value.__cause__, OSError)

    run(main())


def test_an_attempt_that_nobody_answers_ends_after_its_time(run: Run) -> None:
    async def main() -> None:
        async def never(*_: Any, **__: Any) -> Any:
            await asyncio.get_running_loop().create_future()

        loop: Any = asyncio.get_running_loop()
        loop.create_connection = never
        with pytest.raises(ConnectFailed, match=r"timed out after 0\.01 s") as caught:
            await transports.connect(Address("tcp", DOCUMENTATION, 4477), Recorder, timeout=0.01)
        assert isinstance(caught.value.__cause__, TimeoutError)

    run(main())


def test_port_0_cannot_be_connected_to(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(ConnectFailed, match="port 0 is for listening"):
            await transports.connect(HERE, Recorder, timeout=30)

    run(main())


def test_a_socket_that_met_itself_is_no_connection(run: Run) -> None:
    """A client that tries again and again is given the port it calls as its own, some day."""

    async def main() -> None:
        address = Address("tcp", "127.0.0.1", free_port())
        loop: Any = asyncio.get_running_loop()
        create_connection = loop.create_connection

        async def from_the_same_port(factory: Any, host: str, port: int) -> Any:
            return await create_connection(factory, host, port, local_addr=(host, port))

        loop.create_connection = from_the_same_port
        recorder = Recorder()
        with pytest.raises(ConnectFailed, match="nothing listens there"):
            await transports.connect(address, lambda: recorder, timeout=30)
        await recorder.lost

    run(main())


class Gone:
    """A transport of uvloop whose connection was reset in the moment that it was made."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def get_extra_info(self, _: str) -> object:
        raise self._error


@pytest.mark.parametrize(
    "error", [ValueError("negative file descriptor"), OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))]
)
def test_of_a_connection_that_is_reset_as_it_is_made_its_protocol_hears(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def main() -> None:
        gone: Any = Gone(error)
        client = Recorder()

        async def made(*_: Any) -> Any:
            return gone, client

        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", made)
        made_of = await happy_eyeballs.connect_to("127.0.0.1", 1, Recorder, 5)
        assert made_of == (gone, client)

    run(main())


def test_a_closed_listener_refuses_at_once_and_keeps_its_connections(run: Run) -> None:
    async def main() -> None:
        async with serving(HERE) as server:
            (address,) = server.listener.addresses
            async with connected(address) as (transport, _):
                peer = await server.accepted.get()
                server.listener.close()
                with socket.socket() as late:
                    assert late.connect_ex((address.host, address.port)) == errno.ECONNREFUSED
                assert server.listener.addresses == ()
                server.listener.close()
                transport.write(b"still here")
                assert await peer.data == b"still here"

    run(main())


def test_a_link_local_address_keeps_its_zone() -> None:
    assert str(tcp.name_address(("fe80::1", 4477, 0, 2))) == "tcp://[fe80::1%2]:4477"
    assert str(tcp.name_address(("::1", 4477, 0, 0))) == "tcp://[::1]:4477"


class Simulated:
    """A server without sockets."""

    sockets = ()


@pytest.mark.usefixtures("blind")
def test_a_simulated_server_has_no_sockets_and_listens_where_it_was_asked_to(run: Run) -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()

        async def create(*_: Any, **__: Any) -> Simulated:
            return Simulated()

        loop.create_server = create
        listener = await transports.listen(Address("tcp", "10.0.0.1", 4477), Recorder)
        assert [str(address) for address in listener.addresses] == ["tcp://10.0.0.1:4477"]

    run(main())


@pytest.mark.parametrize("text", ["udp://localhost:1", "unixgram:///tmp/app.sock"])
def test_schemes_without_streams_are_refused_clearly(run: Run, text: str) -> None:
    async def main() -> None:
        with pytest.raises(ListenFailed, match=f"cannot listen on {text}: a .* address carries no streams"):
            await transports.listen(Address.parse(text), Recorder)
        with pytest.raises(ConnectFailed, match=f"cannot connect to {text}: a .* address carries no streams"):
            await transports.connect(Address.parse(text), Recorder, timeout=30)

    run(main())


class Nameless(asyncio.BaseTransport):
    """A transport whose peer had gone before it was asked for."""

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("127.0.0.1", 4477) if name == "sockname" else default


def test_a_tcp_peer_that_is_not_known_any_more_has_no_host() -> None:
    assert transports.peer_address(Nameless()) == Address("tcp", "", 0)
