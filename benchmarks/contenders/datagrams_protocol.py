"""A `DatagramProtocol`, as Python's documentation has it, on uvloop: what asyncio has for datagrams."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

from benchmarks.load import Plan, rate_of_datagrams, run
from benchmarks.payload import DATAGRAM, count_of, told

Runner = Callable[[Coroutine[Any, Any, Any]], Any]


class Counter(asyncio.DatagramProtocol):
    """Counts, and tells the count to who asks."""

    def __init__(self) -> None:
        self.handled = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """Handle one datagram."""
        if len(data) == len(DATAGRAM):
            self.handled += 1
        else:
            self.transport.sendto(told(data, self.handled), addr)


class Asker(asyncio.DatagramProtocol):
    """Takes the answers."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[bytes] = asyncio.Queue()
        self.room = asyncio.Event()
        self.room.set()

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:  # noqa: ARG002 - asyncio's signature
        """Take one."""
        self.answers.put_nowait(data)

    def pause_writing(self) -> None:
        """Too much waits."""
        self.room.clear()

    def resume_writing(self) -> None:
        """Go on."""
        self.room.set()


def serve(announce: Callable[[int], None], runner: Runner = run) -> None:
    """Open the endpoint."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Counter, local_addr=("127.0.0.1", 0))
        announce(transport.get_extra_info("sockname")[1])
        await asyncio.Event().wait()

    runner(main())


def measure(port: int, plan: Plan, runner: Runner = run) -> float:
    """Send with the transport's own `sendto`, one after the other."""

    async def main() -> float:
        loop = asyncio.get_running_loop()
        transport, asker = await loop.create_datagram_endpoint(Asker, remote_addr=("127.0.0.1", port))

        async def flood() -> None:
            for _ in range(100):
                transport.sendto(DATAGRAM)
            await asyncio.sleep(0)
            await asker.room.wait()

        async def ask(question: bytes) -> bytes:
            transport.sendto(question)
            return await asyncio.wait_for(asker.answers.get(), 0.2)

        return await rate_of_datagrams(flood, ask, plan, count_of)

    return cast("float", runner(main()))
