"""A process of the simulation: asyncio's own event loop, with its own order of steps, on the world's time and network.

Within a process all runs as on a real machine: what asyncio promises of order holds. Between processes nothing does:
the world draws who has the next turn. A process may stand still for a while, and it may be killed, which runs not one
line of it any more, as kill -9 does.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import events
from collections.abc import Awaitable, Callable
from contextvars import Context
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, cast

from tests.simulation.network import Listening

if TYPE_CHECKING:
    from tests.simulation.world import World


_STUBBORN: Final = 10
"""So often a coroutine may go on waiting although it is told to end."""


class _NoSelector:
    """In place of the kernel: the world says what has come, and when it is time."""

    def select(self, timeout: float | None) -> list[Any]:
        del timeout
        return []

    def close(self) -> None:
        pass


class Process(asyncio.BaseEventLoop):
    """One process, on one host.

    Args:
        world: Whose time and network it has.
        host: Where it runs: one of the network's hosts.
        name: What the history calls it; each has its own.
        pace: How long a turn of its loop lasts at most, in seconds; drawn anew for each.
    """

    def __init__(self, world: World, host: str, name: str, pace: float) -> None:
        super().__init__()
        loop = cast("Any", self)
        loop._selector = _NoSelector()
        loop._clock_resolution = 1e-9
        loop._thread_id = get_ident()  # it counts as running from its beginning to its end
        self._run = loop._run_once
        self._ready: Any
        self._scheduled: Any
        self.world = world
        self.host = host
        self.name = name
        self.is_dead = False
        self.is_over = False
        """Whether it has come to its end by itself."""
        self._pace = pace
        self._random = world.fork(f"pace of {name}")
        self._context = Context()
        self._armed: asyncio.TimerHandle | None = None
        self._armed_at = 0.0
        self._paused_until = 0.0
        self._memory: set[asyncio.Task[Any]] = set()
        self.paused = 0.0
        """For how long it has stood still so far, in seconds."""

    def time(self) -> float:
        return self.world.now

    # Turns.

    def post(self, callback: Callable[..., object], *args: Any) -> None:
        """Let something that comes from outside run in its next turn."""
        if not self.is_dead:
            self.call_soon(callback, *args, context=self._context)
            self._arm()

    def start(self, coroutine: Any, name: str) -> asyncio.Task[Any]:
        """Begin a task in it, from outside."""
        task = self._context.run(self.create_task, coroutine, name=name)
        self._arm()
        return task

    def pause(self, seconds: float) -> None:
        """Let it stand still, as SIGSTOP does; what comes for it waits in its kernel."""
        until = self.world.now + seconds
        if until > self._paused_until:
            self.paused += until - max(self._paused_until, self.world.now)
            self._paused_until = until

    def kill(self) -> None:
        """End it at once. Its memory is kept to the end of the world, so that nothing of it is ever finalised."""
        self.is_dead = True
        self._memory = asyncio.all_tasks(self)
        if self._armed is not None:
            self._armed.cancel()
        self.world.network.orphan(self)

    def _arm(self) -> None:
        """See to its next turn: soon where there is something to do, else when its next timer is due."""
        now = self.world.now
        if self._ready:
            at = now + self._pace * self._random.random()
        elif self._scheduled:
            at = max(now, self._scheduled[0].when())
        else:
            return
        at = max(at, self._paused_until)
        if self._armed is not None:
            if self._armed_at <= at:
                return
            self._armed.cancel()
        self._armed_at = at
        self._armed = self.world.at(at, self._turn)

    def _turn(self) -> None:
        self._armed = None
        if self.is_dead:
            return
        if self.world.now < self._paused_until:
            self._arm()
            return
        self.world.count_turn()
        hooks = sys.get_asyncgen_hooks()
        outer = events._get_running_loop()
        loop = cast("Any", self)
        sys.set_asyncgen_hooks(loop._asyncgen_firstiter_hook, loop._asyncgen_finalizer_hook)
        events._set_running_loop(self)
        try:
            self._run()
        finally:
            events._set_running_loop(outer)
            sys.set_asyncgen_hooks(*hooks)
        if not self.is_dead:  # it may have ended itself
            self._arm()

    def tasks(self) -> list[asyncio.Task[Any]]:
        """What has not ended in it."""
        return sorted(asyncio.all_tasks(self), key=lambda task: task.get_name())

    def bury(self) -> None:
        """The world ends: let go of what is left, in which nothing of the process happens any more."""
        self.is_dead = True
        outer = events._get_running_loop()
        events._set_running_loop(self)
        buried: set[asyncio.Task[Any]] = set()
        try:
            # To let go of a coroutine runs its `finally`, which may begin another one.
            while left := asyncio.all_tasks(self) - buried:
                buried |= left
                for task in left:
                    cast("Any", task)._log_destroy_pending = False
                    _let_go(task.get_coro())
        finally:
            events._set_running_loop(outer)
        self._ready.clear()
        self._scheduled.clear()

    def __del__(self) -> None:
        pass  # a process that was killed has closed nothing

    # What the event loop of a real process asks of the system.

    async def create_connection(  # type: ignore[override] # as much of it as the product asks for
        self, protocol_factory: Callable[[], asyncio.Protocol], host: str, port: int
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        return await self.world.network.connect(self, protocol_factory, (host, port))

    async def create_server(  # type: ignore[override] # as above
        self, protocol_factory: Callable[[], asyncio.Protocol], host: str, port: int, *, backlog: int = 100
    ) -> Listening:
        del backlog
        return self.world.network.listen(self, protocol_factory, (host, port))

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Awaitable[Any]:  # type: ignore[override] # without threads
        """Run it on this very thread, a moment later: what is blocking elsewhere takes drawn time here."""
        del executor
        future = self.create_future()

        def run() -> None:
            if future.cancelled():
                return
            try:
                tell, what = future.set_result, func(*args)
            except Exception as error:  # noqa: BLE001 - it is raised to who waits
                tell, what = future.set_exception, error
            # A process may be killed when its work is done, and it does not know.
            self.call_later(0.01 * self._random.random(), lambda: future.done() or tell(what))

        self.call_later(0.02 * self._random.random(), run)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self.is_dead:
            return
        error = context.get("exception")
        self.world.violate(f"{self.name}: {context['message']}: {error!r}", error)

    def _process_events(self, event_list: Any) -> None:
        pass

    def _write_to_self(self) -> None:
        self._arm()

    def _asyncgen_finalizer_hook(self, agen: Any) -> None:
        if not self.is_dead:
            super()._asyncgen_finalizer_hook(agen)  # type: ignore[misc] # not in typeshed


def _let_go(coroutine: Any) -> None:
    for _ in range(_STUBBORN):
        try:
            coroutine.close()
        except BaseException:  # noqa: BLE001, S112 - it is dead, and what it says does not count
            continue
        return
