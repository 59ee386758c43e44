"""All faults at once, in an order that a seed decides: nothing is mixed up, nothing is left behind."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

import tomada
from tests.integration.conftest import Run
from tests.testing.proxied import HERE, LONG, until
from tomada.testing import FaultProxy, Faults

CLIENTS = 12
FAULTS = 60


async def harm(proxy: FaultProxy, random: Random) -> None:
    """Do something to it."""
    sizes: list[int | tuple[int, int]] = [0, 1, (1, 500)]
    faults = Faults(
        latency=random.choice([0, 0, 0.003]),
        bandwidth=random.choice([float("inf"), 200_000]),
        slice=random.choice(sizes),
        reset_after=random.choice([None, None, random.randrange(3_000)]),
    )
    victim = random.choice([*proxy.connections, None])
    match random.randrange(9):
        case 0:
            proxy.faults = faults
        case 1:
            proxy.to_client = faults
        case 2:
            await proxy.reset()
        case 3:
            await proxy.drop(0.005, existing=random.choice(["stall", "reset"]))
        case 4:
            await proxy.refuse()
            await asyncio.sleep(0.003)
            await proxy.accept()
        case 5:
            proxy.stall(random.choice(["to_server", "to_client", "both"]))
            await asyncio.sleep(0.003)
            proxy.go_on()
        case 6 if victim is not None:
            victim.half_close(random.choice(["to_server", "to_client"]))
        case 7 if victim is not None:
            await victim.reset()
        case _ if victim is not None:
            victim.stall()
            await asyncio.sleep(0.001)
            victim.go_on()


async def talk(proxy: FaultProxy, random: Random, over: asyncio.Event) -> int:
    """Send to an echo and compare what comes back, again and again; how many bytes came."""
    came = 0
    while not over.is_set():
        data = random.randbytes(random.randrange(1, 20_000))
        stream = None
        try:
            stream = await tomada.connect_stream(proxy.address, wait=LONG)
            await stream.send(data)
            got = await stream.receive(1_000_000, timeout=0.2)
            while got and len(got) < len(data):
                more = await stream.receive(1_000_000, timeout=0.2)
                if not more:
                    break
                got += more
            came += len(got)
            assert data.startswith(got)
        except (tomada.ConnectionLost, tomada.TimedOut, tomada.ConnectFailed):
            await asyncio.sleep(0.001)
        finally:
            if stream is not None:
                stream.abort()
    return came


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_nothing_is_mixed_up_and_nothing_is_left(run: Run, folder: Path, kind: str) -> None:
    app = tomada.App()

    @app.stream(HERE)
    async def echo(stream: tomada.Stream) -> None:
        async for piece in stream:
            await stream.send(piece)

    async def main() -> None:
        random = Random(4)
        over = asyncio.Event()
        listen = HERE if kind == "tcp" else f"unix://{folder}/proxy.sock"
        async with tomada.serve(app) as server, FaultProxy(listen, to=server.addresses[0], seed=4) as proxy:
            talking = [asyncio.create_task(talk(proxy, Random(number), over)) for number in range(CLIENTS)]
            for _ in range(FAULTS):
                await harm(proxy, random)
                await asyncio.sleep(0.01)
            proxy.faults = Faults()
            over.set()
            assert sum(await asyncio.gather(*talking)) > 10_000
            await until(lambda: not proxy.connections)

    run(main())
