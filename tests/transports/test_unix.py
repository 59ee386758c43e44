# Files are under test, and nothing else runs on the loop: they may block it.
# ruff: noqa: ASYNC240

from __future__ import annotations

import asyncio
import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.transports.conftest import Run
from tests.transports.recorder import Recorder, connected, serving
from tomada import transports
from tomada.address import Address
from tomada.errors import AddressInUse, ConnectFailed, ListenFailed
from tomada.transports import unix


@contextmanager
def bound(path: str, kind: int = socket.SOCK_STREAM) -> Iterator[socket.socket]:
    """A socket that is bound to the path; its file stays, as that of a killed process."""
    with socket.socket(socket.AF_UNIX, kind) as holder:
        holder.bind(path)
        yield holder


def test_bytes_go_both_ways(run: Run, address: Address) -> None:
    async def main() -> None:
        async with serving(address) as server, connected(address) as (transport, client):
            assert server.listener.addresses == (address,)
            peer = await server.accepted.get()
            transport.write(b"ola")
            assert await peer.data == b"ola"
            (await peer.made).write(b"tchau")
            assert await client.data == b"tchau"

    run(main())


def test_the_peer_of_either_end_is_where_the_listener_is(run: Run, address: Address) -> None:
    async def main() -> None:
        async with serving(address) as server, connected(address) as (transport, _):
            peer = await (await server.accepted.get()).made
            assert transports.peer_address(transport) == address
            assert transports.peer_address(peer) == address

    run(main())


def test_closing_removes_the_socket_file_and_keeps_connections(run: Run, address: Address) -> None:
    async def main() -> None:
        async with serving(address) as server, connected(address) as (transport, _):
            peer = await server.accepted.get()
            server.listener.close()
            assert not Path(address.path).exists()
            server.listener.close()
            transport.write(b"still here")
            assert await peer.data == b"still here"

    run(main())


def test_closing_leaves_a_file_that_is_not_its_own(run: Run, address: Address) -> None:
    async def main() -> None:
        async with serving(address):
            Path(address.path).unlink()
            Path(address.path).write_text("somebody else's")

    run(main())
    assert Path(address.path).read_text() == "somebody else's"


def test_closing_bears_that_its_file_has_gone(run: Run, address: Address) -> None:
    async def main() -> None:
        async with serving(address):
            Path(address.path).unlink()

    run(main())


def test_a_stale_socket_file_is_replaced(run: Run, address: Address) -> None:
    async def main() -> None:
        with bound(address.path) as killed:
            killed.listen()
        async with serving(address) as server, connected(address):
            await server.accepted.get()

    run(main())


def test_a_stale_file_that_has_become_another_one_is_not_deleted(
    run: Run, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(address.path)

    async def replace_it(_: str) -> bool:
        path.unlink()
        path.write_text("somebody else's")
        return False

    async def main() -> None:
        monkeypatch.setattr(unix, "_is_live", replace_it)
        with pytest.raises(AddressInUse, match="something else has just taken the path"):
            await transports.listen(address, Recorder)

    with bound(str(path)):
        run(main())
    assert path.read_text() == "somebody else's"


@pytest.mark.parametrize("backlog", [0, 8])
def test_a_live_server_is_left_alone(run: Run, address: Address, backlog: int) -> None:
    async def main() -> None:
        with bound(address.path) as live, socket.socket(socket.AF_UNIX) as waiting:
            live.listen(backlog)
            waiting.connect(address.path)  # with a backlog of 0 the queue is full now, and live all the same
            with pytest.raises(AddressInUse, match="another process accepts there"):
                await transports.listen(address, Recorder)
            live.accept()[0].close()
            assert Path(address.path).is_socket()

    run(main())


def test_a_living_socket_for_datagrams_is_left_alone(run: Run, address: Address) -> None:
    async def main() -> None:
        with bound(address.path, socket.SOCK_DGRAM) as live, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            with pytest.raises(AddressInUse, match="another process accepts there"):
                await transports.listen(address, Recorder)
            sender.sendto(b"ola", address.path)
            assert live.recv(9) == b"ola"
            with pytest.raises(ConnectFailed, match=os.strerror(errno.EPROTOTYPE)):
                await transports.connect(address, Recorder, timeout=30)

    run(main())


def test_what_is_no_socket_is_never_deleted(run: Run, address: Address, folder: Path) -> None:
    async def main() -> None:
        with pytest.raises(ListenFailed, match="a file that is no socket is there"):
            await transports.listen(address, Recorder)

    path = Path(address.path)
    path.write_text("precious")
    run(main())
    assert path.read_text() == "precious"
    path.rename(folder / "other")
    path.symlink_to(folder / "other")
    run(main())
    assert path.is_symlink()
    path.unlink()
    path.mkdir()
    run(main())
    assert path.is_dir()


def test_a_missing_directory_is_told(run: Run, folder: Path) -> None:
    async def main() -> None:
        (folder / "file").touch()
        for name in ("missing", "file"):
            with pytest.raises(ListenFailed, match=f"there is no directory {folder}/{name}; make it"):
                await transports.listen(Address("unix", path=f"{folder}/{name}/app.sock"), Recorder)

    run(main())


def test_a_path_that_is_too_long_for_the_system_is_told(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(ListenFailed, match=r"cannot listen on unix:///aaa.*too long"):
            await transports.listen(Address("unix", path="/" + "a" * 200), Recorder)

    run(main())


UNPRIVILEGED = """
import asyncio, os, sys, uvloop
from tomada import transports
from tomada.address import Address
from tomada.errors import TransportError

async def main():
    address = Address.parse(sys.argv[2])
    for attempt in (transports.listen(address, asyncio.Protocol),
                    transports.connect(address, asyncio.Protocol, timeout=30)):
        try:
            await attempt
        except TransportError as error:
            print(type(error).__name__, error)

os.setuid(65534)
with asyncio.Runner(loop_factory={"asyncio": asyncio, "uvloop": uvloop}[sys.argv[1]].new_event_loop) as runner:
    runner.run(main())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a right to give up")
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_missing_permissions_are_told(loop: str, address: Address, folder: Path) -> None:
    folder.chmod(0o755)
    command = [sys.executable, "-c", UNPRIVILEGED, loop, str(address)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    listening, connecting = text.splitlines()
    assert listening.startswith(f"ListenFailed cannot listen on {address}: this process has no right to make")
    assert connecting.startswith(f"ConnectFailed cannot connect to {address}: there is no such file")
    with bound(address.path) as live:
        Path(address.path).chmod(0o600)
        live.listen()
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    listening, connecting = text.splitlines()
    assert listening.startswith(
        f"ListenFailed cannot listen on {address}: this process has no right to make or replace"
    )
    assert connecting.startswith(f"ConnectFailed cannot connect to {address}: this process may not write to it")


async def connect_error(address: Address) -> ConnectFailed:
    with pytest.raises(ConnectFailed) as caught:
        await transports.connect(address, Recorder, timeout=30)
    assert str(caught.value).startswith(f"cannot connect to {address}: ")
    return caught.value


def test_why_nobody_could_be_reached_is_told(run: Run, address: Address) -> None:
    async def main() -> None:
        missing = await connect_error(address)
        assert "there is no such file; start the server" in str(missing)
        assert isinstance(missing.__cause__, FileNotFoundError)
        with bound(address.path):
            pass
        stale = await connect_error(address)
        assert "nothing listens there; start the server" in str(stale)
        assert isinstance(stale.__cause__, ConnectionRefusedError)
        Path(address.path).unlink()
        Path(address.path).touch()
        assert "the file is no socket" in str(await connect_error(address))
        inside = Address("unix", path=f"{address.path}/inside")
        assert "there is no such file" in str(await connect_error(inside))

    run(main())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse where the queue is full")
def test_a_full_queue_is_no_connection(run: Run, address: Address) -> None:
    async def main() -> None:
        made: list[Recorder] = []

        def new() -> Recorder:
            made.append(Recorder())
            return made[-1]

        with bound(address.path) as server, socket.socket(socket.AF_UNIX) as waiting:
            server.listen(0)
            waiting.connect(address.path)
            with pytest.raises(ConnectFailed, match="queue of waiting connections is full"):
                await transports.connect(address, new, timeout=30)
            for recorder in made:
                await recorder.close()

    run(main())


def test_an_attempt_that_nobody_answers_ends_after_its_time(run: Run, address: Address) -> None:
    async def main() -> None:
        async def never(*_: Any) -> Any:
            await asyncio.get_running_loop().create_future()

        loop: Any = asyncio.get_running_loop()
        loop.create_unix_connection = never
        with pytest.raises(ConnectFailed, match=r"timed out after 0\.01 s"):
            await transports.connect(address, Recorder, timeout=0.01)

    run(main())


@pytest.mark.usefixtures("blind")
def test_a_loop_without_unix_sockets_is_told(run: Run, address: Address) -> None:
    async def main() -> None:
        async def unsupported(*_: Any, **__: Any) -> Any:
            raise NotImplementedError

        loop: Any = asyncio.get_running_loop()
        loop.create_unix_connection = loop.create_unix_server = unsupported
        with pytest.raises(ListenFailed, match="has no unix sockets; take a tcp address"):
            await transports.listen(address, Recorder)
        with pytest.raises(ConnectFailed, match="has no unix sockets; take a tcp address"):
            await transports.connect(address, Recorder, timeout=30)

    run(main())
