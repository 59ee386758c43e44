"""asyncio streams on uvloop, framed by hand: what a careful programmer writes without a library.

``readexactly`` for the header and for the payload, ``write`` and ``drain`` per message, a future per request.
"""

import asyncio
from collections.abc import Callable
from contextlib import closing, suppress

from benchmarks.load import Plan, rate_of_workers, run
from benchmarks.payload import HEADER, TEXT, Ping, Pong, answer, decode_ping, decode_pong, frame


async def _receive(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    length, _, _, _, identifier, _ = HEADER.unpack(await reader.readexactly(HEADER.size))
    return identifier, await reader.readexactly(length)


async def _answer_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with closing(writer), suppress(asyncio.IncompleteReadError):  # raised when the client has finished
        while True:
            identifier, payload = await _receive(reader)
            writer.write(frame(identifier, answer(decode_ping(payload))))
            await writer.drain()


def serve(announce: Callable[[int], None]) -> None:
    """Answer each connection in a task of its own, in order."""

    async def main() -> None:
        server = await asyncio.start_server(_answer_all, "127.0.0.1", 0)
        announce(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    run(main())


class _Client:
    """One connection whose replies find their requests by id."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._waiting: dict[int, asyncio.Future[Pong]] = {}

    async def ask(self, number: int) -> Pong:
        reply: asyncio.Future[Pong] = asyncio.get_running_loop().create_future()
        self._waiting[number] = reply
        self._writer.write(frame(number, Ping(number, TEXT)))
        await self._writer.drain()
        return await reply

    async def dispatch(self) -> None:
        while True:
            identifier, payload = await _receive(self._reader)
            self._waiting.pop(identifier).set_result(decode_pong(payload))


def measure(port: int, plan: Plan) -> float:
    """One task reads replies, ``plan.load`` workers ask; if reading fails, so does the measurement."""

    async def main() -> float:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        client = _Client(reader, writer)
        with closing(writer):
            async with asyncio.TaskGroup() as group:
                dispatching = group.create_task(client.dispatch())
                rate = await rate_of_workers(client.ask, plan)
                dispatching.cancel()
        return rate

    return run(main())
