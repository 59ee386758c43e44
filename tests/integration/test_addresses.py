from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path

import pytest

import tomada
from tests.integration.conftest import Run
from tests.integration.house import HERE, Echo, Stage, house
from tests.integration.processes import process


async def echoes(address: tomada.Address | str) -> None:
    async with tomada.connect(address) as client:
        assert await client.ask(Echo(b"here")) == b"here"


def test_one_server_listens_at_several_addresses(run: Run, folder: Path) -> None:
    async def main() -> None:
        binds = (HERE, "tcp://[::1]:0", f"unix://{folder}/a.sock", tomada.Address.parse(f"unix://{folder}/b.sock"))
        async with tomada.serve(house(Stage()), *binds) as server:
            assert [address.scheme for address in server.addresses] == ["tcp", "tcp", "unix", "unix"]
            assert all(address.port for address in server.addresses[:2])
            await asyncio.gather(*[echoes(address) for address in server.addresses])
        assert not (folder / "a.sock").exists()

    run(main())


def test_a_server_without_an_address_is_a_mistake(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="serve\\(\\) needs an address"):
            tomada.serve(house(Stage()))

    run(main())


def test_a_client_may_wait_for_a_server_that_starts_later(run: Run, folder: Path) -> None:
    async def main() -> None:
        address = f"unix://{folder}/late.sock"
        connecting = asyncio.ensure_future(tomada.connect(address, wait=30))
        await asyncio.sleep(0)
        async with process("serve", address) as server:
            assert await server.line() == address
            client = await connecting
            assert await client.ask(Echo(b"late")) == b"late"
            await client.close()

    run(main())


def test_who_waits_for_nobody_is_told_why_in_the_end(run: Run, folder: Path) -> None:
    async def main() -> None:
        with pytest.raises(tomada.ConnectFailed, match="there is no such file"):
            await tomada.connect(f"unix://{folder}/none.sock", wait=0.1)

    run(main())


def test_a_busy_port_is_told_and_what_was_opened_before_is_closed(run: Run) -> None:
    async def main() -> None:
        stage = Stage()
        app = house(stage)

        @app.on_stop
        async def stop() -> None:
            stage.mark("stop")

        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(tomada.AddressInUse, match=str(port)):
                await tomada.serve(app, HERE, f"tcp://127.0.0.1:{port}")
        assert stage.events == ["stop"]

    run(main())


def test_the_socket_file_of_a_killed_server_is_replaced(run: Run, folder: Path) -> None:
    async def main() -> None:
        address = f"unix://{folder}/stale.sock"
        async with process("serve", address) as first:
            await first.line()
            first.signal(signal.SIGKILL)
            await first.end()
        assert (folder / "stale.sock").exists()
        async with process("serve", address) as second:
            assert await second.line() == address
            await echoes(address)

    run(main())
