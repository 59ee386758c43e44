"""tomada's byte streams, one way: what arrives counts, by the receiver's clock."""

import asyncio
from collections.abc import Callable
from time import perf_counter

import tomada
from benchmarks.load import Plan, run

CHUNK = bytes(1_048_576)

app = tomada.App("bulk")


@app.stream("tcp://127.0.0.1:0")
async def sink(stream: tomada.Stream) -> None:
    """Receive all there is; a line tells the seconds not to count, and the answer is the rate of the rest."""
    warm_up = float(await stream.receive_until(b"\n"))
    begun, count = perf_counter() + warm_up, 0
    async for chunk in stream:
        if perf_counter() >= begun:
            count += len(chunk)
    await stream.send(b"%f\n" % (count / 1e6 / (perf_counter() - begun)))


def serve(announce: Callable[[int], None]) -> None:
    """Serve the sink."""

    async def main() -> None:
        async with tomada.serve(app) as server:
            announce(server.addresses[0].port or 0)
            await asyncio.Event().wait()

    run(main())


def measure(port: int, plan: Plan) -> float:
    """Send chunks as long as the plan says."""

    async def main() -> float:
        async with tomada.connect_stream(f"tcp://127.0.0.1:{port}") as stream:
            await stream.send(b"%f\n" % plan.warm_up)
            end = perf_counter() + plan.warm_up + plan.seconds
            while perf_counter() < end:
                await stream.send(CHUNK)
            await stream.shutdown()
            return float(await stream.receive_until(b"\n"))

    return run(main())
