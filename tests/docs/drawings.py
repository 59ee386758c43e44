"""What `docs/explanation/sessions.md` draws: made of the protocol's tables, and of what real engines say.

``python -m tests.docs.drawings`` writes it there.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tests.protocol.pairs import Room
from tomada.connection_state import ConnectionState
from tomada.protocol import Asked, Engine, Hello, Kind, Received, Resuming, Role, State, Welcome
from tomada.protocol.frames import CONTROL, HEADER, HEADER_BYTES, LANE_MASK, URGENT
from tomada.protocol.handshake import SESSION
from tomada.protocol.lanes import split_frames
from tomada.protocol.state import FINAL, TRANSITIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "explanation" / "sessions.md"


def states(role: Role) -> str:
    """The states that users see, in Mermaid's language: those of the protocol's table, brought together."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for state, row in TRANSITIONS[role].items():
        for step, target in row.items():
            ends = _word(state), _word(target)
            if ends[0] != ends[1] and step.value not in arrows.setdefault(ends, []):
                arrows[ends].append(step.value)
    lines = ["stateDiagram-v2", f"    [*] --> {_word(State.STARTING)}"]
    lines += [f"    {source} --> {target}: {', '.join(steps)}" for (source, target), steps in arrows.items()]
    lines += [f"    {word} --> [*]" for word in dict.fromkeys(map(_word, sorted(FINAL, key=lambda state: state.value)))]
    return "\n".join(lines) + "\n"


def _word(state: State) -> str:
    engine: Any = SimpleNamespace(state=state)
    return ConnectionState.of(engine).value


class Conversation:
    """Two engines with a session, and what they say, as a sequence diagram."""

    def __init__(self) -> None:
        self.client = Engine(Role.CONNECTING, Hello(software="client", features=(SESSION,)), 0.0)
        self.server = Engine(Role.ACCEPTING, Welcome(software="server"), 0.0)
        self.server.admission = Room()
        self.events: list[Any] = []
        """What has come to the server, and is not handled."""
        self.lines = ["sequenceDiagram", "    participant C as client", "    participant S as server"]

    def carry(self, *, arrives: bool = True) -> None:
        """Carry what both have to say until neither says more; or lose it on the way."""
        while self.client.unsent or self.server.unsent:
            for sender, arrow in ((self.client, "C{}S"), (self.server, "S{}C")):
                data = bytes(sender.take())
                head = arrow.format("->>" if arrives else "--x")
                self.lines += [f"    {head}: {text}" for text in _told(data)]
                if arrives:
                    self._hear(sender, data)

    def _hear(self, sender: Engine, data: bytes) -> None:
        if sender is self.server:
            self.client.receive(data, 0.0)
            return
        for event in self.server.receive(data, 0.0):
            if isinstance(event, (Asked, Received)):
                self.server.hold(event.origin, len(event.payload))
                self.events.append(event)

    def note(self, text: str) -> None:
        """Say something across both."""
        self.lines.append(f"    Note over C,S: {text}")

    def handle(self) -> None:
        """The server's handlers end."""
        for event in self.events:
            if isinstance(event, Asked):
                self.server.reply(event.id, 0, b"\x01")
            self.server.release(event.origin)
        self.events.clear()

    def lose(self) -> None:
        """The network fails."""
        for end in (self.client, self.server):
            end.take()
            end.lose("cut")

    def go_on(self) -> None:
        """The client comes back."""
        self.client.hello(0.0)
        hello = bytes(self.client.take())
        self.lines += [f"    C->>S: {text}" for text in _told(hello)]
        reader = Engine(Role.ACCEPTING, Welcome(software="server"), 0.0)
        (event,) = reader.receive(hello, 0.0)
        assert isinstance(event, Resuming)
        assert event.hello.session is not None
        self.server.resume(event.hello.session, 0.0)


def resume() -> str:
    """A connection that is lost while a request, a message and an answer are on their way; and how it goes on."""
    talk = Conversation()
    talk.carry()
    talk.client.ask(1, b"", "first")
    talk.carry()
    talk.note("its handler ends, and the network fails")
    talk.handle()
    talk.client.send(1, b"")
    talk.client.ask(1, b"", "second")
    talk.carry(arrives=False)
    talk.lose()
    talk.note("the client connects again")
    talk.go_on()
    talk.carry()
    talk.note("the handlers of both end")
    talk.handle()
    talk.server.report(at_once=True)
    talk.client.report(at_once=True)
    talk.carry()
    return "\n".join(talk.lines) + "\n"


def _told(data: bytes) -> Iterator[str]:
    for sequence, frame in split_frames(data):
        _, kind, flags, _, id_, _ = HEADER.unpack_from(frame)
        name = Kind(kind).name.lower()
        payload = bytes(frame[HEADER_BYTES:])
        if flags == CONTROL:
            yield f"{name}{_detail(Kind(kind), payload)}"
        else:
            lane = "urgent" if flags & LANE_MASK == URGENT else "normal"
            yield f"{name}{f', request {id_}' * bool(id_)} ({lane} {sequence})"


def _detail(kind: Kind, payload: bytes) -> str:
    match kind:
        case Kind.HELLO:
            return _greeting(msgspec.msgpack.decode(payload, type=Hello))
        case Kind.WELCOME:
            return _answer(msgspec.msgpack.decode(payload, type=Welcome))
        case Kind.ACKNOWLEDGE:
            (normal, exceptions), _ = msgspec.msgpack.decode(payload)
            return f": handled up to normal {normal}{f', but for {exceptions}' * bool(exceptions)}"
        case Kind.CREDIT:
            normal = int.from_bytes(payload[:8], "big")
            return f": up to byte {normal:,} of the normal lane"
        case _:
            return ""


def _greeting(hello: Hello) -> str:
    session = hello.session
    if session is None:
        return ": begin a session"
    has = session.positions.normal.received
    return f": go on (epoch {session.epoch}, generation {session.generation}), I have normal {has}"


def _answer(welcome: Welcome) -> str:
    session = welcome.session
    assert session is not None
    if session.positions is None:
        return f": its id and token (epoch {session.epoch})"
    return f" (epoch {session.epoch}): I have normal {session.positions.normal.received}"


def shown() -> dict[str, str]:
    """The drawings, by the name of their place."""
    return {
        "states of a client's connection": f"```mermaid\n{states(Role.CONNECTING)}```\n",
        "a session goes on": f"```mermaid\n{resume()}```\n",
    }


def filled(document: str) -> str:
    """The document with its drawings, between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``."""
    for name, part in shown().items():
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        before, found, rest = document.partition(begin)
        assert found, name
        document = f"{before}{begin}\n{part}\n{end}{rest.partition(end)[2]}"
    return document


if __name__ == "__main__":
    DOCUMENT.write_text(filled(DOCUMENT.read_text()))
