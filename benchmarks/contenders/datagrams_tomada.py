"""tomada's datagrams, as the how-to writes them: sent one at a time, each handed to a handler."""

import asyncio
from collections.abc import Callable

import tomada
from benchmarks.load import Plan, rate_of_datagrams, run
from benchmarks.payload import DATAGRAM, count_of, told

app = tomada.App("bench")
handled = 0


@app.datagram("udp://127.0.0.1:0")
async def count(datagram: bytes, peer: tomada.DatagramPeer) -> None:
    """Count, and tell the count to who asks."""
    global handled  # noqa: PLW0603 - the handler's state, as short as that of the peers
    if len(datagram) == len(DATAGRAM):
        handled += 1
    else:
        peer.reply(told(datagram, handled))


def serve(announce: Callable[[int], None]) -> None:
    """Serve the app."""

    async def main() -> None:
        async with tomada.serve(app) as server:
            announce(server.addresses[0].port or 0)
            await asyncio.Event().wait()

    run(main())


def measure(port: int, plan: Plan) -> float:
    """Send as fast as `send` lets."""

    async def main() -> float:
        async with tomada.bind("udp://127.0.0.1:0", peer=f"udp://127.0.0.1:{port}") as socket:

            async def flood() -> None:
                for _ in range(1_000):
                    await socket.send(DATAGRAM)

            async def ask(question: bytes) -> bytes:
                await socket.send(question)
                return (await socket.receive(timeout=0.2)).data

            return await rate_of_datagrams(flood, ask, plan, count_of)

    return run(main())
