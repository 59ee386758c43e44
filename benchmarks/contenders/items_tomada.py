"""A stream of small typed items over tomada's messages."""

from time import perf_counter

import tomada
from benchmarks.contenders.chunks_tomada import Numbers, serve
from benchmarks.load import Plan, run

__all__ = ["measure", "serve"]


def measure(port: int, plan: Plan) -> float:
    """Items per second, in their order."""

    async def main() -> float:
        async with tomada.connect(f"tcp://127.0.0.1:{port}") as client:
            begun, first, expected, now = perf_counter() + plan.warm_up, 0, 0, 0.0
            async for number in client.stream(Numbers()):
                if number != expected:
                    raise ValueError(f"{number} came in the place of {expected}")
                expected += 1
                if number % 1_000 == 0:
                    now = perf_counter()
                    if now >= begun + plan.seconds:
                        break
                    if now < begun:
                        first = number
            return (expected - first) / (now - begun)

    return run(main())
