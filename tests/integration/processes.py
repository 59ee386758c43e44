"""The programs of ``program.py`` in processes of their own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

PROGRAM = Path(__file__).with_name("program.py")


def environment() -> dict[str, str]:
    """Where the programs find the tests' shared parts."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(PROGRAM.parents[2]), os.environ.get("PYTHONPATH", "")])}


@contextmanager
def program(*words: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(PROGRAM), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    """What it says next."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


class Process:
    """One of the programs in ``program.py``, in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> str:
        assert self._process.stdout is not None
        return (await self._process.stdout.readline()).decode().strip()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def end(self) -> tuple[int, str]:
        """Its exit code and what it said last."""
        out, _ = await self._process.communicate()
        return self._process.returncode or 0, out.decode()

    async def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()


@asynccontextmanager
async def process(*words: str) -> AsyncIterator[Process]:
    pipe = asyncio.subprocess.PIPE
    started = Process(
        await asyncio.create_subprocess_exec(
            sys.executable, str(PROGRAM), *words, stdout=pipe, stdin=asyncio.subprocess.DEVNULL, env=environment()
        )
    )
    try:
        yield started
    finally:
        await started.kill()
