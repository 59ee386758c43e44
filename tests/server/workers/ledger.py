"""An application that writes down what it handles, for clients whose connections are cut. Copied by the tests."""

import asyncio
import os
from pathlib import Path

import tomada

app = tomada.App("ledger")


class Entry(tomada.Message):
    """One of many, in order."""

    client: str
    number: int


class Echo(tomada.Message):
    """What the server has to say of an entry."""

    number: int


class Pid(tomada.Request[int]):
    """Which process serves."""


class Slow(tomada.Request[int]):
    """Answered with the process, when so many seconds have passed."""

    seconds: float


@app.on
async def entry(message: Entry, peer: tomada.Connection) -> None:
    """Write it down, and tell."""
    with Path(__file__).with_name(f"{message.client}.txt").open("a") as file:
        file.write(f"{message.number}\n")
    await peer.send(Echo(message.number))


@app.on
async def pid(_: Pid) -> int:
    """The process."""
    return os.getpid()


@app.on
async def slow(request: Slow) -> int:
    """The process, later."""
    await asyncio.sleep(request.seconds)
    return os.getpid()
