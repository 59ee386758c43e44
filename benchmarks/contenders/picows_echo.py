"""A bare echo on picows, a WebSocket written in Cython: what the wire itself allows in Python, without types or calls.

One message per request and no futures: a callback that receives a reply sends the next request. The payload is as long
as the others' and begins with the number, which is checked; nothing is decoded.
"""

import asyncio
import itertools
from collections.abc import Callable
from time import perf_counter

from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_connect, ws_create_server

from benchmarks.load import Plan, WrongReply, run
from benchmarks.payload import TEXT

_TAIL = TEXT.encode()


class _Echo(WSListener):  # type: ignore[misc] # picows is not there for mypy
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        transport.send(frame.msg_type, frame.get_payload_as_bytes())


class _Client(WSListener):  # type: ignore[misc] # picows is not there for mypy
    """Keeps a number of requests under way until its time is up."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._waiting: set[int] = set()
        self._count = 0
        self._end = 0.0
        self._over: asyncio.Future[None] | None = None

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        number = int.from_bytes(frame.get_payload_as_bytes()[:8], "big")
        if number not in self._waiting:
            raise WrongReply(f"got a reply to {number}, which is not waited for")
        self._waiting.remove(number)
        self._count += 1
        if perf_counter() < self._end:
            self._ask(transport)
        elif not self._waiting and self._over is not None:
            self._over.set_result(None)

    def _ask(self, transport: WSTransport) -> None:
        number = next(self._numbers)
        self._waiting.add(number)
        transport.send(WSMsgType.BINARY, number.to_bytes(8, "big") + _TAIL)

    async def phase(self, transport: WSTransport, in_flight: int, seconds: float) -> float:
        """Replies per second."""
        self._over = asyncio.get_running_loop().create_future()
        self._count = 0
        start = perf_counter()
        self._end = start + seconds
        for _ in range(in_flight):
            self._ask(transport)
        await self._over
        return self._count / (perf_counter() - start)


def serve(announce: Callable[[int], None]) -> None:
    """Send every message back."""

    def listener(_request: WSUpgradeRequest) -> WSListener:
        return _Echo()

    async def main() -> None:
        server = await ws_create_server(listener, "127.0.0.1", 0)
        announce(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    run(main())


def measure(port: int, plan: Plan) -> float:
    """``plan.load`` messages under way over one connection."""

    async def main() -> float:
        transport, client = await ws_connect(_Client, f"ws://127.0.0.1:{port}/")
        await client.phase(transport, plan.load, plan.warm_up)
        rate = await client.phase(transport, plan.load, plan.seconds)
        transport.disconnect()
        return float(rate)

    return run(main())
