"""On a loop of an unknown kind, as one of simulated time, all goes through its own endpoints."""

from __future__ import annotations

import asyncio
import errno
from typing import Any

import pytest

import tomada
from tests.datagrams.ends import HERE, SOON, bound, received
from tests.integration.conftest import Run
from tomada.transports import datagram_opening
from tomada.transports.datagram_endpoints import EndpointTransport


@pytest.fixture(autouse=True)
def unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datagram_opening, "_REAL", ())


def test_there_and_back(run: Run) -> None:
    async def main() -> None:
        async with bound() as one, bound(HERE, one.address) as other:
            assert isinstance(one._transport, EndpointTransport)
            await other.send(b"ping")
            datagram = await one.receive(timeout=SOON)
            assert datagram.peer == other.address
            await one.send(b"pong", datagram.peer)
            assert await received(other, 1) == [b"pong"]
            await one.send(b"named", f"udp://localhost:{other.address.port}")
            assert await received(other, 1) == [b"named"]

    run(main())


def test_what_it_cannot_do(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(tomada.ListenFailed, match="has no socket files"):
            await tomada.bind("unixgram:///tmp/nowhere.sock")

    run(main())


def test_the_port_is_held() -> None:
    async def main() -> None:
        async with bound() as one:
            with pytest.raises(tomada.AddressInUse):
                await tomada.bind(one.address)

    asyncio.run(main())  # uvloop leaves its endpoint open where binding fails


def test_a_server_and_a_client(run: Run) -> None:
    app = tomada.App()

    @app.datagram(HERE)
    async def echo(datagram: bytes, peer: tomada.DatagramPeer) -> None:
        peer.reply(datagram)

    async def main() -> None:
        async with tomada.serve(app) as server, tomada.bind("udp://:0", peer=server.addresses[0]) as one:
            await one.send(b"x")
            assert await received(one, 1) == [b"x"]

    run(main())


@pytest.mark.parametrize(
    ("error", "counter"),
    [
        (ConnectionRefusedError(), "refused"),
        (OSError(errno.EMSGSIZE, ""), "too_long"),
        (OSError(errno.ENOBUFS, ""), "given_up"),
        (OSError(errno.ENETUNREACH, ""), "unreachable"),
    ],
)
def test_what_the_loop_reports_is_counted(run: Run, error: OSError, counter: str) -> None:
    async def main() -> None:
        async with bound() as one:
            transport: Any = one._transport
            transport.error_received(error)
            assert getattr(one.statistics, counter) == 1

    run(main())


def test_who_waits_goes_on_when_the_loop_has_room(run: Run) -> None:
    async def main() -> None:
        async with bound() as one, bound() as other:
            transport: Any = one._transport
            transport.pause_writing()
            with pytest.raises(tomada.TimedOut, match="there was no room to send"):
                await one.send(b"x", other.address, timeout=0.01)
            sending = asyncio.create_task(one.send(b"x", other.address))
            await asyncio.sleep(0)
            transport.resume_writing()
            await sending
            assert await received(other, 1) == [b"x"]

    run(main())


def test_longer_than_there_is_room_for_is_never_delivered_cut(run: Run) -> None:
    async def main() -> None:
        async with bound() as one:
            transport: Any = one._transport
            transport.longest = 3
            transport.datagram_received(b"long", ("127.0.0.1", 1))
            transport.datagram_received(b"fit", ("127.0.0.1", 1))
            assert await received(one, 1) == [b"fit"]
            transport.stop_receiving()
            transport.datagram_received(b"fit", ("127.0.0.1", 1))
            assert (one.statistics.truncated, one.statistics.received) == (1, 1)

    run(main())
