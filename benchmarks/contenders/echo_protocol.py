"""A bare protocol on uvloop: callbacks, and nothing that could be left out."""

import asyncio
from collections.abc import Callable
from typing import cast

from benchmarks.echo_load import rate_of_echoes
from benchmarks.load import run


class _Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


def serve(announce: Callable[[int], None]) -> None:
    """Echo."""

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(_Echo, "127.0.0.1", 0)
        announce(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    run(main())


measure = rate_of_echoes
