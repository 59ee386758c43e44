"""EasyNetwork on uvloop, with the least a packet can be: whatever has come."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

from easynetwork.protocol import StreamProtocol
from easynetwork.serializers.abc import AbstractIncrementalPacketSerializer
from easynetwork.servers import AsyncTCPNetworkServer
from easynetwork.servers.handlers import AsyncStreamClient, AsyncStreamRequestHandler

from benchmarks.echo_load import rate_of_echoes
from benchmarks.load import run


class _AsItComes(AbstractIncrementalPacketSerializer[bytes, bytes]):  # type: ignore[misc] # there only after `make bench`
    def serialize(self, packet: bytes, /) -> bytes:
        return packet

    def deserialize(self, data: bytes, /) -> bytes:
        return data

    def incremental_serialize(self, packet: bytes, /) -> Generator[bytes, None, None]:
        yield packet

    def incremental_deserialize(self) -> Generator[None, bytes, tuple[bytes, bytes]]:
        data = yield
        return data, b""


class _Echo(AsyncStreamRequestHandler[Any, Any]):  # type: ignore[misc] # as above
    async def handle(self, client: AsyncStreamClient[Any]) -> AsyncGenerator[None, Any]:
        while True:
            packet = yield
            await client.send_packet(packet)


def serve(announce: Callable[[int], None]) -> None:
    """Echo."""
    serve_packets(announce, _AsItComes())


def serve_packets(announce: Callable[[int], None], serializer: AbstractIncrementalPacketSerializer[Any, Any]) -> None:
    """Echo the packets of `serializer`."""
    logging.disable(logging.ERROR)

    async def main() -> None:
        server = AsyncTCPNetworkServer("127.0.0.1", 0, StreamProtocol(serializer), _Echo(), "asyncio")
        async with server:
            up = asyncio.Event()
            serving = asyncio.create_task(server.serve_forever(is_up_event=up))
            await up.wait()
            announce(server.get_addresses()[0].port)
            await serving

    run(main())


measure = rate_of_echoes
