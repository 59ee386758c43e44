"""What waits for a peer costs no time, and goes on when there is room."""

from __future__ import annotations

import asyncio

import tomada
from tests.deadlines.virtual import HERE, virtually, wire
from tests.integration.house import Make
from tomada.protocol import Kind

SIZE = 5_000
COUNT = 20


def test_requests_that_wait_for_a_peer_that_does_not_read_keep_no_loop_busy() -> None:
    """On this clock a loop that never rests never sees a second pass."""
    app = tomada.App()

    @app.on
    async def make(request: Make) -> bytes:
        return bytes(request.size)

    async def main() -> None:
        limits = tomada.Limits(buffer_bytes=4_096)
        async with tomada.serve(app, HERE, limits=limits) as server, wire() as peer:
            await peer.hello()
            peer.transport.pause_reading()
            for number in range(COUNT):
                peer.say(peer.ask(Make(SIZE), 2 * number + 1))
            await asyncio.sleep(1)
            (connection,) = server.connections
            waiting = connection.statistics().peer_requests
            assert waiting > 0, "all were answered, be it into the buffers of the peer"

            peer.transport.resume_reading()
            answered = 0
            while answered < COUNT:
                kind, _, payload = await peer.hear()
                answered += kind == Kind.REPLY and len(payload) > SIZE

    virtually(main())
