"""Connections to tomada with its whole handshake, each closed without a word."""

from benchmarks.connection_load import greeting, rate_of_connections
from benchmarks.contenders.tomada_async import serve
from benchmarks.load import Plan
from tomada.protocol import Engine, Hello, Role

__all__ = ["measure", "serve"]

HELLO = bytes(Engine(Role.CONNECTING, Hello(software="benchmark"), 0.0).take())


def measure(port: int, plan: Plan) -> float:
    """Connections per second."""
    return rate_of_connections(port, plan, HELLO, greeting(port, HELLO))
