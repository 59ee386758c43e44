"""tomada with a child process per connection."""

from collections.abc import Callable

import msgspec

import tomada
from benchmarks.child_load import Exchange, promptness, rate_of_children
from benchmarks.contenders.tomada_async import Ping, app
from benchmarks.load import Plan
from benchmarks.payload import TEXT
from tomada.catalogue import Catalogue
from tomada.protocol import Engine, Hello, PeerLimits, Role, Welcome

CONNECTIONS = 1
"""So many are served by one child."""


def exchange() -> Exchange:
    """Hello and welcome, request and reply."""
    catalogue, limits = Catalogue((Ping,)), PeerLimits()
    client = Engine(Role.CONNECTING, Hello(limits=limits, catalogue=tuple(catalogue.entries)), 0.0)
    greeting = Welcome(software="tomada (Python)", limits=limits, catalogue=tuple(app.catalogue.entries))
    server = Engine(Role.ACCEPTING, greeting, 0.0)
    hello = bytes(client.take())
    server.receive(hello, 0.0)
    welcome = bytes(server.take())
    client.receive(welcome, 0.0)
    client.ask(catalogue.numbers[Ping], msgspec.msgpack.encode(Ping(1, TEXT)), None)
    ask = bytes(client.take())
    server.receive(ask, 0.0)
    server.reply(1, 1, msgspec.msgpack.encode(Ping(1, TEXT)))  # as long as the right one
    return (hello, len(welcome)), (ask, len(server.take()))


def serve(announce: Callable[[int], None], connections: int = CONNECTIONS) -> None:
    """Serve the app, each connection in a child."""
    children = tomada.Children(connections=connections, spare=8)
    serving = tomada.serve(app, "tcp://127.0.0.1:0", isolation="process", children=children)
    serving.run(ready=lambda server: announce(server.addresses[0].port or 0))


def measure(port: int, plan: Plan) -> float:
    """Connections per second, or how prompt they are."""
    return (promptness if plan.load > 1 else rate_of_children)(port, plan, exchange())
