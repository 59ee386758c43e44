"""The engine of one end of a session: received bytes in, events out; commands in, bytes to send out.

It owns no socket, no clock and no types: payloads of messages pass through it unread. A driver feeds `receive`, acts on
the events, writes what `take` returns, and asks `expired` now and then. When the peer breaks the protocol nothing is
raised: the events before the violation are returned, `state` is `State.FAILED`, `reason` says why and `take` holds the
goodbye that tells the peer.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from tomada.errors import ProtocolError
from tomada.protocol import handshake
from tomada.protocol.durability import Durability
from tomada.protocol.events import (
    Credited,
    Declared,
    Event,
    Left,
    Opened,
    Ponged,
    Resumed,
    Resuming,
)
from tomada.protocol.frames import (
    Kind,
)
from tomada.protocol.handshake import (
    MAXIMUM_TYPES,
    GoodbyeCode,
    Hello,
    Session,
    Welcome,
)
from tomada.protocol.inbound import DEAF, GREETING
from tomada.protocol.state import Role, State, Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomada.protocol.admission import Admission

_ELSEWHERE: Final = frozenset({GoodbyeCode.GOING_AWAY, GoodbyeCode.REFUSED, GoodbyeCode.DEADLINE, GoodbyeCode.FAILED})
"""In place of the welcome to a session: another attempt may meet another server, or one with room."""

_LAST_WORDS: Final = frozenset(
    {GoodbyeCode.VERSION, GoodbyeCode.VIOLATION, GoodbyeCode.SESSION_LOST, GoodbyeCode.FAILED}
)
"""Who says so does not come back."""


class Engine(Durability):
    """One end of a session, without I/O.

    Args:
        role: Which end this is.
        greeting: What this end says of itself: a `Hello` at the connecting end, a `Welcome` at the accepting one. Its
            limits are enforced here.
        now: The time of the first byte that could have come, in seconds of any monotonic clock.
        encoded_greeting: `greeting` as bytes, where a server has encoded it once for all connections.
    """

    __slots__ = (
        "_encoded_greeting",
        "admission",
        "begun",
        "cut",
        "farewell",
        "heard",
        "made_at",
        "parted",
    )

    def __init__(
        self, role: Role, greeting: Hello | Welcome, now: float, *, encoded_greeting: bytes | None = None
    ) -> None:
        super().__init__(role, greeting, now)
        self.parted = False
        """Whether the peer has said goodbye."""
        self.farewell: GoodbyeCode | None = None
        """Why it has."""
        self.heard = False
        """Whether the peer has sent anything at all."""
        self.cut = False
        """Whether the peer's bytes ended in the middle of a frame or a message."""
        self.made_at = now
        """When the connection began."""
        self.begun: float | None = None
        """When the first byte of what is unfinished came."""
        self.admission: Admission | None = None
        """At the accepting end: asked whether there is room, when the peer's hello has come."""
        self._encoded_greeting = handshake.encode(greeting) if encoded_greeting is None else encoded_greeting
        if role is Role.CONNECTING:
            self._move(Step.SEND_HELLO)
            self._queue(Kind.HELLO, 0, self._encoded_greeting)

    def expired(self, now: float, handshake_seconds: float, frame_seconds: float) -> bool:
        """End the connection if something is later than allowed; tell whether it was.

        That is the handshake, counted from the beginning of the connection, and the rest of a frame that has begun, or
        the next frame of a message in fragments, counted from the frame before. Where there is a session that can go
        on, the connection is lost, and nothing else.
        """
        due = self.due(handshake_seconds, frame_seconds)
        if now < due:
            return False
        late, allowed = "a frame was begun and not finished", frame_seconds
        if self.state in GREETING:
            late, allowed = "no handshake", handshake_seconds
        reason = f"{late} within {allowed:g} s"
        if self.can_resume:
            self.lose(reason)
        else:
            self._fail(GoodbyeCode.DEADLINE, reason)
        return True

    def due(self, handshake_seconds: float, frame_seconds: float) -> float:
        """When `expired` has something to end, as it looks now; `inf` where nothing is waited for."""
        if self.state in GREETING:
            return self.made_at + handshake_seconds
        return inf if self.begun is None or self.state in DEAF else self.begun + frame_seconds

    # Bytes in.

    def receive(self, data: bytes, now: float) -> list[Event]:
        """The events that `data`, received at `now`, brings about, in order.

        One pass over all complete frames; what is left of a frame waits for the next call.
        """
        events: list[Event] = []
        if self.state in DEAF or not data:
            return events
        self.heard = True
        self._now = now
        try:
            start = self._go_on_reading(data, events.append) if self._rest else 0
            if self._rest or self.state in DEAF:
                return events
            position = self._frames(data, start, events.append) if start < len(data) else start
        except ProtocolError as error:
            self._fail(GoodbyeCode.VIOLATION, str(error))
            return events
        if self.state in DEAF:
            return events
        if position < len(data):
            if position or self.begun is None:
                self.begun = now
            self._rest = bytearray(memoryview(data)[position:])
        else:
            self.begun = now if self._in_fragments else None
        return events

    def _go_on_reading(self, data: bytes, emit: Callable[[Event], None]) -> int:
        """Complete the frame that has begun, and copy no more than that one; how much of `data` is read then.

        Where it is not complete, all of `data` is kept with it.
        """
        view = memoryview(data)
        start = 0
        while self._rest and self.state not in DEAF:
            missing = self._need - len(self._rest)
            if len(view) - start < missing:
                self._rest += view[start:]
                break
            first = b"".join((self._rest, view[start : start + missing]))
            start += missing
            self._rest = bytearray(first[self._frames(first, 0, emit) :])
        return start

    def receive_end(self) -> None:
        """The peer will send no more bytes."""
        if self.state in DEAF:
            return
        self.cut = bool(self._rest) or self._in_fragments
        if self._rest:
            reason = (
                f"the peer went away in the middle of a frame, after {len(self._rest)} of at least {self._need} bytes"
            )
        elif self.cut:
            reason = "the peer went away between the fragments of a message"
        else:
            reason = self.reason or "the peer closed the connection without a goodbye"
        if self.can_resume:
            self.lose(reason)
            return
        self.reason = reason
        self._move(Step.END_OF_INPUT)

    def _control_in(self, kind: int, id_: int, payload: bytes, emit: Callable[[Event], None]) -> None:
        match kind:
            case Kind.PING:
                self._queue(Kind.PONG, 0, payload)
            case Kind.PONG:
                emit(Ponged(payload))
            case Kind.CREDIT:
                self._credited(id_, payload)
                if id_:
                    emit(Credited(id_))
            case Kind.ACKNOWLEDGE:
                self._acknowledged(payload)
            case Kind.DECLARE:
                types = handshake.decode_declaration(payload)
                if not self._peer_types.add(len(types), len(payload)):
                    raise ProtocolError(f"the peer's catalogue holds more than {MAXIMUM_TYPES} types")
                self._known_types += len(types)
                if self.own_digest:
                    self.peer_entries += types
                emit(Declared(types))
            case Kind.GOODBYE:
                self._farewell(handshake.decode_goodbye(payload), emit)
            case _:
                self._greet(kind, payload, emit)

    def _farewell(self, goodbye: handshake.Goodbye, emit: Callable[[Event], None]) -> None:
        if self.state is State.RESUMING and goodbye.code in _ELSEWHERE:
            self.lose(handshake.goodbye_text(goodbye))
            return
        if self.state is State.RESUMING or not self.reason:
            self.reason = handshake.goodbye_text(goodbye)
        if goodbye.code in _LAST_WORDS:
            self.end_session()
        self.parted = True
        self.farewell = goodbye.code
        self._move(Step.RECEIVE_GOODBYE)
        emit(Left(goodbye))

    def _greet(self, kind: int, payload: bytes, emit: Callable[[Event], None]) -> None:
        """Take the peer's greeting, and answer a hello."""
        if kind == Kind.HELLO:
            # From here on the peer is one to be told why it is refused.
            self._move(Step.RECEIVE_HELLO)
            self._take_hello(handshake.decode_hello(payload), emit)
            return
        welcome = handshake.decode_welcome(payload)
        disagreement = handshake.disagreement(welcome)
        if disagreement:
            self._fail(GoodbyeCode.VERSION, disagreement)
        elif self.state is State.RESUMING:
            if self._resumed(welcome.session):
                emit(Resumed())
        else:
            self.epoch = 0 if welcome.session is None else welcome.session.epoch
            self._open_with(welcome, welcome.session, Step.RECEIVE_WELCOME, emit)

    def _take_hello(self, hello: Hello, emit: Callable[[Event], None]) -> None:
        disagreement = handshake.disagreement(hello)
        if disagreement:
            self._fail(GoodbyeCode.VERSION, disagreement)
            return
        if hello.session is not None:
            emit(Resuming(hello))  # it may have a place already, and is not asked for another one
            return
        refusal = None if self.admission is None else self.admission.admit()
        if refusal is not None:
            self._fail(*refusal)
            return
        session = None
        if self.admission is not None and handshake.SESSION in hello.features:
            session = self.admission.session()
        welcome = self._encoded_greeting
        self._queue(Kind.WELCOME, 0, welcome if session is None else handshake.with_session(welcome, session))
        self._open_with(hello, session, Step.SEND_WELCOME, emit)

    def _open_with(
        self, peer: Hello | Welcome, session: Session | None, step: Step, emit: Callable[[Event], None]
    ) -> None:
        self._peer_types.add(len(peer.catalogue), 0)
        if self.own_digest:
            self.peer_entries += peer.catalogue
        self._begin(peer, session)
        self._move(step)
        if self._declared:  # before anybody could hear it
            self._queue(Kind.DECLARE, 0, handshake.encode(tuple(self._declared)))
        emit(Opened(peer))

    def refuse_session(self, reason: str, code: GoodbyeCode = GoodbyeCode.SESSION_LOST) -> None:
        """At the accepting end: the session that the peer wants to go on with cannot go on."""
        if self.state is State.GREETED:
            self._fail(code, reason)

    def _restart(self, now: float) -> None:
        self.made_at = now
        self.parted = self.cut = False

    def _forget_rest(self) -> None:
        self._rest = bytearray()
        self.begun = None
