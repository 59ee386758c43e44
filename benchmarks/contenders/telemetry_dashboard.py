"""The same server with its dashboard and one viewer, who is told twice a second.

The dashboard's process and the viewer run on the client's core, as beside a server that has a core to itself.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO, cast

import tomada
from benchmarks.contenders import telemetry_off
from benchmarks.load import run
from benchmarks.machine import CLIENT_CORE

measure = telemetry_off.measure
APP = f"{Path(__file__).with_name('tomada_async.py')}:app"


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def serve(announce: Callable[[int], None]) -> None:
    """Serve the app by the command, with a dashboard, and watch it."""
    where = ("--bind", "tcp://127.0.0.1:0", "--dashboard", "127.0.0.1:0", "--json")
    command = [sys.executable, "-m", "tomada", "serve", APP, *where]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        told = json.loads(cast("IO[str]", server.stdout).readline())
        # What is not the server's own goes to the other core.
        with suppress(OSError):
            for pid in (os.getpid(), *_children(server.pid)):
                os.sched_setaffinity(pid, {CLIENT_CORE or 0})
        try:
            run(_watch(told["dashboard"], lambda: announce(int(told["addresses"][0].rpartition(":")[2]))))
        finally:
            server.terminate()


async def _watch(url: str, ready: Callable[[], None]) -> None:
    watch = import_module("tomada.feed.messages").Watch
    address = url.replace("http://", "ws://").partition("#")[0].rstrip("/") + "/feed"
    async with tomada.connect(address, wait=10) as feed, feed.stream(watch()) as pictures:
        await anext(aiter(pictures))
        ready()
        async for _ in pictures:
            pass
    await asyncio.Event().wait()
