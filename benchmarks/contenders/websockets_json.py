"""The library websockets on uvloop with msgspec's JSON: how typed messages over WebSocket are usually written.

Without compression, which would only slow it down. The number in the payload is what replies are matched by.
"""

import asyncio
from collections.abc import Callable

import msgspec
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websockets

from benchmarks.load import Plan, rate_of_workers, run
from benchmarks.payload import TEXT, Ping, Pong, answer

_encode = msgspec.json.encode
_decode_ping = msgspec.json.Decoder(Ping).decode
_decode_pong = msgspec.json.Decoder(Pong).decode


async def _answer_all(connection: ServerConnection) -> None:
    async for data in connection:
        await connection.send(_encode(answer(_decode_ping(data))))


def serve(announce: Callable[[int], None]) -> None:
    """Answer each message of a connection, in order."""

    async def main() -> None:
        async with serve_websockets(_answer_all, "127.0.0.1", 0, compression=None) as server:
            announce(next(iter(server.sockets)).getsockname()[1])
            await asyncio.Event().wait()

    run(main())


def measure(port: int, plan: Plan) -> float:
    """One task receives replies, ``plan.load`` workers ask."""

    async def main() -> float:
        waiting: dict[int, asyncio.Future[Pong]] = {}
        async with connect(f"ws://127.0.0.1:{port}", compression=None) as connection:

            async def ask(number: int) -> Pong:
                reply: asyncio.Future[Pong] = asyncio.get_running_loop().create_future()
                waiting[number] = reply
                await connection.send(_encode(Ping(number, TEXT)))
                return await reply

            async def dispatch() -> None:
                async for data in connection:
                    reply = _decode_pong(data)
                    waiting.pop(reply.number).set_result(reply)

            async with asyncio.TaskGroup() as group:
                dispatching = group.create_task(dispatch())
                rate = await rate_of_workers(ask, plan)
                dispatching.cancel()
        return rate

    return run(main())
