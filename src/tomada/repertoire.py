"""What a messenger works with: the types and handlers of this end, who runs them, and who waits for answers."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from tomada.catalogue import Catalogue
from tomada.telemetry.tally import tally_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tomada.address import Address
    from tomada.app import App, Handler
    from tomada.errors import TomadaError
    from tomada.message import Message
    from tomada.protocol import Hello, TypeEntry, Welcome
    from tomada.telemetry.tracer import Span


class Answer(Protocol):
    """Where the answer to a request goes: an asyncio future, or anything shaped like one."""

    def done(self) -> bool:
        """Whether nobody waits for the answer any more."""

    def set_result(self, value: Any, /) -> None:
        """Deliver the reply."""

    def set_exception(self, error: BaseException, /) -> None:
        """Deliver the failure."""


class Taker(Answer, Protocol):
    """Where the answer to a request goes that a stream of items answers."""

    def item(self, type_: int, payload: bytes, /) -> None:
        """Take one item, of that number in the peer's catalogue."""

    def end(self) -> None:
        """There are no more."""


class Driver(Protocol):
    """What a messenger asks of the face that drives it."""

    @property
    def peer(self) -> Address:
        """The address of the other end."""

    def opened_by(self, peer: Hello | Welcome) -> None:
        """The handshake is complete."""

    def resuming(self, hello: Hello) -> None:
        """The peer wants to go on with a session that is not this connection's."""

    def resumed(self) -> None:
        """The session goes on over a new connection."""

    def handle(self, route: Route, message: Any, id_: int, origin: int) -> bool:
        """Run a handler; `id_` is 0 for a one-way message. Whether it has not ended: its end is told by the origin."""

    def deliver(self, message: Message, origin: int) -> bool:
        """Take a one-way message that has no handler; False refuses it. It is held until it has been given out."""

    def due(self, at: float) -> None:
        """A request came that must be answered earlier than all before it: by then `Engine.late` is to be asked."""

    def cancelled(self, id_: int) -> None:
        """The peer has given up its request."""

    def part(self, id_: int, type_: int, payload: bytes) -> None:
        """A part has come that follows the peer's request, of that number in the peer's catalogue.

        Also one where no handler takes any, and one that answers a request which this end has given up.
        """

    def parts_ended(self, id_: int) -> None:
        """There are no more."""

    def credited(self, id_: int) -> None:
        """The peer takes more items, or parts, of the request."""

    def ponged(self, payload: bytes) -> None:
        """A ping was answered."""

    def refused(self, error: TomadaError) -> None:
        """The peer could not deliver a one-way message of this end."""

    def left(self) -> None:
        """The peer has said goodbye."""


class Route:
    """The way of one incoming type to its handler."""

    __slots__ = (
        "around",
        "call",
        "decode",
        "entries",
        "handler",
        "has_stream",
        "is_request",
        "items",
        "kind",
        "name",
        "parts",
        "replies",
        "tally",
    )

    def __init__(self, handler: Handler, call: Callable[..., Any], entries: Mapping[str, TypeEntry]) -> None:
        self.handler = handler
        self.call = call
        """Takes the message, the connection and, where there are any, the parts; returns a coroutine, or the items."""
        self.kind = handler.kind
        self.name = handler.kind.__name__
        self.tally = tally_of(self.name)
        self.decode = msgspec.msgpack.Decoder(handler.kind).decode
        self.is_request = handler.is_request
        self.replies = handler.replies
        self.items = handler.items
        self.parts = handler.parts
        self.has_stream = handler.items is not None or handler.parts is not None
        self.entries = entries
        self.around: Callable[[], Span] | None = None
        """Of one message alone: makes the span that its handler is to run in."""

    def within(self, around: Callable[[], Span]) -> Route:
        """The same way, for one message: as one with a stream, at which whoever starts its handler looks twice."""
        route = copy(self)
        route.around = around
        route.has_stream = True
        return route


class Repertoire:
    """What all connections of one endpoint share: its types and the ways to its handlers."""

    __slots__ = ("catalogue", "routes", "service")

    def __init__(self, app: App | None = None, calls: Mapping[type[Message], Callable[..., Any]] | None = None) -> None:
        self.catalogue = Catalogue() if app is None else app.catalogue
        self.service = "" if app is None else app.name
        """What the application calls itself."""
        self.routes: dict[str, Route] = {}
        """By the name of what they handle."""
        if app is not None:
            for kind, call in (calls or {}).items():
                self.routes[kind.__name__] = Route(app.handlers[kind], call, self.catalogue.by_name)
