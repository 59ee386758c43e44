"""`serve`: from an application and its addresses to a running `Server`."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import msgspec

from tomada import transports
from tomada.address import Address
from tomada.connection import Connection
from tomada.endpoint import SUBPROTOCOL, Endpoint, log
from tomada.event_loop import new_event_loop
from tomada.link import Link
from tomada.opening import Opening
from tomada.protocol import GoodbyeCode, Role
from tomada.server.datagrams import Datagrams
from tomada.server.streams import StreamServer
from tomada.settings import TLS, Deadlines, Limits

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from tomada.app import App
    from tomada.transports.datagrams.transport import DatagramStatistics


class Server:
    """A running server. Got from `serve`."""

    __slots__ = ("_closed", "_datagrams", "_endpoint", "_listeners", "_options")

    def __init__(self, endpoint: Endpoint, options: transports.Options) -> None:
        self._endpoint = endpoint
        self._options = options
        self._listeners: list[transports.Listener] = []
        self._datagrams = Datagrams(endpoint)
        self._closed: asyncio.Task[None] | None = None

    async def _start(self, app: App, addresses: tuple[Address, ...]) -> None:
        endpoint = self._endpoint
        await endpoint.start()
        agreed = msgspec.structs.replace(self._options, subprotocol=SUBPROTOCOL)
        try:
            await self._datagrams.open(app, addresses)
            for address in self._datagrams.left(addresses):
                self._listeners.append(await transports.listen(address, self._link, options=agreed))
            for handler in app.stream_handlers:
                self._listeners.append(await StreamServer(endpoint, handler, self._options).listen())
        except BaseException:
            await self.close()
            raise

    def _link(self) -> Link:
        return Link(self._endpoint, Connection)

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
        """The connections of this moment."""
        return tuple(link.connection for link in self._endpoint.connections)

    def reload_certificates(self) -> None:
        """Read the files of `TLS` again now, not within the next seconds; open connections go on as they are.

        Raises:
            ListenFailed: They cannot be used; the old certificate stays.
        """
        for listener in self._listeners:
            listener.reload_certificates()

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

    async def _close(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._datagrams.stop_receiving()
        self._endpoint.is_closing = True
        for flow in self._endpoint.flows:
            flow.hurry()
        links = tuple(self._endpoint.connections)
        for link in links:
            link.leave(GoodbyeCode.GOING_AWAY, "the server stops")
        while self._endpoint.connections:
            # All, and those that were accepted just now: they are cut when they come up.
            await asyncio.wait([link.ended for link in self._endpoint.connections])
        try:
            await self._endpoint.stop()
        finally:
            self._datagrams.close()


class Serving(Opening[Server]):
    """A server to be: ``async with`` it, ``await`` it and close what it gives, or call `run` without an event loop."""

    __slots__ = ("_addresses", "_app", "_deadlines", "_limits", "_options")

    def __init__(
        self,
        app: App,
        addresses: tuple[str | Address, ...],
        limits: Limits,
        deadlines: Deadlines,
        options: transports.Options,
    ) -> None:
        if not (addresses or app.has_addresses):
            raise ValueError("serve() needs an address, such as tcp://127.0.0.1:4477")
        super().__init__(self._serve)
        self._app = app
        self._addresses = tuple(map(Address.of, addresses))
        self._limits = limits
        self._deadlines = deadlines
        self._options = options

    def run(self, *, ready: Callable[[Server], None] | None = None) -> None:
        """Serve until SIGINT or SIGTERM, then close the server; a second signal cuts all at once, a third kills.

        Args:
            ready: Called with the server when it listens.
        """
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(self._run(ready))

    async def _run(self, ready: Callable[[Server], None] | None) -> None:
        stop = asyncio.Event()
        server = await self._serve()

        def stop_or_cut() -> None:
            if stop.is_set():
                _on_signals(None)
                server._endpoint.cut()  # noqa: SLF001 - one file
            stop.set()

        _on_signals(stop_or_cut)
        try:
            if ready is not None:
                ready(server)
            await stop.wait()
        finally:
            await server.close()

    async def _serve(self) -> Server:
        self._app.check(Connection)
        endpoint = Endpoint(Role.ACCEPTING, self._app, self._limits, self._deadlines, Connection)
        admitting = msgspec.structs.replace(self._options, admission=transports.Admission(self._limits))
        server = Server(endpoint, admitting)
        await server._start(self._app, self._addresses)  # noqa: SLF001 - one file
        log.info("%s listens on %s", self._app.name, ", ".join(map(str, server.addresses)))
        return server


def serve(
    app: App,
    *addresses: str | Address,
    tls: TLS | None = None,
    limits: Limits | None = None,
    deadlines: Deadlines | None = None,
    origins: tuple[str, ...] = (),
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

    Raises:
        AddressError: An address cannot be read (at once).
        ListenFailed: An address cannot be listened on; `AddressInUse` and `SystemPort` are kinds of it.
        DeclarationError: A handler asks for something that no ``on_start`` function returns.
    """
    deadlines = deadlines or Deadlines()
    options = transports.Options(handshake=deadlines.handshake, frame=deadlines.frame, tls=tls, origins=origins)
    return Serving(app, addresses, limits or Limits(), deadlines, options)


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
