"""Whole lives of children, in the template, on an event loop that is gone before anybody is forked.

See ``rehearsal.py`` for why.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from tomada.address import Address
from tomada.recording import tap
from tomada.server.children import limits
from tomada.server.children.channel import Channel, Plan, Serve, decode_from_child, decode_to_child, pair
from tomada.server.children.child import Child
from tomada.server.children.rehearsal import app, silence, words
from tomada.server.children.seed import Seed
from tomada.settings import Children, Deadlines, Limits
from tomada.telemetry.tracer import untraced
from tomada.transports import Options

_OFTEN: Final = 20
"""The interpreter specialises what it has run a few times."""


@untraced()
def rehearse_children() -> None:
    """Be a child some times over: start, serve a connection, end."""
    plan = Plan(
        addresses=(Address("unix"),),
        limits=Limits(),
        deadlines=Deadlines(),
        options=Options(),
        children=Children(),
    )
    seed = Seed(app, plan, -1, limits.bounds_of(plan.children))
    with silence(), tap.nobody():
        for _ in range(_OFTEN):
            loop = asyncio.new_event_loop()
            try:
                loop.run_until_complete(_live(seed))
            finally:
                loop.close()


async def _live(seed: Seed) -> None:
    server, own = pair()
    client, accepted = socket.socketpair()
    with server, own, client, accepted:
        client.send(words())
        Channel(server, decode_from_child).send(Serve(0), [accepted.fileno()])
        accepted.close()
        await Child(seed, Channel(own, decode_to_child), bytearray(2)).run()
