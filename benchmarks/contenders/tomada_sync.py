"""tomada's blocking client, against the same server as its asyncio client."""

import tomada.sync
from benchmarks.contenders.tomada_async import Ping, Pong, serve
from benchmarks.load import Plan, rate_of_calls
from benchmarks.payload import TEXT

__all__ = ["measure", "serve"]


def measure(port: int, plan: Plan) -> float:
    """One thread asks and waits; ``plan.load`` can only be 1."""
    with tomada.sync.connect(f"tcp://127.0.0.1:{port}") as connection:

        def ask(number: int) -> Pong:
            return connection.ask(Ping(number, TEXT))

        return rate_of_calls(ask, plan)
