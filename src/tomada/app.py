"""The application: handlers and their routing by type. No I/O.

A handler is a function whose first parameter's annotation is the type it handles; what else it asks for, by annotation,
it is given: the `Connection` that the message came over, and whatever an ``on_start`` function returned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from tomada.address import Address
from tomada.catalogue import Catalogue
from tomada.datagrams.declaration import DatagramHandler
from tomada.declaration import Handler, Hook, check_given, declared_handler
from tomada.errors import DeclarationError
from tomada.streams.declaration import StreamHandler
from tomada.transports.datagrams.transport import DatagramOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tomada.message import Message
    from tomada.settings import Multicast

__all__ = ["App", "Handler", "Hook"]

F = TypeVar("F", bound="Callable[..., Any]")


class App:
    """A set of handlers, served by `tomada.serve` or given to `tomada.connect`.

    Args:
        name: The application's name, for logs and for peers.

    ::

        app = tomada.App("bank")


        @app.on
        async def transfer(request: Transfer, ledger: Ledger) -> Receipt: ...
    """

    def __init__(self, name: str = "app") -> None:
        self.name = name
        self.handlers: dict[type[Message], Handler] = {}
        self.stream_handlers: list[StreamHandler] = []
        self.datagram_handlers: list[DatagramHandler] = []
        self.start_hooks: list[Hook] = []
        self.stop_hooks: list[Hook] = []
        self.connect_hooks: list[Hook] = []
        self.reconnect_hooks: list[Hook] = []
        self.disconnect_hooks: list[Hook] = []
        self._catalogue: Catalogue | None = None

    def on(self, function: F) -> F:
        """Make `function` the handler of the messages that its first parameter's annotation names.

        An ``async def`` handler runs on the event loop, started at once in the order of arrival; a plain ``def`` runs
        in a thread pool. The handler of a `Request` returns its reply, that of a `StreamRequest` yields its items;
        where parts follow the request, a parameter that is annotated ``AsyncIterator[Part]`` is given them. What it
        raises is told to the caller: a `RemoteError` of the application's own as itself, anything else by name and text
        (and with its traceback in this end's log).

        Raises:
            DeclarationError: The function is not a handler; the text says what to write.
        """
        handler = declared_handler(function)
        other = self.handlers.get(handler.kind)
        if other is not None:
            raise DeclarationError(
                f"{handler.where} handles {handler.kind.__name__}, which {other.where} handles already: "
                "give one of them a message type of its own"
            )
        self.handlers[handler.kind] = handler
        self._catalogue = None
        return function

    def stream(self, address: str | Address) -> Callable[[F], F]:
        """Make the decorated function the handler of the byte streams that come to `address`.

        ::

            @app.stream("tcp://:7000")
            async def echo(stream: tomada.Stream) -> None:
                async for chunk in stream:
                    await stream.send(chunk)

        It is called once for each stream, in a task of its own, and when it returns the stream is closed. A plain
        ``def`` runs in a thread, with a `tomada.sync.Stream`. Further parameters are given what the ``on_start``
        functions returned. `tomada.serve` listens on the address beside those for messages.

        Raises:
            DeclarationError: The function is no such handler; the text says what to write.
            AddressError: The address cannot be read.
        """
        place = Address.of(address)

        def declare(function: F) -> F:
            self.stream_handlers.append(StreamHandler(function, place))
            return function

        return declare

    def datagram(
        self,
        address: str | Address,
        *,
        trusted: bool = False,
        multicast: Multicast | None = None,
        broadcast: bool = False,
    ) -> Callable[[F], F]:
        """Make a function the handler of the datagrams that come to `address`; `tomada.serve` opens it.

        ::

            @app.datagram("udp://:7001")
            async def echo(datagram: bytes, peer: tomada.DatagramPeer) -> None:
                peer.reply(datagram)

        The parameter that is annotated `bytes` is given what came, one that is annotated `DatagramPeer` who sent it,
        and any other what an ``on_start`` function returned. A plain ``def`` handler runs in a thread pool. What it
        raises is told to the log, and counted. Where 1,024 handlers run at once, further datagrams are dropped, and
        counted.

        Args:
            address: As `tomada.bind` takes it.
            trusted: Whether every source is what it says to be: on a closed network. Then answers may be of any length;
                otherwise at most three times what the source has sent.
            multicast: The group to join, and how answers travel.
            broadcast: Whether answers may go to broadcast addresses.

        Raises:
            AddressError: The address cannot be read.
            DeclarationError: The function is no handler of datagrams; the text says what to write.
        """
        where = Address.of(address)
        options = DatagramOptions(multicast=multicast, broadcast=broadcast)

        def declare(function: F) -> F:
            self.datagram_handlers.append(DatagramHandler(function, where, options, trusted=trusted))
            return function

        return declare

    def on_start(self, function: F) -> F:
        """Call `function` before the first connection; what it returns is given to all who ask for its type."""
        self.start_hooks.append(Hook(function, "on_start"))
        return function

    def on_stop(self, function: F) -> F:
        """Call `function` after the last connection has ended."""
        self.stop_hooks.append(Hook(function, "on_stop"))
        return function

    def on_connect(self, function: F) -> F:
        """Call `function` for each connection whose handshake is complete, before its first message."""
        self.connect_hooks.append(Hook(function, "on_connect"))
        return function

    def on_reconnect(self, function: F) -> F:
        """Call `function` for each connection that was lost and goes on, its session resumed."""
        self.reconnect_hooks.append(Hook(function, "on_reconnect"))
        return function

    def on_disconnect(self, function: F) -> F:
        """Call `function` for each such connection when it has ended, and its session with it."""
        self.disconnect_hooks.append(Hook(function, "on_disconnect"))
        return function

    @property
    def has_addresses(self) -> bool:
        """Whether it declares addresses of its own, of byte streams or datagrams."""
        return bool(self.stream_handlers or self.datagram_handlers)

    @property
    def catalogue(self) -> Catalogue:
        """The types that the handlers receive, return and yield."""
        if self._catalogue is None:
            self._catalogue = Catalogue(self._types(), self.handlers)
        return self._catalogue

    def _types(self) -> Iterable[type]:
        for kind, handler in self.handlers.items():
            yield kind
            for carried in (handler.replies, handler.items, handler.parts):
                if carried is not None:
                    yield from carried.decoders

    def check(self, connection_type: type, states: Iterable[object] | None = None) -> None:
        """Raise `DeclarationError` where a function asks for what nobody can give it.

        Args:
            connection_type: The class that functions name when they ask for their connection.
            states: What the ``on_start`` functions have returned; where they have not run, their annotations tell.
        """
        given = [hook.returns for hook in self.start_hooks] if states is None else [type(state) for state in states]
        hooks = [*self.connect_hooks, *self.reconnect_hooks, *self.disconnect_hooks, *self.stop_hooks]
        functions: list[Handler | StreamHandler | Hook] = [*self.handlers.values(), *hooks]
        for handler in self.datagram_handlers:
            handler.check(connection_type, given, sure=states is not None)
        for declared in [*functions, *self.stream_handlers]:
            for name, kind in declared.asks_for:
                if kind is not connection_type:
                    asks = f"{declared.where} asks for {name}: {kind.__name__}"
                    check_given(asks, kind, given, sure=states is not None)
