"""Connections to a bare protocol on uvloop, with one exchange of the sizes of tomada's handshake."""

import asyncio
from collections.abc import Callable
from typing import cast

from benchmarks.connection_load import rate_of_connections
from benchmarks.contenders.connections_tomada import HELLO
from benchmarks.contenders.tomada_async import app
from benchmarks.load import Plan, run
from tomada.protocol import Engine, Role, Welcome


def _welcome() -> bytes:
    greeting = Welcome(software="tomada (Python)", catalogue=tuple(app.catalogue.entries))
    engine = Engine(Role.ACCEPTING, greeting, 0.0)
    engine.receive(HELLO, 0.0)
    return bytes(engine.take())


ANSWER = _welcome()


class _Greeter(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if len(data) == len(HELLO):
            self._transport.write(ANSWER)


def serve(announce: Callable[[int], None]) -> None:
    """Answer every hello with as many bytes as tomada does."""

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(_Greeter, "127.0.0.1", 0, backlog=1024)
        announce(server.sockets[0].getsockname()[1])
        await asyncio.Event().wait()

    run(main())


def measure(port: int, plan: Plan) -> float:
    """Connections per second."""
    return rate_of_connections(port, plan, HELLO, len(ANSWER))
