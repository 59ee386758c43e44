"""What all connections of one server, or one client, share: settings, the bound handlers, what is under way."""

from __future__ import annotations

import asyncio
import logging
from contextvars import copy_context
from functools import partial
from hashlib import sha256
from math import inf
from typing import TYPE_CHECKING, Any, Final

from tomada.binding import Binding
from tomada.capacity import Places, Room
from tomada.eager import Starter
from tomada.messenger import Repertoire
from tomada.protocol import Engine, GoodbyeCode, Hello, PeerLimits, Role, State, Welcome, encode
from tomada.protocol.handshake import SESSION
from tomada.sessions.registry import Registry
from tomada.sweep import sweep_of
from tomada.telemetry import late
from tomada.telemetry.statistics import Tally
from tomada.telemetry.tracer import Tracer
from tomada.threads import Threads
from tomada.transports import End
from tomada.watchdog import codes

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import CodeType

    from tomada.app import App, Handler, Hook
    from tomada.connection import Connection
    from tomada.datagrams.declaration import DatagramHandler
    from tomada.link import Link
    from tomada.settings import Deadlines, Limits, Sessions
    from tomada.streams.declaration import StreamHandler
    from tomada.streams.flow import Flow
    from tomada.survival import Survival

log: Final = logging.getLogger("tomada")
SOFTWARE: Final = "tomada (Python)"
SUBPROTOCOL: Final = "tomada.1"
"""What both ends of a WebSocket agree on: the version of the protocol inside it."""


def peer_limits(limits: Limits) -> PeerLimits:
    """What the peer is told of them."""
    return PeerLimits(
        limits.frame_bytes, limits.message_bytes, limits.requests, limits.buffer_bytes, limits.stream_bytes
    )


class Endpoint:
    """One server, or one client.

    Args:
        role: Whether its connections are accepted or made.
        app: The handlers; none where messages are only asked, sent and received.
        limits: Of each connection.
        deadlines: Of each connection.
        connection_type: The class that handlers name when they ask for their connection.
        sessions: Whether connections that are lost can go on; a connecting end looks at nothing in it.
    """

    __slots__ = (
        "_app",
        "_binding",
        "_connection_type",
        "_encoded_greeting",
        "_greeting",
        "_is_guest",
        "_stopping",
        "_threads",
        "_wants_session",
        "connections",
        "deadlines",
        "exhausted",
        "flows",
        "is_closing",
        "is_cut",
        "is_hidden",
        "limits",
        "loop",
        "places",
        "repertoire",
        "role",
        "room",
        "sessions",
        "starter",
        "sweep",
        "tally",
        "tasks",
    )

    def __init__(
        self,
        role: Role,
        app: App | None,
        limits: Limits,
        deadlines: Deadlines,
        connection_type: type[Connection],
        sessions: Sessions | None = None,
    ) -> None:
        self.role = role
        self.limits = limits
        self.deadlines = deadlines
        self.loop = asyncio.get_running_loop()
        self.starter = Starter(self.loop)
        self.sweep = sweep_of(self.loop)
        """Looks when something is late."""
        self.places = Places(limits.all_handlers, self.loop)
        """What all its handlers share."""
        self.room = Room(limits.all_buffer_bytes if role is Role.ACCEPTING else inf)
        """What all that waits in its connections shares."""
        self.connections: set[Link] = set()
        self.flows: set[Flow] = set()
        """The byte streams that have been accepted."""
        self.tally = Tally()
        """Of this endpoint and of those `beside` it."""
        self.tasks: set[asyncio.Task[Any]] = set()
        """Handlers and hooks that have begun and wait."""
        self.is_closing = False
        """Whether new connections are refused."""
        self.is_cut = False
        """Whether what waits for its handler is given up."""
        self.is_hidden = False
        """Whether nobody is to look at its connections, which are none of the application's."""
        self.exhausted: Callable[[], object] | None = None
        """Called where memory has run out, in a process that can be spared."""
        self.repertoire = Repertoire()
        self.sessions = Registry(self, sessions)
        """Of an accepting end: those that can go on over another connection."""
        self._wants_session = sessions is not None
        self._app = app
        self._connection_type = connection_type
        self._binding: Binding | None = None
        self._is_guest = False
        self._threads: Threads | None = None
        self._stopping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Run the application's ``on_start`` functions and bind its handlers to what they return.

        Where one raises, the ``on_stop`` functions are not called: the application has not started.
        """
        if self._app is not None:
            try:
                states = [await self._call(hook, None) for hook in self._app.start_hooks]
                self._binding = Binding(self._app, states, self._connection_type)
            except BaseException:
                self._close_threads()
                raise
        self._be_ready()

    @classmethod
    def beside(cls, other: Endpoint, limits: Limits) -> Endpoint:
        """An endpoint on the running loop for the application that `other` has started, with the same states.

        It runs no ``on_start`` and no ``on_stop`` functions: those are the other's.
        """
        endpoint = cls(other.role, other._app, limits, other.deadlines, other._connection_type)
        endpoint._binding = other._binding
        endpoint._is_guest = True
        endpoint.tally = other.tally
        endpoint._be_ready()
        return endpoint

    def _be_ready(self) -> None:
        self.starter.context = copy_context()
        if self._app is not None:
            calls = {kind: self.bind(handler) for kind, handler in self._app.handlers.items()}
            self.repertoire = Repertoire(self._app, calls)
        limits = peer_limits(self.limits)
        catalogue = tuple(self.repertoire.catalogue.entries)
        greeting = Hello if self.role is Role.CONNECTING else Welcome
        features = (SESSION,) if self._wants_session and self.role is Role.CONNECTING else ()
        self._greeting: Hello | Welcome = greeting(
            software=SOFTWARE, limits=limits, catalogue=catalogue, features=features
        )
        self._encoded_greeting = encode(self._greeting)

    async def stop(self) -> None:
        """Wait for handlers and hooks, up to the drain deadline; then run the application's ``on_stop`` functions.

        The connections have ended. To call it again waits for the same end.
        """
        await asyncio.shield(self.stop_soon())

    def stop_soon(self) -> asyncio.Task[None]:
        """Begin to `stop`; an error of ``on_stop`` that nobody awaits is told to the log by asyncio."""
        if self._stopping is None:
            self._stopping = self.loop.create_task(self._stop())
        return self._stopping

    async def _stop(self) -> None:
        await self._wait_for_tasks()
        self.is_cut = True
        if self.tasks:
            late("drain", self.deadlines.drain, "")
            log.warning("cut: %d handlers have not ended within %g s", len(self.tasks), self.deadlines.drain)
            self._cancel_tasks()
            await asyncio.sleep(0)
            await self._wait_for_tasks()
        self.starter.close()
        try:
            await self._run_stop_hooks()
        finally:
            self._close_threads()

    async def _wait_for_tasks(self) -> None:
        give_up = self.loop.time() + self.deadlines.drain
        while self.tasks and self.loop.time() < give_up:
            await asyncio.wait(self.tasks, timeout=give_up - self.loop.time())

    async def _run_stop_hooks(self) -> None:
        """One that raises does not keep the others from running; the first error is raised at the end."""
        first: Exception | None = None
        for hook in self._app.stop_hooks if self._app is not None and not self._is_guest else ():
            try:
                await self._call(hook, None)
            except Exception as error:
                if first is None:
                    first = error
                else:
                    log.exception("%s raised", hook.where)
        if first is not None:
            raise first

    def leave(self) -> None:
        """Refuse new connections, and say goodbye to those that there are."""
        self.is_closing = True
        for flow in self.flows:
            flow.hurry()
        for link in tuple(self.connections):
            link.leave(GoodbyeCode.GOING_AWAY, "the server stops")

    def cut(self) -> None:
        """End everything at once: connections, handlers and hooks."""
        self.is_cut = True
        for link in tuple(self.connections):
            link.end("the server stops at once")
        for flow in tuple(self.flows):
            flow.cut("the server stops at once")
        self._cancel_tasks()

    def _cancel_tasks(self) -> None:
        for task in tuple(self.tasks):
            task.cancel()

    def _close_threads(self) -> None:
        if self._threads is not None:
            self._threads.shutdown()

    def engine(self) -> Engine:
        """A new engine that greets as this endpoint."""
        return Engine(self.role, self._greeting, self.loop.time(), encoded_greeting=self._encoded_greeting)

    def digest(self) -> bytes:
        """Of its catalogue."""
        return sha256(self._encoded_greeting).digest()

    def heed(self, error: BaseException) -> None:
        """To be told of whatever a handler, a hook or this end itself raised, once the log has been."""
        if self.exhausted is not None and isinstance(error, MemoryError):
            self.exhausted()

    async def connected(self, connection: Connection) -> None:
        """Run the ``on_connect`` functions."""
        for hook in self._app.connect_hooks if self._app is not None else ():
            await self._call(hook, connection)

    async def disconnected(self, connection: Connection) -> None:
        """Run the ``on_disconnect`` functions; one that raises does not keep the others from running."""
        for hook in self._app.disconnect_hooks if self._app is not None else ():
            try:
                await self._call(hook, connection)
            except Exception as error:
                log.exception("%s: %s raised", connection.peer, hook.where)
                self.heed(error)

    async def reconnected(self, connection: Connection) -> None:
        """Run the ``on_reconnect`` functions; one that raises does not keep the others from running."""
        for hook in self._app.reconnect_hooks if self._app is not None else ():
            try:
                await self._call(hook, connection)
            except Exception as error:
                log.exception("%s: %s raised", connection.peer, hook.where)
                self.heed(error)

    def resumed(self, link: Survival) -> None:
        """Its session goes on over a new connection: tell who makes spans of what is under way."""
        if Tracer.active is not None:
            Tracer.active.resumed(link)

    @property
    def has_reconnect_hooks(self) -> bool:
        """Whether there is something to run when a session goes on over a new connection."""
        return self._app is not None and bool(self._app.reconnect_hooks)

    @property
    def has_connect_hooks(self) -> bool:
        """Whether there is something to run before a connection's first message."""
        return self._app is not None and bool(self._app.connect_hooks)

    @property
    def has_disconnect_hooks(self) -> bool:
        """Whether there is something to run after a connection's end."""
        return self._app is not None and bool(self._app.disconnect_hooks)

    def handler_codes(self) -> dict[CodeType, str]:
        """What the application's functions are called, by their code."""
        app = self._app
        if app is None:
            return {}
        hooks = (*app.connect_hooks, *app.reconnect_hooks, *app.disconnect_hooks, *app.stop_hooks)
        handlers: list[Handler | StreamHandler | DatagramHandler] = [*app.handlers.values(), *app.stream_handlers]
        functions: list[Handler | StreamHandler | DatagramHandler | Hook] = [*handlers, *app.datagram_handlers, *hooks]
        return codes((each.function, getattr(each.function, "__qualname__", each.where)) for each in functions)

    def handler_names(self) -> dict[str, str]:
        """What people call what is handled, by what events call it: types, and functions for datagrams without one."""
        if self._app is None:
            return {}
        of_datagrams = {each.where: each.function.__qualname__ for each in self._app.datagram_handlers}
        return {kind.__name__: kind.__name__ for kind in self._app.handlers} | of_datagrams

    def why_closed(self, state: State) -> End:
        """What the transport of a connection that ends in `state` is told."""
        if state is State.FAILED:
            return End.FAILED
        return End.GOING_AWAY if self.is_closing else End.CLOSED

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` in a task that this endpoint holds on to."""
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def _call(self, hook: Hook, connection: Connection | None) -> Any:
        given = [] if self._binding is None else self._binding.arguments(hook.asks_for, connection)
        if hook.is_async:
            return await hook.function(*given)
        return await self.in_thread(partial(hook.function, *given))

    def bind(self, handler: Handler | StreamHandler) -> Callable[..., Any]:
        """The handler as a function of what it handles, of the connection and, where it takes any, of the parts.

        It returns a coroutine or, where a stream is the answer, the items.
        """
        assert self._binding is not None, "the application has started"  # noqa: S101 - the house's own order
        place = getattr(handler, "parts_place", None)
        if place is not None:
            return self._binding.bind_parts(handler.function, handler.asks_for, place)
        bound = self._binding.bind(handler.function, handler.asks_for)
        if handler.is_async:
            return bound
        return lambda message, connection: self.in_thread(partial(bound, message, connection))

    def given(self, asks_for: tuple[tuple[str, type], ...]) -> list[Any]:
        """For each parameter what an ``on_start`` function has returned for it."""
        return [] if self._binding is None else self._binding.arguments(asks_for, None)

    async def in_thread(self, function: Callable[[], Any]) -> Any:
        """Run a plain ``def`` function in one of the handlers' threads."""
        if self._threads is None:
            self._threads = Threads(self.limits.threads)
        return await self.loop.run_in_executor(self._threads, copy_context().run, function)
