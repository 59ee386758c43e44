"""A bare protocol on uvloop: what comes is counted as it comes, and nothing is made of it."""

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import cast

from benchmarks.load import Plan, run


class _Sender(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._is_paused = False

    def data_received(self, data: bytes) -> None:
        self._chunk = bytes(int(data))
        self._send()

    def _send(self) -> None:
        while not self._is_paused and not self._transport.is_closing():
            self._transport.write(self._chunk)

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        self._send()


class _Counter(asyncio.Protocol):
    def __init__(self, begun: float, seconds: float) -> None:
        self._begun = begun
        self._end = begun + seconds
        self._count = 0
        self.rate: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        now = perf_counter()
        if now >= self._begun:
            self._count += len(data)
            if now >= self._end and not self.rate.done():
                self.rate.set_result(self._count / 1e6 / (now - self._begun))


def serve(announce: Callable[[int], None]) -> None:
    """Send chunks to whoever asks for some."""

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(_Sender, "127.0.0.1", 0)
        announce(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    run(main())


def measure(port: int, plan: Plan) -> float:
    """Megabytes per second."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        counter = _Counter(perf_counter() + plan.warm_up, plan.seconds)
        transport, _ = await loop.create_connection(lambda: counter, "127.0.0.1", port)
        transport.write(b"%d" % plan.load)
        rate = await counter.rate
        transport.abort()
        return rate

    return run(main())
