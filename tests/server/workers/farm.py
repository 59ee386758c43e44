"""An application whose workers can be made to fail. Copied by the tests, which edit it, too."""

import asyncio
import os
import signal
import time
from pathlib import Path

import tomada

VERSION = 1
START_SECONDS = 0.0


class Pid(tomada.Request[int]):
    """Which process serves."""


class Version(tomada.Request[int]):
    """Which version of this file."""


class Nap(tomada.Request[int]):
    """Answered, with the version, when so many seconds have passed."""

    seconds: float


class Block(tomada.Request[int]):
    """As `Nap`, and nothing else runs meanwhile."""

    seconds: float


class Die(tomada.Request[int]):
    """Never answered."""

    number: int = signal.SIGKILL


app = tomada.App("farm")


@app.on_start
async def begin() -> None:
    Path(__file__).with_name("starting").touch()
    await asyncio.sleep(START_SECONDS)


@app.on_stop
async def end() -> None:
    Path(__file__).with_name("ended").open("a").write(f"{os.getpid()}\n")


@app.on
async def pid(_: Pid) -> int:
    return os.getpid()


@app.on
async def version(_: Version) -> int:
    return VERSION


@app.on
async def nap(request: Nap) -> int:
    Path(__file__).with_name("begun").touch()
    await asyncio.sleep(request.seconds)
    return VERSION


@app.on
async def block(request: Block) -> int:
    Path(__file__).with_name("begun").touch()
    time.sleep(request.seconds)  # noqa: ASYNC251 - what it is for
    return VERSION


@app.on
async def die(request: Die) -> int:
    os.kill(os.getpid(), request.number)
    return 0
