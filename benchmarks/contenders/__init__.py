"""Who competes: one file each, with both halves in it.

Every module here has two functions, and they run in separate processes:

- ``serve(announce)`` listens on a free port of 127.0.0.1, calls ``announce(port)`` and answers until it is killed;
- ``measure(port, plan)`` opens one connection, carries out the plan and returns replies per second.

Both ends decode into a typed struct and encode from one; every client checks every reply.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final


@dataclass(frozen=True)
class Contender:
    """One row of the report: its name, its module here, what it needs installed, and the loads it can carry."""

    name: str
    module: str
    needs: tuple[str, ...]
    loads: tuple[int, ...] = (1, 64, 1000)

    def missing(self) -> tuple[str, ...]:
        """The needed packages that are not installed."""
        return tuple(name for name in self.needs if find_spec(name) is None)


CONTENDERS: Final = (
    Contender("tomada", "tomada_async", ("tomada", "uvloop")),
    Contender("tomada-sync", "tomada_sync", ("tomada", "uvloop"), loads=(1,)),
    Contender("socket", "raw_socket", (), loads=(1,)),
    Contender("streams", "streams", ("uvloop",)),
    Contender("pyzmq", "zeromq", ("zmq",)),
    Contender("pyzmq-multipart", "zeromq_multipart", ("zmq",)),
    Contender("pyzmq-asyncio", "zeromq_asyncio", ("zmq", "uvloop")),
    Contender("grpcio", "grpc_aio", ("grpc",)),
    Contender("tomada-websocket", "tomada_websocket", ("tomada", "uvloop", "websockets")),
    Contender("websockets", "websockets_json", ("websockets", "uvloop")),
    Contender("picows", "picows_echo", ("picows", "uvloop")),
)

REFERENCES: Final = {1: "socket", 64: "pyzmq", 1000: "pyzmq"}
"""Per number of requests in flight, the contender whose rate is 1 in the report's ratios."""
