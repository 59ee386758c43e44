"""Two ends with a session, the connections between them, and what a driver does with what comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.protocol.pairs import CLOSED, Room
from tomada.protocol import (
    Answered,
    Asked,
    Cancelled,
    Ended,
    Engine,
    Event,
    Hello,
    Item,
    PeerLimits,
    Received,
    Resuming,
    Role,
    State,
    Welcome,
)
from tomada.protocol.handshake import SESSION, Resume

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL: Final = PeerLimits(frame_bytes=1_024, message_bytes=4_096, requests=8, buffer_bytes=4_096, stream_bytes=1_024)


def ends(limits: PeerLimits = SMALL, *, features: tuple[str, ...] = (SESSION,)) -> tuple[Engine, Engine]:
    """A connecting and an accepting end, open; with a session where the first one wants one."""
    client = Engine(Role.CONNECTING, Hello(software="test", limits=limits, features=features), 0.0)
    server = accepting(limits)
    carry(client, server)
    assert client.state is server.state is State.OPEN
    return client, server


def accepting(limits: PeerLimits = SMALL) -> Engine:
    """An end that has been accepted just now."""
    server = Engine(Role.ACCEPTING, Welcome(software="test", limits=limits), 0.0)
    server.admission = Room()
    return server


def all_of(end: Engine) -> bytes:
    """All that an end has to say."""
    said = bytearray()
    while end.unsent:
        said += end.take()
    return bytes(said)


def carry(left: Engine, right: Engine) -> tuple[list[Event], list[Event]]:
    """Carry bytes both ways until nothing more is said; what each end has told."""
    told: tuple[list[Event], list[Event]] = ([], [])
    while left.unsent or right.unsent:
        told[1].extend(right.receive(all_of(left), 0.0))
        told[0].extend(left.receive(all_of(right), 0.0))
    return told


def lose(*both: Engine) -> None:
    """The connection is cut; each end notices."""
    for end in both:
        if end.can_resume:
            end.lose("cut")


def call(client: Engine) -> Resume:
    """The client connects again; what it asks for."""
    client.hello(0.0)
    (event,) = accepting().receive(all_of(client), 0.0)
    assert isinstance(event, Resuming)
    assert event.hello.session is not None
    return event.hello.session


def resume(client: Engine, server: Engine) -> Resume:
    """Over a new connection: both ends stand where a registry leaves them, and the welcome is under way."""
    asked = call(client)
    assert server.disagreement(asked.positions) == ""
    server.resume(asked, 0.0)
    return asked


class End:
    """An engine, and a driver that handles at once, or when it is told to.

    Args:
        engine: The engine.
        answers: Whether all is handled, and answered with its own payload, when it comes.
    """

    def __init__(self, engine: Engine, *, answers: bool = True) -> None:
        self.engine = engine
        self.answers = answers
        self.received: dict[bool, list[bytes]] = {False: [], True: []}
        """One-way messages and requests, by whether they were urgent."""
        self.keys: dict[bytes, str] = {}
        self.waiting: list[Received | Asked] = []
        self.answered: dict[Any, list[Answered]] = {}
        self.items: dict[Any, list[bytes]] = {}
        self.ended: list[int] = []
        self.cancelled: list[int] = []
        self.others: list[Event] = []

    def receive(self, data: bytes) -> None:
        for event in self.engine.receive(data, 0.0):
            self.note(event)

    def note(self, event: Event) -> None:
        match event:
            case Received() | Asked():
                self.received[event.origin < 0].append(event.payload)
                self.keys[event.payload] = self.engine.key(event.origin)
                self.engine.hold(event.origin, len(event.payload))
                self.waiting.append(event)
                if self.answers:
                    self.handle(0)
            case Answered():
                self.answered.setdefault(event.tag, []).append(event)
            case Item():
                self.items.setdefault(event.id, []).append(event.payload)
                self.engine.consume(event.id, len(event.payload))
            case Ended():
                self.ended.append(event.id)
            case Cancelled():
                self.cancelled.append(event.id)
            case _:
                self.others.append(event)

    def handle(self, place: int) -> None:
        """One message has been handled."""
        event = self.waiting.pop(place)
        if isinstance(event, Asked):
            self.engine.reply(event.id, 1, event.payload)
        self.engine.release(event.origin)

    def handle_all(self) -> None:
        while self.waiting:
            self.handle(0)


def talk(
    left: End, right: End, *, cut: Callable[[Role, bytes], bytes] = lambda _, data: data, reports: bool = True
) -> bool:
    """Carry bytes both ways until nothing more is said.

    Args:
        left: One end.
        right: The other one.
        cut: Takes who speaks and what it says; returns what arrives. Where that is less, the connection is lost.
        reports: Whether both ends report what they have handled, as drivers do.

    Returns whether the connection lasted.
    """
    while left.engine.unsent or right.engine.unsent:
        for speaker, listener in ((left, right), (right, left)):
            said = all_of(speaker.engine)
            arrives = cut(speaker.engine.role, said)
            listener.receive(arrives)
            if len(arrives) < len(said):
                return False
            if reports:
                listener.engine.report()
    return True


def close(client: End, server: End) -> None:
    """Say goodbye at both ends, and see that nothing is left."""
    for end in (client, server):
        end.engine.report(at_once=True)
    talk(client, server)
    client.engine.leave(CLOSED, "")
    talk(client, server)
    server.engine.leave(CLOSED, "")
    talk(client, server)
    for end in (client, server):
        assert end.engine.state is State.CLOSED, end.engine.reason
        assert end.engine.drop("") == []
        assert end.engine.undelivered == ()
