"""Servers of ``program.py``, and what the system knows of their processes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import tomada
from tests.server.children.program import HERE, Echo, app


@asynccontextmanager
async def serving(
    *addresses: str, children: tomada.Children | None = None, deadlines: tomada.Deadlines | None = None, **more: Any
) -> AsyncIterator[tomada.Server]:
    """A server with children, and a bystander at its first address, who notices nothing."""
    children = children or tomada.Children(spare=2)
    serving = tomada.serve(
        app, *(addresses or (HERE,)), isolation="process", children=children, deadlines=deadlines, **more
    )
    async with serving as server:
        yield server
    assert processes() == []


@asynccontextmanager
async def bystander(server: tomada.Server, tls: tomada.TLS | None = None) -> AsyncIterator[None]:
    """A healthy connection that sends numbered messages while others die, and loses none."""
    async with tomada.connect(server.addresses[0], tls=tls) as connection:
        leaving = asyncio.Event()
        asked = asyncio.create_task(_keep_asking(connection, leaving))
        try:
            yield
        finally:
            leaving.set()
            await asked


async def _keep_asking(connection: tomada.Connection, leaving: asyncio.Event) -> None:
    number = 0
    while not leaving.is_set():
        number += 1
        assert await connection.ask(Echo(b"%d" % number)) == b"%d" % number
        await asyncio.sleep(0.002)  # a person's pace, so that it does not take the processor


others: set[int] = set()
"""Children of this process that other tests have, and keep."""


def processes(parent: int | None = None) -> list[tuple[int, str]]:
    """The children of a process, each with its state: Z is a zombie. By default those that this test has."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            with suppress(OSError):
                state, above = (place / "stat").read_text().rpartition(")")[2].split()[:2]
                if int(above) == (parent or os.getpid()) and int(place.name) not in others:
                    found.append((int(place.name), state))
    return found


def is_alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that other processes bring about, and tell nobody of."""
    while not condition():  # noqa: ASYNC110 - that is what it is for
        await asyncio.sleep(0.005)
