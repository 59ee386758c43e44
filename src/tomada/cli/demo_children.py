"""The demo's processes: started in a group of their own, read line by line, and gone when the demo is gone."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Coroutine, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

T = TypeVar("T")
LAST_WORDS: Final = 8
GUARD: Final = """
import os, shutil, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sys.stdin.read()
os.killpg(0, signal.SIGTERM)
time.sleep(0.5)
shutil.rmtree(sys.argv[1], ignore_errors=True)
os.killpg(0, signal.SIGKILL)
"""
"""Leads the group. Its standard input ends when the demo does, even if that is killed: then it ends them all."""


class ChildDied(Exception):
    """A process ended that should not have; the text says which, how, and the last it wrote."""


class Child:
    """A process of the demo. Got from `Children.start`.

    Attributes:
        name: For messages to people.
        fine: The exit statuses that are no accident.
    """

    def __init__(self, name: str, process: Process, fine: frozenset[int]) -> None:
        self.name = name
        self.fine = fine
        self.process = process
        self._words: deque[str] = deque(maxlen=LAST_WORDS)
        self._listening = asyncio.create_task(self._listen())

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """The JSON objects that it prints, to the end of its output."""
        async for line in cast("asyncio.StreamReader", self.process.stdout):
            yield json.loads(line)

    async def event(self) -> dict[str, Any]:
        """The next JSON object that it prints. Raises `ChildDied` where it ends without one."""
        async for event in self.events():
            return event
        await self.end()
        raise ChildDied(f"the {self.name} ended without a word")

    async def end(self) -> None:
        """Wait for its end. Raises `ChildDied` where its exit status is none of the fine ones."""
        status = await self.process.wait()
        await self._listening
        if status not in self.fine:
            how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
            raise ChildDied("\n".join([f"the {self.name} {how}; the last it wrote:", *(self._words or ["(nothing)"])]))

    async def stop(self) -> None:
        """Ask it to end in its own time, and wait until it has."""
        self.fine = frozenset({0})
        self.process.terminate()
        await self.end()

    async def kill(self) -> None:
        """End it at once."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self._listening

    async def _listen(self) -> None:
        async for line in cast("asyncio.StreamReader", self.process.stderr):
            self._words.append(line.decode(errors="replace").rstrip())


class Children:
    """All processes of the demo: leaving the context kills those that still run.

    Args:
        directory: Theirs. It is removed, if this process cannot do it any more.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._children: list[Child] = []
        self._guard: Process | None = None
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watching: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        if os.name == "posix":
            command = (sys.executable, "-I", "-S", "-c", GUARD, str(self._directory))
            self._guard = await _spawn(*command, stdin=PIPE, stdout=DEVNULL, process_group=0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in self._watching:
            task.cancel()
        for child in self._children:
            await child.kill()
        if self._guard is not None:
            os.killpg(self._guard.pid, signal.SIGKILL)  # with whatever its children have started
            await self._guard.wait()
        self._failure.cancel()

    async def start(
        self, name: str, *arguments: str, fine: frozenset[int], environ: Mapping[str, str] | None = None
    ) -> Child:
        """Start Python with `arguments`. Whatever exit status it has beside the `fine` ones ends `work`."""
        group = None if self._guard is None else self._guard.pid
        command = (sys.executable, *arguments)
        environ = {**os.environ, **(environ or {})}
        process = await _spawn(*command, env=environ, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, process_group=group)
        child = Child(name, process, fine)
        self._children.append(child)
        watching = asyncio.create_task(self._watch(child))
        self._watching.add(watching)
        return child

    async def work(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` while no child dies. Raises `ChildDied`."""
        task = asyncio.create_task(work)
        first: set[asyncio.Future[Any]] = {task, self._failure}
        try:
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            if self._failure.done():
                self._failure.result()
            return task.result()
        finally:
            task.cancel()
            await asyncio.wait({task})  # what it is starting joins the children, or ends

    async def _watch(self, child: Child) -> None:
        try:
            await child.end()
        except ChildDied as death:
            if not self._failure.done():
                self._failure.set_exception(death)

    @property
    def pids(self) -> dict[str, int]:
        """The process numbers of the children, by name."""
        return {child.name: child.process.pid for child in self._children}


async def _spawn(*command: str, **options: Any) -> Process:
    """Start a process; cancelled meanwhile, it leaves none behind."""
    starting = asyncio.ensure_future(asyncio.create_subprocess_exec(*command, **options))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        process = await starting
        process.kill()
        await process.wait()
        raise
