"""What the fault proxy does to connections, over real sockets: each fault, and a healthy bystander where it has one."""

from __future__ import annotations

import asyncio
import socket
import threading
from pathlib import Path

import pytest

import tomada
from tests.integration.conftest import Run
from tests.testing.proxied import HERE, LONG, healthy, is_reset, nothing_comes, passes, proxied, until
from tomada.testing import FaultProxy, Faults, ProxyStatistics

app = tomada.App("doubling")


class Double(tomada.Request[int]):
    number: int


@app.on
async def double(request: Double) -> int:
    return 2 * request.number


def test_a_reset_reaches_both_ends(run: Run) -> None:
    async def main() -> None:
        async with proxied() as place:
            pairs = [await place.both() for _ in range(3)]
            await place.proxy.reset()
            assert place.proxy.connections == ()
            for end in (end for pair in pairs for end in pair):
                assert await is_reset(end)
            assert place.proxy.statistics().resets == 3
            await healthy(*await place.both())

    run(main())


def test_a_reset_is_rst_and_no_end(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with proxied() as place:
            with socket.create_connection(("127.0.0.1", place.proxy.address.port or 0)) as raw:
                raw.setblocking(False)
                far = await place.accepted()
                await far.send(b"all")
                assert await loop.sock_recv(raw, 10) == b"all"
                await place.proxy.reset()
                with pytest.raises(ConnectionResetError):
                    await loop.sock_recv(raw, 10)

    run(main())


def test_one_connection_alone_is_reset_stalled_and_half_closed(run: Run) -> None:
    async def main() -> None:
        async with proxied() as place:
            bystander, other = await place.both()
            near, far = await place.both()
            _, harmed = place.proxy.connections
            harmed.stall("to_server")
            await near.send(b"waits")
            await nothing_comes(far)
            await passes(far, near)
            await healthy(bystander, other)
            harmed.go_on("to_server")
            assert await far.receive_exactly(5, timeout=LONG) == b"waits"

            harmed.half_close("to_client")
            assert await near.receive(timeout=LONG) == b""
            await far.send(b"dropped")
            await passes(near, far)
            assert (harmed.number, harmed.to_server_bytes, harmed.to_client_bytes) == (2, 16, 11)
            assert repr(harmed) == "<ProxiedConnection 2: 16 bytes to the server, 11 to the client>"

            was_open = harmed.is_open
            await harmed.reset()
            assert (was_open, harmed.is_open) == (True, False)
            assert repr(harmed).endswith("client, gone>")
            assert await is_reset(far)
            await healthy(bystander, other)

    run(main())


def test_all_connections_are_half_closed(run: Run) -> None:
    async def main() -> None:
        async with proxied() as place:
            near, far = await place.both()
            await near.send(b"last")
            await until(lambda: place.proxy.statistics().to_server_bytes)
            place.proxy.half_close("to_server")
            assert await far.receive_exactly(4, timeout=LONG) == b"last"
            assert await far.receive(timeout=LONG) == b""
            await passes(far, near)
            await far.shutdown()
            assert await near.receive(timeout=LONG) == b""
            await until(lambda: not place.proxy.connections)

    run(main())


def test_an_end_that_resets_resets_the_other(run: Run) -> None:
    async def main() -> None:
        async with proxied() as place:
            near, far = await place.both()
            await passes(near, far)
            near.abort()
            assert await is_reset(far)
            await until(lambda: not place.proxy.connections)
            assert place.proxy.statistics().resets == 0

    run(main())


@pytest.mark.parametrize("kind", ["tcp", "localhost", "unix"])
def test_new_connections_are_refused_and_old_ones_go_on(run: Run, folder: Path, kind: str) -> None:
    async def main() -> None:
        listen = {"tcp": HERE, "localhost": "tcp://localhost:0", "unix": f"unix://{folder}/proxy.sock"}[kind]
        async with proxied(listen) as place:
            near, far = await place.both()
            address = place.proxy.address
            for _ in range(3):
                await place.proxy.refuse()
                await place.proxy.refuse()
                assert place.proxy.address == address
                with pytest.raises(tomada.ConnectFailed):
                    await place.client()
                await healthy(near, far)
                await place.proxy.accept()
                assert place.proxy.address == address
                await healthy(*await place.both())

    run(main())


def test_nobody_else_gets_the_port_meanwhile(run: Run) -> None:
    async def main() -> None:
        async with proxied() as place:
            await place.proxy.refuse()
            with pytest.raises(tomada.AddressInUse):
                await tomada.listen_stream(place.proxy.address)
            with socket.socket() as taking, pytest.raises(OSError, match="in use"):
                taking.bind(("127.0.0.1", place.proxy.address.port or 0))
            await place.proxy.accept()

    run(main())


def test_a_dropped_link_resets_or_stalls_what_there_is_and_refuses_what_comes(run: Run) -> None:
    async def main() -> None:
        async with proxied() as place:
            near, far = await place.both()
            dropping = asyncio.create_task(place.proxy.drop(0.1, existing="stall"))
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="dropped already"):
                await place.proxy.drop(1)
            await near.send(b"kept")
            with pytest.raises(tomada.ConnectFailed):
                await place.client()
            await dropping
            assert await far.receive_exactly(4, timeout=LONG) == b"kept"

            dropping = asyncio.create_task(place.proxy.drop(3_600))
            assert await is_reset(near)
            assert await is_reset(far)
            with pytest.raises(tomada.ConnectFailed):
                await place.client()
            dropping.cancel()
            await asyncio.wait([dropping])
            await healthy(*await place.both())

    run(main())


def test_a_drop_ends_what_it_began_and_nothing_else(run: Run) -> None:
    async def main() -> None:
        async with proxied() as place:
            near, far = await place.both()
            place.proxy.stall("to_server")
            await place.proxy.refuse()
            await place.proxy.drop(0, existing="stall")
            await near.send(b"held")
            await nothing_comes(far)
            with pytest.raises(tomada.ConnectFailed):
                await place.client()
            place.proxy.go_on()
            assert await far.receive_exactly(4, timeout=LONG) == b"held"

    run(main())


def test_the_proxy_may_end_while_all_is_wrong(run: Run) -> None:
    async def main() -> None:
        async with proxied(faults=Faults(latency=3_600, slice=1)) as place:
            near, far = await place.both()
            await near.send(b"x" * 1_000_000)
            place.proxy.stall()
            await place.client()
            dropping = asyncio.create_task(place.proxy.drop(3_600, existing="stall"))
            await asyncio.sleep(0)
            await place.proxy.__aexit__(None, None, None)
            dropping.cancel()
            await asyncio.wait([dropping])
            assert await is_reset(near)
            assert await is_reset(far)
            with pytest.raises(tomada.ConnectFailed):
                await place.client()

    run(main())


def test_a_client_whose_server_is_not_there_is_reset_and_the_reason_told(run: Run) -> None:
    async def main() -> None:
        async with proxied() as place:
            near, far = await place.both()
            gone = place.listener.address
            await place.listener.close()
            assert await is_reset(await place.client())
            statistics = place.proxy.statistics()
            assert (statistics.unreached, statistics.resets) == (1, 0)
            assert f"cannot connect to {gone}: " in statistics.unreached_why
            await healthy(near, far)

            async with tomada.listen_stream(HERE) as moved:
                place.proxy.to = moved.address
                assert place.proxy.to == moved.address
                client = await place.client()
                server = await moved.accept(timeout=LONG)
                await healthy(client, server)
                server.abort()

    run(main())


def test_a_client_that_goes_before_the_server_is_there_leaves_nothing(run: Run) -> None:
    async def main() -> None:
        async with proxied() as place:
            place.proxy.stall("to_server")
            client = await place.client()
            await until(lambda: place.proxy.connections)
            client.abort()
            await until(lambda: not place.proxy.connections)
            place.proxy.go_on()
            await healthy(*await place.both())
            assert place.proxy.statistics() == ProxyStatistics(
                connections=2,
                open=1,
                to_server_bytes=11,
                to_client_bytes=11,
                resets=0,
                unreached=0,
                unreached_why="",
            )

    run(main())


def test_typed_messages_pass_through_single_bytes(run: Run) -> None:
    async def main() -> None:
        async with (
            tomada.serve(app, HERE) as server,
            FaultProxy(HERE, to=server.addresses[0], faults=Faults(slice=1)) as proxy,
            tomada.connect(proxy.address) as connection,
        ):
            assert await asyncio.gather(*[connection.ask(Double(one)) for one in range(20)]) == [*range(0, 40, 2)]

    run(main())


def test_it_works_in_a_thread_of_its_own() -> None:
    """As a benchmark has it, whose processes are beside it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ready = threading.Event()
        proxies: list[FaultProxy] = []
        loops: list[asyncio.AbstractEventLoop] = []
        over: list[asyncio.Event] = []

        async def main() -> None:
            async with FaultProxy(HERE, to=f"tcp://127.0.0.1:{listening.getsockname()[1]}") as proxy:
                proxies.append(proxy)
                loops.append(asyncio.get_running_loop())
                over.append(asyncio.Event())
                ready.set()
                await over[0].wait()

        thread = threading.Thread(target=asyncio.run, args=[main()])
        thread.start()
        assert ready.wait(LONG)
        (proxy,), (loop,) = proxies, loops
        try:
            with socket.create_connection(("127.0.0.1", proxy.address.port or 0), timeout=LONG) as client:
                server, _ = listening.accept()
                with server:
                    client.sendall(b"through")
                    assert server.recv(100) == b"through"
                    asyncio.run_coroutine_threadsafe(proxy.reset(), loop).result(LONG)
                    with pytest.raises(ConnectionResetError):
                        client.recv(1)
        finally:
            loop.call_soon_threadsafe(over[0].set)
            thread.join(LONG)
        assert not thread.is_alive()


@pytest.mark.parametrize("address", ["tls://127.0.0.1:0", "ws://127.0.0.1:0/", "udp://127.0.0.1:0"])
def test_it_relays_bytes_as_they_are(address: str) -> None:
    with pytest.raises(tomada.AddressError, match=r"cannot listen on .* give a tcp, unix or memory address"):
        FaultProxy(address, to="tcp://127.0.0.1:1")
    with pytest.raises(tomada.AddressError, match=r"cannot connect to .* give a tcp, unix or memory address"):
        FaultProxy(HERE, to=address)


def test_what_is_wrong_is_said(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="buffer_bytes is 0, it must be a number above 0"):
            FaultProxy(HERE, to="tcp://127.0.0.1:1", buffer_bytes=0)
        async with proxied() as place:
            proxy = place.proxy
            assert repr(proxy) == f"<FaultProxy at {proxy.address} to {proxy.to}: 0 connections>"
            with pytest.raises(ValueError, match="'sideways', it must be 'to_server', 'to_client' or 'both'"):
                proxy.stall("sideways")  # type: ignore[arg-type]  # wrong on purpose
            with pytest.raises(ValueError, match="existing is 'burn', it must be 'reset' or 'stall'"):
                await proxy.drop(1, existing="burn")  # type: ignore[arg-type]  # wrong on purpose
            with pytest.raises(ValueError, match="seconds is -1"):
                await proxy.drop(-1)
            with pytest.raises(TypeError, match=r"faults are given as Faults\(…\), not as 5"):
                proxy.faults = 5  # type: ignore[assignment]  # wrong on purpose
            with pytest.raises(RuntimeError, match="make a new one"):
                await proxy.__aenter__()
            with pytest.raises(tomada.AddressInUse):
                await FaultProxy(proxy.address, to=proxy.to).__aenter__()

    run(main())


def test_it_may_be_bad_before_it_begins() -> None:
    proxy = FaultProxy(HERE, to="tcp://127.0.0.1:1", faults=Faults(slice=1))
    proxy.stall()

    assert proxy.address == tomada.Address.parse(HERE)
    assert proxy.faults == Faults(slice=1)
