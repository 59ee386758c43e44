"""`serve`: from an application and its addresses to a running `Server`."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, get_args

import msgspec

from tomada import transports
from tomada.address import Address
from tomada.connection import Connection
from tomada.endpoint import SUBPROTOCOL, Endpoint, log
from tomada.event_loop import new_event_loop
from tomada.link import Link
from tomada.opening import Opening
from tomada.protocol import Role
from tomada.server.connection_threads import ConnectionThreads, Place
from tomada.server.datagrams import Datagrams
from tomada.server.descriptors import provide
from tomada.server.statistics import ServerStatistics
from tomada.server.streams import streams_of
from tomada.settings import TLS, Children, Deadlines, Isolation, Limits
from tomada.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from tomada.app import App
    from tomada.server.children.channel import Plan
    from tomada.server.children.front import Front
    from tomada.server.children.origin import Template
    from tomada.transports.datagrams.transport import DatagramStatistics


class Server:
    """A running server. Got from `serve`."""

    __slots__ = (
        "_closed",
        "_datagrams",
        "_endpoint",
        "_front",
        "_listeners",
        "_options",
        "_started_at",
        "_threads",
        "_watchdog",
    )

    def __init__(
        self, endpoint: Endpoint, options: transports.Options, isolation: Isolation, front: Front | None = None
    ) -> None:
        self._endpoint = endpoint
        self._front = front
        """Where connections are served in processes of their own."""
        self._threads = ConnectionThreads(endpoint) if isolation == "thread" else None
        self._options = options
        self._listeners: list[transports.Listener] = []
        self._datagrams = Datagrams(endpoint)
        self._started_at = endpoint.loop.time()
        self._watchdog = Watchdog(endpoint.loop, endpoint.deadlines.turn, endpoint.handler_codes(), self._is_busy)
        self._closed: asyncio.Task[None] | None = None

    async def _start(self, app: App, addresses: tuple[Address, ...]) -> None:
        endpoint = self._endpoint
        await endpoint.start()
        self._watchdog.start()
        agreed = msgspec.structs.replace(self._options, subprotocol=SUBPROTOCOL)
        try:
            await self._datagrams.open(app, addresses)
            if self._front is not None:
                self._listeners += await self._front.open(self._options)
                return
            for address in self._datagrams.left(addresses):
                self._listeners.append(await self._listen(Place(address, _messages, agreed)))
            for handler in app.stream_handlers:
                made = streams_of(handler, self._options)
                self._listeners.append(await self._listen(Place(handler.address, made, self._options)))
        except BaseException:
            await self.close()
            raise

    async def _listen(self, place: Place) -> transports.Listener:
        if self._threads is not None:
            return await self._threads.listen(place)
        make = place.make(self._endpoint)

        def woken() -> asyncio.Protocol:
            self._watchdog.wake()
            return make()

        return await transports.listen(place.address, woken, options=place.options)

    def _is_busy(self) -> bool:
        """Whether any handler could run on the event loop just now."""
        endpoint = self._endpoint
        return bool(endpoint.connections or endpoint.flows or endpoint.tasks) or self._datagrams.is_open

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses where the server listens, with the ports that the system chose in place of 0."""
        listening = tuple(address for listener in self._listeners for address in listener.addresses)
        return listening + self._datagrams.addresses

    @property
    def datagram_statistics(self) -> dict[Address, DatagramStatistics]:
        """What became of the datagrams at each address that receives some."""
        return self._datagrams.statistics

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The connections of this moment, of those that are served on the server's own event loop."""
        return tuple(link.connection for link in self._endpoint.connections)

    def statistics(self) -> ServerStatistics:
        """What the server has done so far; also when it is closed."""
        endpoint, admission = self._endpoint, self._options.admission
        tally = endpoint.tally
        return ServerStatistics(
            addresses=tuple(map(str, self.addresses)),
            seconds=endpoint.loop.time() - self._started_at,
            connections=tally.messages,
            streams=tally.streams,
            handshakes=0 if admission is None else admission.greeting,
            handlers=len(endpoint.tasks),
            accepted=0 if admission is None else admission.accepted,
            opened=tally.opened,
            failed=tally.failed,
            turned_away={} if admission is None else dict(admission.turned_away),
            datagrams={str(address): counted for address, counted in self.datagram_statistics.items()},
        )

    def reload_certificates(self) -> None:
        """Read the files of `TLS` again now, not within the next seconds; open connections go on as they are.

        Raises:
            ListenFailed: They cannot be used; the old certificate stays.
        """
        for listener in self._listeners:
            listener.reload_certificates()
        if self._front is not None:
            self._front.renew()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop listening, say goodbye to all, let what is under way end, up to the drain deadline; then cut the rest.

        To call it again waits for the same end.
        """
        if self._closed is None:
            self._closed = asyncio.get_running_loop().create_task(self._close())
        await asyncio.shield(self._closed)

    def _cut(self) -> None:
        """End everything at once."""
        self._endpoint.cut()
        if self._threads is not None:
            self._threads.cut()
        if self._front is not None:
            self._front.cut()

    async def _close(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._datagrams.stop_receiving()
        self._endpoint.leave()
        if self._threads is not None:
            self._threads.leave()
            await self._threads.wait_for_end()
        if self._front is not None:
            await self._front.close()
        while self._endpoint.connections:
            # All, and those that were accepted just now: they are cut when they come up.
            await asyncio.wait([link.ended for link in self._endpoint.connections])
        try:
            await self._endpoint.stop()
        finally:
            self._datagrams.close()
            self._watchdog.stop()


class Serving(Opening[Server]):
    """A server to be: ``async with`` it, ``await`` it and close what it gives, or call `run` without an event loop."""

    __slots__ = ("_addresses", "_app", "_children", "_deadlines", "_isolation", "_limits", "_options")

    def __init__(  # noqa: PLR0913, PLR0917 - each is a setting of its own
        self,
        app: App,
        addresses: tuple[str | Address, ...],
        limits: Limits,
        deadlines: Deadlines,
        options: transports.Options,
        isolation: Isolation = "task",
        children: Children | None = None,
    ) -> None:
        if isolation not in get_args(Isolation):
            raise ValueError(f"isolation is {isolation!r}, it must be one of {', '.join(get_args(Isolation))}")
        if children is not None and isolation != "process":
            raise ValueError(f"children are there with isolation='process', not with {isolation!r}; leave one away")
        if not (addresses or app.has_addresses):
            raise ValueError("serve() needs an address, such as tcp://127.0.0.1:4477")
        super().__init__(self._serve)
        self._app = app
        self._addresses = tuple(map(Address.of, addresses))
        self._limits = limits
        self._deadlines = deadlines
        self._options = options
        self._isolation = isolation
        self._children = children or Children()
        options.check([*self._addresses, *(handler.address for handler in app.stream_handlers)])

    def run(self, *, ready: Callable[[Server], None] | None = None) -> None:
        """Serve until SIGINT or SIGTERM, then close the server; a second signal cuts all at once, a third kills.

        Where the process may have fewer files and sockets open than `Limits.connections` and `Limits.handshakes` need,
        its soft limit is raised, up to the hard one.

        Args:
            ready: Called with the server when it listens.

        Raises:
            ChildrenFailed: Connections cannot be served in child processes, or not any more.
        """
        provide(self._limits)
        # Before there is a loop: what forks the children is itself forked, from a process that has none.
        template = self._template() if self._isolation == "process" else None
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(self._run(ready, template))

    async def _run(self, ready: Callable[[Server], None] | None, template: Template | None) -> None:
        stop = asyncio.Event()
        server = await self._serve(template)
        failed = None if server._front is None else server._front.failed  # noqa: SLF001 - one file
        if failed is not None:
            failed.add_done_callback(lambda _: stop.set())

        def stop_or_cut() -> None:
            if stop.is_set():
                _on_signals(None)
                server._cut()  # noqa: SLF001 - one file
            stop.set()

        _on_signals(stop_or_cut)
        try:
            if ready is not None:
                ready(server)
            await stop.wait()
        finally:
            await server.close()
        if failed is not None and failed.done():
            raise failed.result()

    def _template(self) -> Template:
        from tomada.server.children.origin import template_of  # noqa: PLC0415 - most servers need no children

        self._app.check(Connection)
        return template_of(self._app, self._plan())

    def _plan(self) -> Plan:
        from tomada.server.children.front import plan_of  # noqa: PLC0415 - as above

        return plan_of(Datagrams.left(self._addresses), self._limits, self._deadlines, self._options, self._children)

    async def _serve(self, template: Template | None = None) -> Server:
        self._app.check(Connection)
        front, app = None, self._app
        if self._isolation == "process":
            from tomada.server.children.front import Front  # noqa: PLC0415 - as above

            front = Front(app, self._plan(), template)
        has_datagrams = app.datagram_handlers or len(Datagrams.left(self._addresses)) < len(self._addresses)
        started = app if front is None or has_datagrams else None  # else only the children start it
        endpoint = Endpoint(Role.ACCEPTING, started, self._limits, self._deadlines, Connection)
        admitting = msgspec.structs.replace(self._options, admission=transports.Admission(self._limits))
        server = Server(endpoint, admitting, self._isolation, front)
        await server._start(self._app, self._addresses)  # noqa: SLF001 - one file
        log.info("%s listens on %s", self._app.name, ", ".join(map(str, server.addresses)))
        return server


def serve(  # noqa: PLR0913 - each option of a server is a parameter
    app: App,
    *addresses: str | Address,
    tls: TLS | None = None,
    limits: Limits | None = None,
    deadlines: Deadlines | None = None,
    origins: tuple[str, ...] = (),
    isolation: Isolation = "task",
    children: Children | None = None,
    proxied_by: tuple[str, ...] = (),
    unix_mode: int | None = None,
    unix_owner: str = "",
    allow_users: tuple[str | int, ...] = (),
) -> Serving:
    """A server of `app` at one or several addresses.

    ::

        async with tomada.serve(app, "tcp://127.0.0.1:0", "unix:///tmp/bank.sock") as server:
            print(server.addresses)

    In a program of its own: ``tomada.serve(app, "tcp://:4477").run()`` blocks until Ctrl-C.

    Args:
        app: The handlers.
        addresses: Where to listen for messages. An empty host means all interfaces; port 0 a free port, told by
            `Server.addresses`. The addresses of `App.stream` and `App.datagram` are opened too, and need not be given.
        tls: The certificate, for ``tls`` addresses.
        limits: What each connection may use, and all of them.
        deadlines: How long things may take.
        origins: The web pages that may connect to ``ws`` and ``wss`` addresses, such as ``https://example.com``, beside
            those of the same host and port; ``*`` is any. Programs that are no browsers name no origin, and may.
        isolation: Where each connection is served: ``task``, on the event loop, with all others; ``thread``, in one
            of its own, for handlers that block; or ``process``, in a child process, which takes only its own connection
            along when it crashes or is killed. Datagrams are always handled on the event loop.
        children: Of ``process``: how many there are, and within what bounds.
        proxied_by: The networks of proxies, such as ``10.0.0.0/8``: each connection from there must begin with a PROXY
            header, and is then the client's that it names. What others send is never taken for one. Not over Unix
            sockets.
        unix_mode: The mode of socket files, such as ``0o660``; who may write to one may connect. By default as the
            umask has it.
        unix_owner: The owner of socket files: ``user``, ``user:group`` or ``:group``, by name or by number.
        allow_users: The users whose processes may connect to unix addresses, by name or by number; all by default.

    Raises:
        AddressError: An address cannot be read (at once).
        ValueError: An option is wrong, or for other kinds of addresses than there are (at once).
        ListenFailed: An address cannot be listened on; `AddressInUse` and `SystemPort` are kinds of it.
        DeclarationError: A handler asks for something that no ``on_start`` function returns.
        ChildrenFailed: There can be no child processes; the text says why.
    """
    deadlines = deadlines or Deadlines()
    options = transports.Options(
        handshake=deadlines.handshake,
        frame=deadlines.frame,
        tls=tls,
        origins=origins,
        proxied_by=proxied_by,
        rights=transports.FileRights(mode=unix_mode, owner=unix_owner),
        allow_users=allow_users,
    )
    return Serving(app, addresses, limits or Limits(), deadlines, options, isolation, children)


def _messages(endpoint: Endpoint) -> Callable[[], Link]:
    return lambda: Link(endpoint, Connection)


def _on_signals(stop: Callable[[], None] | None) -> None:
    """Call `stop` on each signal; None: let the system do what it does with them."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            if stop is None:
                loop.remove_signal_handler(number)
            else:
                loop.add_signal_handler(number, stop)
        except NotImplementedError:  # Windows
            signal.signal(number, signal.SIG_DFL if stop is None else lambda *_: loop.call_soon_threadsafe(stop))
