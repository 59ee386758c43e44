"""`serve`: from an application and its addresses to a running `Server`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, get_args

import msgspec

from tomada import transports
from tomada.address import Address
from tomada.connection import Connection
from tomada.endpoint import Endpoint, log
from tomada.event_loop import new_event_loop
from tomada.opening import Opening
from tomada.protocol import Role
from tomada.server.datagram_messages import limits_of
from tomada.server.datagrams import Datagrams
from tomada.server.descriptors import provide
from tomada.server.inherited import Inherited
from tomada.server.running import run_until_signal
from tomada.server.server import Server
from tomada.sessions import open_store
from tomada.settings import TLS, Children, Deadlines, Isolation, Limits, Sessions
from tomada.transports.datagrams.opening import SCHEMES
from tomada.transports.datagrams.transport import DatagramOptions

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tomada.app import App
    from tomada.server.children.channel import Plan
    from tomada.server.children.origin import Template
    from tomada.server.server import Companion
    from tomada.sessions import Store
    from tomada.sessions.elsewhere import Elsewhere


_SESSIONS: Final = Sessions()


class Serving(Opening[Server]):
    """A server to be: ``async with`` it, ``await`` it and close what it gives, or call `run` without an event loop."""

    __slots__ = (
        "_addresses",
        "_app",
        "_beside",
        "_children",
        "_deadlines",
        "_elsewhere",
        "_inherited",
        "_isolation",
        "_limits",
        "_options",
        "_sessions",
        "_store",
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
        sessions: Sessions | None = None,
        store: str | Store = "memory",
    ) -> None:
        if isolation not in get_args(Isolation):
            raise ValueError(f"isolation is {isolation!r}, it must be one of {', '.join(get_args(Isolation))}")
        if children is not None and isolation != "process":
            raise ValueError(f"isolation is {isolation!r}, and children are of 'process': change it, or leave them out")
        if store != "memory" and isolation != "task":
            raise ValueError(f"isolation is {isolation!r}, and a store is of 'task': change it, or leave it out")
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
        self._inherited = Inherited()
        # Elsewhere the connection's loop is another one each time.
        self._sessions = sessions if isolation == "task" else None
        self._store = None if self._sessions is None else open_store(store, self._sessions)
        self._template: Template | None = None
        self._elsewhere: Elsewhere | None = None
        self._beside: list[Callable[[Server], Awaitable[Companion]]] = []
        own = [handler.address for handler in app.stream_handlers]
        options.check([*self._addresses, *own, *(handler.address for handler in app.datagram_handlers)])

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
        own = DatagramOptions(limits=limits_of(self._limits), rights=self.rights)
        places = [(address, own if address.scheme in SCHEMES else None) for address in self._addresses]
        places += [(handler.address, None) for handler in self._app.stream_handlers]
        for handler in self._app.datagram_handlers:
            places.append(
                (handler.address, msgspec.structs.replace(handler.options, limits=own.limits, rights=own.rights))
            )
        return [place for place in places if place[0].scheme != "memory"]

    def prepare(self, *, forget: Callable[[], None] | None = None) -> None:
        """Do what must be done before there is an event loop, in a process that is the server's own.

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

            # What forks the children is itself forked, from a process that has no loop.
            self._app.check(Connection)
            self._template = template_of(self._app, self._plan(), forget_all)

    def inherit(self, inherited: Inherited) -> None:
        """Serve at these sockets, where there are some for an address, in place of binding new ones."""
        self._inherited = inherited

    def join(self, others: Elsewhere) -> None:
        """Hand clients whose sessions other processes at the same addresses keep over to those."""
        self._elsewhere = others

    def accompany(self, begin: Callable[[Server], Awaitable[Companion]]) -> None:
        """Let something run beside the server, from when it listens until all that it serves has ended.

        Args:
            begin: Called with the server in its event loop. What it raises is an end of the server, too.
        """
        self._beside.append(begin)

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
        endpoint = Endpoint(Role.ACCEPTING, started, self._limits, self._deadlines, Connection, self._sessions)
        if self._elsewhere is not None:
            endpoint.sessions.join(self._elsewhere)
        admitting = msgspec.structs.replace(self._options, admission=transports.Admission(self._limits))
        server = Server(endpoint, admitting, self._isolation, self._inherited, front, self._store)
        await server.start(self._app, self._addresses)
        log.info("%s listens on %s", self._app.name, ", ".join(map(str, server.addresses)))
        try:
            for begin in self._beside:
                server.accompany(await begin(server))
        except BaseException:
            await server.close()
            raise
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
    sessions: Sessions | None = _SESSIONS,
    store: str | Store = "memory",
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
        sessions: How connections that are lost are kept until their clients come back; ``None``: not at all. Only with
            the isolation ``task``.
        store: Where sessions are kept: ``memory``, which outlives lost connections, ``sqlite:///path``, which outlives
            a killed server, too, or any `tomada.sessions.Store`.
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
    return Serving(app, addresses, limits or Limits(), deadlines, options, isolation, children, sessions, store)
