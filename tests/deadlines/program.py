"""Programs that the tests stop, or cut off: ``program.py ROLE ADDRESS HEARTBEAT``. They tell what they see.

`app` has a stream, too, at a port of its own.
"""

# ruff: noqa: T201 - they tell their test on standard output what happens

from __future__ import annotations

import asyncio
import math
import sys
import time

import tomada
from tests.integration.house import Echo, Hold
from tomada import Deadlines
from tomada.telemetry import ConnectionEnded

app = tomada.App("program")


@app.on
async def echo(request: Echo) -> bytes:
    return request.data


@app.on
async def hold(request: Hold) -> str:  # noqa: ARG001 - the annotation is the route
    say("began")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        say("cancelled")
        raise
    return ""


@app.stream("tcp://:0")
async def quiet(stream: tomada.Stream) -> None:
    """Only says that it is there."""
    say("began")
    await stream.send(b"hello")
    await stream.flow.ended
    say("stream over")


def say(*words: object) -> None:
    print(time.monotonic(), *words, flush=True)


def deadlines(heartbeat: str) -> Deadlines:
    return Deadlines(heartbeat=float(heartbeat), idle=math.inf, progress=2)


def serve(address: str, heartbeat: str) -> None:
    tomada.subscribe(lambda event: say("ended", event.reason), ConnectionEnded)
    serving = tomada.serve(app, address, deadlines=deadlines(heartbeat))
    serving.run(ready=lambda server: say(*server.addresses))


def ask(address: str, heartbeat: str) -> None:
    async def main() -> None:
        async with tomada.connect(address, deadlines=deadlines(heartbeat), sessions=False) as client:
            say("connected")
            try:
                await client.ask(Hold(""))
            except tomada.ConnectionLost as error:
                say("lost", error)

    asyncio.run(main())


def ask_sync(address: str, heartbeat: str) -> None:
    client = tomada.sync.connect(address, deadlines=deadlines(heartbeat), sessions=False)
    say("connected")
    try:
        client.ask(Hold(""))
    except tomada.ConnectionLost as error:
        say("lost", error)
    client.close()


def stream(address: str, heartbeat: str) -> None:
    async def main() -> None:
        stream = await tomada.connect_stream(address, deadlines=deadlines(heartbeat))
        say("connected", await stream.receive())
        await stream.flow.ended
        say("lost", stream.flow.lost)

    asyncio.run(main())


if __name__ == "__main__":
    {"serve": serve, "ask": ask, "ask_sync": ask_sync, "stream": stream}[sys.argv[1]](*sys.argv[2:])
