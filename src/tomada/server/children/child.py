"""A child: it waits for a connection, serves it, and waits for the next one or ends.

It has an event loop and an `Endpoint` of its own, and serves a connection as the server itself would. What the server
must know of it goes over its channel, and what it writes over its page.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import traceback
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn

from tomada.connection import Connection
from tomada.endpoint import Endpoint, log
from tomada.errors import TomadaError
from tomada.event_loop import new_event_loop
from tomada.protocol import GoodbyeCode, Role
from tomada.server.children import limits, sandbox
from tomada.server.children.channel import (
    Channel,
    ChannelBroken,
    Ended,
    Failed,
    Parting,
    Ping,
    Pong,
    Ready,
    Serve,
    ToChild,
    decode_to_child,
)
from tomada.server.children.last_words import CANNOT_START, OVER_MEMORY, WITHOUT_DESCRIPTOR
from tomada.server.children.noting import NotingLayer, NotingLink
from tomada.server.children.pages import own_page
from tomada.server.children.parentage import end_with_parent
from tomada.server.children.rehearsal import rehearse
from tomada.server.children.seed import places
from tomada.server.streams import StreamServer
from tomada.telemetry.tracer import Tracer
from tomada.transports import stack

if TYPE_CHECKING:
    from collections.abc import Callable
    from mmap import mmap

    from tomada.server.children.channel import FromChild
    from tomada.server.children.seed import Seed
    from tomada.streams.flow import Flow

_STOPS: Final = "the server stops"
_LONGEST: Final = 500
_LAST_SPANS: Final = 1.0
"""Seconds in which the spans of a child go where they go, before it ends."""
_QUIET: Final = 0.001
"""A child that has had nothing to do for so many seconds rehearses; under load it has better things to do."""


class Child:
    """Serves what comes over its channel.

    Args:
        seed: What it has from the template.
        channel: To the server.
        page: Where it notes what it writes.
    """

    __slots__ = (
        "_channel",
        "_done",
        "_endpoint",
        "_factories",
        "_is_leaving",
        "_is_parting",
        "_left",
        "_loop",
        "_page",
        "_pending",
        "_rehearsal",
        "_seed",
        "_serving",
    )

    def __init__(self, seed: Seed, channel: Channel[ToChild], page: mmap | bytearray) -> None:
        plan = seed.plan
        self._seed = seed
        self._channel = channel
        self._page = page
        self._loop = asyncio.get_running_loop()
        self._endpoint = Endpoint(Role.ACCEPTING, seed.app, plan.limits, plan.deadlines, Connection)
        self._endpoint.exhausted = exhausted
        self._loop.set_exception_handler(_unhandled)
        self._factories: list[Callable[[], Any]] = []
        self._pending: set[stack.Layer] = set()
        self._serving: asyncio.Task[None] | None = None
        self._rehearsal: asyncio.Task[None] | None = None
        self._left = plan.children.connections
        self._is_parting = False
        """Whether the server was asked for leave."""
        self._is_leaving = False
        """Whether the server gave it."""
        self._done: asyncio.Future[None] = self._loop.create_future()

    async def run(self) -> int:
        """Be a child, from its start to its end; its exit status."""
        try:
            await self._start()
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - told to the server, which tells the log once, not for each child
            self._say(Failed(_why(error)))
            return CANNOT_START
        self._loop.add_signal_handler(signal.SIGTERM, self._part)
        self._loop.add_reader(self._channel.fileno(), self._hear)
        self._say(Ready())
        if not self._seed.plan.children.sandbox:
            self._loop.call_later(_QUIET, self._rehearse)
        await self._done
        await self._rehearsed()
        await self._endpoint.stop()
        return 0

    async def _start(self) -> None:
        """Do all that can be done before there is a connection; give up what it is not to have meanwhile."""
        endpoint, seed = self._endpoint, self._seed
        await endpoint.start()
        streams = [StreamServer(endpoint, handler, seed.plan.options) for handler in seed.app.stream_handlers]
        makers: list[Callable[[], Any]] = [self._link] * len(seed.plan.addresses)
        makers += [partial(self._flow, server) for server in streams]
        for (address, options), make, secured in zip(
            places(seed.app, seed.plan), makers, seed.certificates, strict=True
        ):
            layered = stack.accepting(address, make, options, self._pending, secured)
            self._factories.append(layered if layered is make else partial(self._noted, layered))
        if seed.plan.children.sandbox:
            await rehearse()  # it takes a socket
            sandbox.enter()

    def _rehearse(self) -> None:
        """With nothing to do: be prompt for what comes."""
        if self._serving is None and not self._done.done():
            self._rehearsal = self._loop.create_task(rehearse())

    async def _rehearsed(self) -> None:
        """Until the rehearsal is over, if there is one: as long as it lasts nothing here is traced or told."""
        if self._rehearsal is not None and not self._rehearsal.done():
            await asyncio.wait([self._rehearsal])

    def _link(self) -> NotingLink:
        return NotingLink(self._endpoint, self._page)

    def _flow(self, server: StreamServer) -> Flow:
        return server.flow()

    def _noted(self, layered: Callable[[], asyncio.Protocol]) -> NotingLayer:
        return NotingLayer(layered(), self._page)

    # The channel.

    def _say(self, message: FromChild) -> None:
        # There is room: the server reads, and what a child says of a connection is little.
        with suppress(ChannelBroken):
            self._channel.send(message)

    def _hear(self) -> None:
        try:
            while True:
                message, descriptor = self._channel.receive_with()
                if message is None:
                    return
                if isinstance(message, Serve):
                    if descriptor < 0:  # the system could not give it: its peer would wait for ever
                        _exit(WITHOUT_DESCRIPTOR)
                    task = self._serve(message.place, socket.socket(fileno=descriptor))
                    self._serving = self._loop.create_task(task)
                elif isinstance(message, Ping):
                    self._say(Pong(message.number))
                else:
                    self._leave()
        except ChannelBroken:  # the server is gone
            self._loop.remove_reader(self._channel.fileno())
            self._is_leaving = True
            self._endpoint.cut()
            self._end()

    async def _serve(self, place: int, accepted: socket.socket) -> None:
        self._left -= 1
        accepted.setblocking(False)  # noqa: FBT003 - a socket's own
        try:
            await self._rehearsed()
            _, lowest = await self._loop.connect_accepted_socket(self._factories[place], accepted)
            if self._is_leaving:
                self._say_goodbye()
            await lowest.ended
        except OSError as error:
            log.warning("a connection ended before it was served: %s", error)
        finally:
            self._serving = None
            self._page[:2] = b"\0\0"
            self._say(Ended())
            if self._left <= 0 or self._is_leaving:
                self._end()

    # The end.

    def _part(self) -> None:
        """Somebody wants this process to end: the server is asked to give it no connection any more."""
        if not self._is_parting:
            self._is_parting = True
            self._say(Parting())

    def _leave(self) -> None:
        """The server gives no connection any more; what is under way ends, within `Deadlines.drain`."""
        self._is_leaving = True
        if self._serving is None:
            self._end()
        else:
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        endpoint = self._endpoint
        endpoint.is_closing = True
        for layer in tuple(self._pending):
            layer.abort()
        for flow in endpoint.flows:
            flow.hurry()
        for link in tuple(endpoint.connections):
            link.leave(GoodbyeCode.GOING_AWAY, _STOPS)

    def _end(self) -> None:
        if not self._done.done():
            self._done.set_result(None)


def _why(error: Exception) -> str:
    """An error of the application in a line, with the place where it was raised."""
    if isinstance(error, TomadaError):
        return str(error)[:_LONGEST]
    (*_, last) = traceback.extract_tb(error.__traceback__)
    return (
        f"{type(error).__name__}: {error}"[:_LONGEST] + f" ({last.filename}:{last.lineno}, in {last.name})"[:_LONGEST]
    )


def exhausted() -> NoReturn:
    """Memory has run out: end, with the exit status that says so."""
    os._exit(OVER_MEMORY)


def _unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    if isinstance(error, SystemExit):  # uvloop does not pass it on
        _exit(_status(error))
    loop.default_exception_handler(context)
    if isinstance(error, MemoryError):
        exhausted()


def _status(error: SystemExit) -> int:
    return error.code if isinstance(error.code, int) else int(error.code is not None)


def _exit(status: int) -> NoReturn:
    """End this process, and no other's business: what the template has put off until its own exit is not done here."""
    with suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
        if Tracer.active is not None:
            Tracer.active.flush(_LAST_SPANS)
    os._exit(status & 0xFF)


def run(seed: Seed, slot: int, descriptor: int, parent: int) -> NoReturn:
    """Be a child, in a process that has just been forked.

    Args:
        seed: What is the same for all children.
        slot: Its page.
        descriptor: Its end of the channel.
        parent: The template's process id.
    """
    status = 1
    # Held to the very end: the server takes a child for lost whose channel is closed.
    own = socket.socket(fileno=descriptor)
    try:
        status = _run(seed, slot, own, parent)
    except SystemExit as error:
        status = _status(error)
    except MemoryError:
        status = OVER_MEMORY
    except BaseException:  # noqa: BLE001 - told to the log: a child must not go on as the template that it was
        log.exception("a child failed")
    finally:
        _exit(status)


def _run(seed: Seed, slot: int, own: socket.socket, parent: int) -> int:
    with suppress(OSError):  # the template does the same
        os.setpgid(0, 0)
    limits.become(seed.bounds)
    end_with_parent(parent, signal.SIGKILL)
    limits.bound(seed.bounds)
    page = own_page(seed.pages, slot)
    os.close(seed.pages)
    loop = _new_loop(is_sandboxed=seed.plan.children.sandbox)
    asyncio.set_event_loop(loop)

    async def main() -> int:
        return await Child(seed, Channel(own, decode_to_child), page).run()

    return loop.run_until_complete(main())


def _new_loop(*, is_sandboxed: bool) -> asyncio.AbstractEventLoop:
    loop = new_event_loop()
    if is_sandboxed and _has_ring():
        # This process has had a loop with one before it could be switched off.
        loop.close()
        return asyncio.new_event_loop()
    return loop


def _has_ring() -> bool:
    """Whether there is an io_uring, by which the system calls can be made that the sandbox denies."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - numbers, no paths
        with suppress(OSError):  # the listing's own
            if "io_uring" in os.readlink(f"/proc/self/fd/{name}"):  # noqa: PTH115 - as above
                return True
    return False
