"""`serve`: from an application and its addresses to a running `Server`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, get_args

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
from tomada.server.datagram_messages import limits_of
from tomada.server.datagrams import Datagrams
from tomada.server.descriptors import provide
from tomada.server.inherited import Inherited
from tomada.server.running import run_until_signal
from tomada.server.statistics import ServerStatistics, counted
from tomada.server.streams import streams_of
from tomada.settings import TLS, Children, Deadlines, Isolation, Limits
from tomada.transports.datagrams.opening import SCHEMES
from tomada.transports.datagrams.transport import DatagramOptions
from tomada.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from tomada.app import App
    from tomada.errors import ChildrenFailed
    from tomada.server.children.channel import Plan
    from tomada.server.children.front import Front
    from tomada.server.children.origin import Template
    from tomada.transports.datagrams.transport import DatagramStatistics


HANDOVER: Final = 1.0
"""Seconds in which who has just connected completes a handshake, asks, and is answered."""


class Server:
    """A running server. Got from `serve`."""

    __slots__ = (
        "_closed",
        "_datagrams",
        "_endpoint",
        "_front",
        "_inherited",
        "_listeners",
        "_options",
        "_started_at",
        "_threads",
        "_watchdog",
    )

    def __init__(
        self,
        endpoint: Endpoint,
        options: transports.Options,
        isolation: Isolation,
        inherited: Inherited,
        front: Front | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._front = front
        """Where connections are served in processes of their own."""
        self._threads = ConnectionThreads(endpoint) if isolation == "thread" else None
        self._options = options
        self._listeners: list[transports.Listener] = []
        self._inherited = inherited
        self._datagrams = Datagrams(endpoint, inherited)
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
                self._listeners += await self._front.open(self._options, self._inherited)
                return
            for address in self._datagrams.left(addresses):
                await self._listen(Place(address, _messages, agreed))
            for handler in app.stream_handlers:
                made = streams_of(handler, self._options)
                await self._listen(Place(handler.address, made, self._options))
        except BaseException:
            await self.close()
            raise
        finally:
            self._inherited.close()

    async def _listen(self, place: Place) -> None:
        sockets = self._inherited.take(place.address)
        if sockets == ():
            return  # another process serves it for all
        if sockets is not None:
            place = place._replace(options=msgspec.structs.replace(place.options, inherited=sockets))
        if self._threads is not None:
            listener = await self._threads.listen(place)
        else:
            make = place.make(self._endpoint)

            def woken() -> asyncio.Protocol:
                self._watchdog.wake()
                return make()

            listener = await transports.listen(place.address, woken, options=place.options)
        self._listeners.append(listener)

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

    @property
    def failed(self) -> asyncio.Future[ChildrenFailed] | None:
        """Where connections are served in child processes: done when there can be none any more, and why."""
        return None if self._front is None else self._front.failed

    def statistics(self) -> ServerStatistics:
        """What the server has done so far; also when it is closed."""
        seconds = self._endpoint.loop.time() - self._started_at
        return counted(self._endpoint, self._options.admission, self._datagrams, self.addresses, seconds)

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

    async def close(self, *, handover: bool = False) -> None:
        """Stop listening, say goodbye to all, let what is under way end, up to the drain deadline; then cut the rest.

        To call it again waits for the same end.

        Args:
            handover: Whether another process accepts at the same sockets. Then those that were accepted here a moment
                ago are served for a second before they hear the goodbye, so that none is turned away.
        """
        if self._closed is None:
            self._closed = asyncio.get_running_loop().create_task(self._close(handover=handover))
        await asyncio.shield(self._closed)

    def cut(self) -> None:
        """End all connections and handlers at once; `close` then has little to wait for."""
        self._endpoint.cut()
        if self._threads is not None:
            self._threads.cut()
        if self._front is not None:
            self._front.cut()

    def stop_accepting(self) -> None:
        """Accept nobody any more, and receive no datagrams; what has been accepted goes on. `close` is to follow."""
        for listener in self._listeners:
            listener.stop_accepting()
        self._datagrams.stop_receiving()

    async def _close(self, *, handover: bool) -> None:
        self.stop_accepting()
        if handover:
            await asyncio.sleep(HANDOVER)
        for listener in self._listeners:
            listener.close()
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

    __slots__ = (
        "_addresses",
        "_app",
        "_children",
        "_deadlines",
        "_inherited",
        "_isolation",
        "_limits",
        "_options",
        "_template",
    )

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
        self._inherited = Inherited()
        self._template: Template | None = None

    @property
    def name(self) -> str:
        """What the application calls itself."""
        return self._app.name

    @property
    def rights(self) -> transports.FileRights:
        """What socket files are made with."""
        return self._options.rights

    def places(self) -> list[tuple[Address, DatagramOptions | None]]:
        """Where it is going to serve, and how the sockets for datagrams are opened; not inside this process."""
        own = DatagramOptions(limits=limits_of(self._limits))
        places = [(address, own if address.scheme in SCHEMES else None) for address in self._addresses]
        places += [(handler.address, None) for handler in self._app.stream_handlers]
        for handler in self._app.datagram_handlers:
            places.append((handler.address, msgspec.structs.replace(handler.options, limits=own.limits)))
        return [place for place in places if place[0].scheme != "memory"]

    def prepare(self, *, forget: Callable[[], None] | None = None) -> None:
        """What is to be done before there is an event loop, in a process that is the server's own.

        Args:
            forget: Called in processes that are forked from this one: closes what is not theirs.

        Raises:
            ChildrenFailed: Connections cannot be served in child processes.
        """
        provide(self._limits)
        if self._isolation == "process":
            from tomada.server.children.origin import template_of  # noqa: PLC0415 - most servers need no children

            def forget_all() -> None:
                self._inherited.close()
                if forget is not None:
                    forget()

            self._app.check(Connection)
            self._template = template_of(self._app, self._plan(), forget_all)

    def inherit(self, inherited: Inherited) -> None:
        """Serve at these sockets, where there are some for an address, in place of binding new ones."""
        self._inherited = inherited

    def run(self, *, ready: Callable[[Server], None] | None = None) -> None:
        """Serve until SIGINT or SIGTERM, then close the server; a second signal cuts all at once, a third kills.

        SIGHUP reads the certificates again. A service manager that wants to know, such as systemd, is told when it
        listens and when it stops, and that it is alive.

        Where the process may have fewer files and sockets open than `Limits.connections` and `Limits.handshakes` need,
        its soft limit is raised, up to the hard one.

        Args:
            ready: Called with the server when it listens.

        Raises:
            ChildrenFailed: Connections cannot be served in child processes, or not any more.
        """
        self.prepare()
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(run_until_signal(self, ready))

    def _plan(self) -> Plan:
        from tomada.server.children.front import plan_of  # noqa: PLC0415 - as above

        return plan_of(Datagrams.left(self._addresses), self._limits, self._deadlines, self._options, self._children)

    async def _serve(self) -> Server:
        self._app.check(Connection)
        front, app = None, self._app
        if self._isolation == "process":
            from tomada.server.children.front import Front  # noqa: PLC0415 - as above

            front = Front(app, self._plan(), self._template)
            self._template = None
        has_datagrams = app.datagram_handlers or len(Datagrams.left(self._addresses)) < len(self._addresses)
        started = app if front is None or has_datagrams else None  # else only the children start it
        endpoint = Endpoint(Role.ACCEPTING, started, self._limits, self._deadlines, Connection)
        admitting = msgspec.structs.replace(self._options, admission=transports.Admission(self._limits))
        server = Server(endpoint, admitting, self._isolation, self._inherited, front)
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
