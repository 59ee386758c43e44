"""Two messengers whose engines talk without I/O, for tests of what lies above the protocol."""

from __future__ import annotations

from typing import Any

from tomada.address import Address
from tomada.app import App
from tomada.binding import Binding
from tomada.errors import MessageError, TomadaError
from tomada.message import Message, Request
from tomada.messenger import Messenger, Repertoire, Route
from tomada.protocol import Engine, FailureCode, Hello, Role, State, TypeEntry, Welcome


class Outcome:
    """Where an answer goes."""

    def __init__(self) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self.is_done = False

    def done(self) -> bool:
        return self.is_done

    def set_result(self, value: Any, /) -> None:
        assert not self.is_done
        self.value, self.is_done = value, True

    def set_exception(self, error: BaseException, /) -> None:
        assert not self.is_done
        self.error, self.is_done = error, True

    def result(self) -> Any:
        assert self.is_done, "no answer has come"
        if self.error is not None:
            raise self.error
        return self.value


class End:
    """One end, which runs its handlers at once, or keeps what came for them where `holds` is true."""

    def __init__(self, role: Role, app: App | None = None, *, states: tuple[object, ...] = ()) -> None:
        calls = None
        if app is not None:
            binding = Binding(app, states, End)
            calls = {kind: binding.bind(handler.function, handler.asks_for) for kind, handler in app.handlers.items()}
        repertoire = Repertoire(app, calls)
        greeting = Hello if role is Role.CONNECTING else Welcome
        self.engine = Engine(role, greeting(catalogue=tuple(repertoire.catalogue.entries)), 0)
        self.messenger = Messenger(self.engine, repertoire, self)
        self.peer = Address("memory", "peer")
        self.greeting: Hello | Welcome | None = None
        self.inbox: list[Message] = []
        self.takes = True
        self.holds = False
        self.held: list[tuple[Route, Any, int]] = []
        self.refusals: list[TomadaError] = []
        self.cancellations: list[int] = []
        self.pongs: list[bytes] = []
        self.dues: list[float] = []
        self.has_left = False
        self.resumptions: list[Hello] = []
        self.times_resumed = 0
        self.origins: list[int] = []
        self.parts: list[tuple[int, int, bytes]] = []
        self.ended: list[int] = []
        self.credits: list[int] = []

    # The messenger calls these.

    def opened_by(self, peer: Hello | Welcome) -> None:
        self.greeting = peer

    def resuming(self, hello: Hello) -> None:
        self.resumptions.append(hello)

    def resumed(self) -> None:
        self.times_resumed += 1

    def handle(self, route: Route, message: Any, id_: int, origin: int) -> bool:
        self.origins.append(origin)
        if self.holds:
            self.held.append((route, message, id_))
        else:
            self.run(route, message, id_)
        return self.holds

    def deliver(self, message: Message, origin: int) -> bool:
        self.origins.append(origin)
        if self.takes:
            self.inbox.append(message)
        return self.takes

    def due(self, at: float) -> None:
        self.dues.append(at)

    def cancelled(self, id_: int) -> None:
        self.cancellations.append(id_)

    def part(self, id_: int, type_: int, payload: bytes) -> None:
        self.parts.append((id_, type_, payload))

    def parts_ended(self, id_: int) -> None:
        self.ended.append(id_)

    def credited(self, id_: int) -> None:
        self.credits.append(id_)

    def ponged(self, payload: bytes) -> None:
        self.pongs.append(payload)

    def refused(self, error: TomadaError) -> None:
        self.refusals.append(error)

    def left(self) -> None:
        self.has_left = True

    # The tests call these.

    def run(self, route: Route, message: Any, id_: int) -> None:
        try:
            value = route.call(message, self)
        except Exception as error:  # noqa: BLE001 - as a driver does
            self.messenger.fail(id_, error)
            return
        if id_:
            try:
                self.messenger.reply(id_, route, value)
            except MessageError as error:
                self.engine.refuse(id_, FailureCode.INTERNAL, "InternalError", f"{route.handler.where}: {error}")

    def receive(self, data: bytes) -> None:
        self.messenger.receive(data, 0)


def said(engine: Engine) -> bytes:
    """All that an engine has to say, in as many pieces as it says it in."""
    pieces = bytearray()
    while engine.unsent:
        pieces += engine.take()
    return bytes(pieces)


class Pair:
    """A connecting and an accepting end, greeted; either may have an application."""

    def __init__(
        self, client: App | None = None, server: App | None = None, *, states: tuple[object, ...] = ()
    ) -> None:
        self.client = End(Role.CONNECTING, client)
        self.server = End(Role.ACCEPTING, server, states=states)
        self.exchange()
        assert self.client.engine.state is self.server.engine.state is State.OPEN

    def exchange(self) -> None:
        """Carry all bytes over, in both directions, until there are no more."""
        while self.client.engine.unsent or self.server.engine.unsent:
            self.server.receive(bytes(self.client.engine.take()))
            self.client.receive(bytes(self.server.engine.take()))

    def ask(self, request: Request[Any]) -> Any:
        """What the server answers; raises what `Connection.ask` would raise."""
        outcome = Outcome()
        self.client.messenger.ask(request, outcome)
        self.exchange()
        return outcome.result()

    def send(self, message: Message) -> None:
        self.client.messenger.send(message)
        self.exchange()


def greeted(catalogue: tuple[TypeEntry, ...], app: App | None = None) -> tuple[End, Engine]:
    """An accepting end, and the bare engine of a peer that says whatever a test wants of itself."""
    end = End(Role.ACCEPTING, app)
    peer = Engine(Role.CONNECTING, Hello(catalogue=catalogue), 0)
    end.receive(bytes(peer.take()))
    peer.receive(bytes(end.engine.take()), 0)
    return end, peer
