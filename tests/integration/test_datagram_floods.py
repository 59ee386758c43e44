"""Floods and forged senders at a handler of datagrams: counted, bounded, and a bystander is served."""

from __future__ import annotations

import asyncio
import random

import tomada
from tests.datagrams.ends import HERE, SOON, until
from tests.integration.conftest import Run
from tomada.datagrams.directory import KEPT

BURST = 500


async def answer(bystander: tomada.DatagramSocket, data: bytes) -> bytes:
    """As a program does that knows UDP: it asks again."""
    for _ in range(20):
        await bystander.send(data)
        try:
            return (await bystander.receive(timeout=SOON / 10)).data
        except tomada.TimedOut:
            continue
    raise AssertionError("the bystander is not served")


def test_a_flood_of_all_sizes(run: Run) -> None:
    app = tomada.App()
    rng = random.Random(5)

    @app.datagram(HERE)
    async def parse(datagram: bytes, peer: tomada.DatagramPeer) -> None:
        peer.reply(str(int(datagram)).encode())

    async def main() -> None:
        async with (
            tomada.serve(app) as server,
            tomada.bind(HERE, peer=server.addresses[0]) as attacker,
            tomada.bind(HERE, peer=server.addresses[0]) as bystander,
        ):
            for turn in range(4):
                for _ in range(BURST // 10):
                    await attacker.send(b"x" + rng.randbytes(rng.choice([0, 1, 63, 1_400, 30_000])))
                assert await answer(bystander, b"%d" % turn) == b"%d" % turn
            (statistics,) = server.datagram_statistics.values()
            assert statistics.failed > 0
            assert statistics.received >= statistics.failed + 4

    run(main())


def test_slow_handlers_of_an_attacker_leave_room_for_who_comes_after(run: Run) -> None:
    app = tomada.App()
    gate: list[asyncio.Event] = []

    @app.datagram(HERE)
    async def slow(datagram: bytes, peer: tomada.DatagramPeer) -> None:
        if datagram == b"slow":
            await gate[0].wait()
        peer.reply(datagram)

    async def main() -> None:
        gate.append(asyncio.Event())
        limits = tomada.Limits(handlers=50)
        async with (
            tomada.serve(app, limits=limits) as server,
            tomada.bind(HERE, peer=server.addresses[0]) as attacker,
            tomada.bind(HERE, peer=server.addresses[0]) as bystander,
        ):
            for _ in range(BURST):
                await attacker.send(b"slow")
            (address,) = server.addresses
            await until(lambda: server.datagram_statistics[address].dropped == BURST - 50)
            gate[0].set()
            assert await answer(bystander, b"quick") == b"quick"

    run(main())


def test_forged_senders_take_a_bounded_place(run: Run) -> None:
    app = tomada.App()

    @app.datagram(HERE)
    async def echo(datagram: bytes, peer: tomada.DatagramPeer) -> None:
        if datagram != b"forged":
            peer.reply(datagram)

    async def main() -> None:
        async with tomada.serve(app) as server, tomada.bind(HERE, peer=server.addresses[0]) as bystander:
            (service,) = server._datagrams._services

            def flood() -> None:  # as the transport would tell them
                for number in range(3 * KEPT):
                    name = (f"10.0.{number >> 8 & 255}.{number & 255}", 7)
                    service.datagrams_received((b"forged",), name)

            asyncio.get_running_loop().call_soon(flood)
            assert await answer(bystander, b"real") == b"real"
            assert len(service._peers) <= KEPT  # type: ignore[union-attr] # it is the handlers'

    run(main())
