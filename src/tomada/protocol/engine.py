"""The engine of one end of a connection: received bytes in, events out; commands in, bytes to send out.

It owns no socket, no clock and no types: payloads of messages pass through it unread. A driver feeds `receive`, acts on
the events, writes what `take` returns, and asks `expired` now and then. When the peer breaks the protocol nothing is
raised: the events before the violation are returned, `state` is `State.FAILED`, `reason` says why and `take` holds the
goodbye that tells the peer.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from tomada.errors import ProtocolError
from tomada.protocol import frames, handshake, lanes
from tomada.protocol.events import (
    Answered,
    Asked,
    Cancelled,
    Declared,
    Event,
    Left,
    Opened,
    Ponged,
    Received,
    Refused,
)
from tomada.protocol.frames import ASK, CONTROL, ERROR, HEADER, HEADER_BYTES, NORMAL, REPLY, SEND, U32, Kind, kind_name
from tomada.protocol.handshake import (
    MAXIMUM_DECLARED_BYTES,
    MAXIMUM_TYPES,
    CatalogueSize,
    GoodbyeCode,
    Hello,
    Welcome,
    longest_frame,
)
from tomada.protocol.metadata import split_metadata
from tomada.protocol.outbound import Outbound
from tomada.protocol.state import FINAL, RECEIVABLE, Role, State, Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomada.protocol.admission import Admission

_HOT: Final = frozenset({SEND, ASK, REPLY, ERROR})
_TLS: Final = (handshake.TLS_HELLO, handshake.TLS_ALERT)  # as a header a record may look like a kind, and 350 MB
_UNKNOWN: Final = object()
_OPEN: Final = State.OPEN
_UNASKED: Final = "an answer came to request {}, which nobody asked"
_GREETING: Final = frozenset({State.STARTING, State.GREETED})
_unpack: Final = HEADER.unpack_from


class Engine(Outbound):
    """One end of a connection, without I/O.

    Args:
        role: Which end this is.
        greeting: What this end says of itself: a `Hello` at the connecting end, a `Welcome` at the accepting one. Its
            limits are enforced here.
        now: The time of the first byte that could have come, in seconds of any monotonic clock.
        encoded_greeting: `greeting` as bytes, where a server has encoded it once for all connections.
    """

    __slots__ = (
        "_frame_bytes",
        "_greeting",
        "_need",
        "_normal",
        "_now",
        "_peer_parity",
        "_peer_types",
        "_ready",
        "_received_messages",
        "_requests",
        "_rest",
        "_urgent",
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
        super().__init__(role, len(greeting.catalogue))
        self.parted = False
        """Whether the peer has said goodbye."""
        self.farewell: GoodbyeCode | None = None
        """Why it has."""
        self.heard = False
        """Whether the peer has sent anything at all."""
        self.cut = False
        """Whether the peer's bytes ended in the middle of a frame or a message."""
        self._peer_parity = int(role is Role.ACCEPTING)
        self._requests = greeting.limits.requests
        self._frame_bytes = longest_frame(greeting.limits)
        self._rest = bytearray()
        self._need = HEADER_BYTES
        self.made_at = self._now = now
        """When it began."""
        self.begun: float | None = None
        """When the first byte of what is unfinished came."""
        self.admission: Admission | None = None
        """At the accepting end: asked whether there is room, when the peer's hello has come."""
        self._normal = lanes.Incoming("normal", greeting.limits.message_bytes)
        self._urgent = lanes.Incoming("urgent", greeting.limits.message_bytes)
        self._received_messages = 0
        self._ready = False
        self._peer_types = CatalogueSize(0)
        self._greeting = handshake.encode(greeting) if encoded_greeting is None else encoded_greeting
        if role is Role.CONNECTING:
            self._move(Step.SEND_HELLO)
            self._queue(Kind.HELLO, 0, self._greeting)

    def expired(self, now: float, handshake_seconds: float, frame_seconds: float) -> bool:
        """End the connection if something is later than allowed; tell whether it was.

        That is the handshake, counted from the beginning of the connection, and the rest of a frame that has begun, or
        the next frame of a message in fragments, counted from the frame before.
        """
        due = self.due(handshake_seconds, frame_seconds)
        if now < due:
            return False
        late, allowed = "a frame was begun and not finished", frame_seconds
        if self.state in _GREETING:
            late, allowed = "no handshake", handshake_seconds
        self._fail(GoodbyeCode.DEADLINE, f"{late} within {allowed:g} s")
        return True

    def due(self, handshake_seconds: float, frame_seconds: float) -> float:
        """When `expired` has something to end, as it looks now; `inf` where nothing is waited for."""
        if self.state in _GREETING:
            return self.made_at + handshake_seconds
        return inf if self.begun is None or self.state in FINAL else self.begun + frame_seconds

    # Bytes in.

    def receive(self, data: bytes, now: float) -> list[Event]:
        """The events that `data`, received at `now`, brings about, in order.

        One pass over all complete frames; what is left of a frame waits for the next call.
        """
        events: list[Event] = []
        if self.state in FINAL or not data:
            return events
        self.heard = True
        self._now = now
        if self._rest:
            self._rest += data
            if len(self._rest) < self._need:
                return events
            data = bytes(self._rest)
        try:
            position = self._frames(data, events.append)
        except ProtocolError as error:
            self._fail(GoodbyeCode.VIOLATION, str(error))
            return events
        if self.state in FINAL:
            return events
        if position < len(data):
            if position or self.begun is None:
                self.begun = now
            self._rest = bytearray(data[position:])
        else:
            self.begun = now if self._in_fragments else None
            if self._rest:
                self._rest = bytearray()
        return events

    def receive_end(self) -> None:
        """The peer will send no more bytes."""
        if self.state in FINAL:
            return
        self.cut = bool(self._rest) or self._in_fragments
        if self._rest:
            self.reason = (
                f"the peer went away in the middle of a frame, after {len(self._rest)} of at least {self._need} bytes"
            )
        elif self.cut:
            self.reason = "the peer went away between the fragments of a message"
        elif not self.reason:
            self.reason = "the peer closed the connection without a goodbye"
        self._move(Step.END_OF_INPUT)

    @property
    def unfinished(self) -> int:
        """How many bytes are here of frames and messages that have not come to their end."""
        return len(self._rest) + len(self._normal.body) + len(self._urgent.body)

    @property
    def received_messages(self) -> int:
        """How many messages have come so far, as `sent_messages` counts those that have gone."""
        whole = self._normal.whole + self._urgent.whole
        self._received_messages += (whole - self._received_messages) & U32
        return self._received_messages

    @property
    def _in_fragments(self) -> bool:
        return self._normal.head is not None or self._urgent.head is not None

    def _frames(self, data: bytes, emit: Callable[[Event], None]) -> int:
        """Read every complete frame of `data`; return where the first incomplete one begins. The hot loop."""
        size = len(data)
        position = 0
        self._need = HEADER_BYTES
        frame_bytes = self._frame_bytes
        asked = self._asked
        opened = self._open
        normal = self._normal
        while size - position >= HEADER_BYTES:
            length, kind, flags, type_, id_, sequence = _unpack(data, position)
            start = position + HEADER_BYTES
            stop: int = start + length
            if stop > size:
                self._admit(data, length, kind, flags)
                self._need = HEADER_BYTES + length
                return position
            if (
                flags == NORMAL
                and kind in _HOT
                and sequence == normal.expected
                and length <= frame_bytes
                and self._ready
            ):
                normal.expected = sequence + 1 & U32
                if kind == REPLY:
                    tag = asked.pop(id_, _UNKNOWN)
                    if tag is _UNKNOWN:
                        raise ProtocolError(_UNASKED.format(id_))
                    emit(Answered(tag, False, type_, data[start:stop]))  # noqa: FBT003 - a keyword costs in the hot loop
                elif kind == ASK:
                    if id_ in opened or id_ & 1 != self._peer_parity or len(opened) >= self._requests or not id_:
                        self._admit_request(id_)
                    opened[id_] = None
                    emit(Asked(id_, type_, data[start:stop]))
                else:
                    self._message(kind, type_, id_, data[start:stop], emit)
            else:
                self._frame(data, position, stop, emit)
                if self.state in FINAL:
                    return stop
            position = stop
        if position < size and self.state in _GREETING:
            self._check_beginning(data)
        return position

    def _check_beginning(self, data: bytes) -> None:
        """Recognise a peer of another protocol by its first bytes, before a whole header is there."""
        if len(data) < handshake.RECOGNISABLE:
            self._need = handshake.RECOGNISABLE
        elif data[4] not in RECEIVABLE[self.role][self.state] or data.startswith(_TLS):
            raise ProtocolError(f"the peer does not speak tomada: it sent {handshake.recognise(data)}")

    def _admit(self, data: bytes, length: int, kind: int, flags: int) -> None:
        """Refuse a frame by its header alone, before its payload is waited for."""
        if self.state in _GREETING:
            self._check_beginning(data)
        elif kind not in RECEIVABLE[self.role][self.state]:
            raise ProtocolError(f"a frame of kind {kind_name(kind)} is not allowed while {self.state.value}")
        if kind not in frames.MESSAGE_KINDS:
            wrong = flags != CONTROL
            limit = handshake.MAXIMUM_BYTES.get(kind, handshake.MAXIMUM_CONTROL_BYTES)
            if kind == Kind.DECLARE:
                limit = MAXIMUM_DECLARED_BYTES - self._peer_types.declared_bytes
        else:
            lane = flags & frames.LANE_MASK
            wrong = flags > frames.KNOWN_FLAGS or lane not in frames.MESSAGE_LANES
            wrong |= bool(flags & frames.METADATA) and kind not in (ASK, SEND)
            limit = self._frame_bytes
        if wrong:
            raise ProtocolError(f"a frame of kind {kind_name(kind)} does not carry the lane and flags {flags:#04x}")
        if length > limit:
            raise ProtocolError(
                f"a frame of kind {kind_name(kind)} is {length} bytes long, at most {limit} are allowed"
            )

    def _frame(self, data: bytes, position: int, stop: int, emit: Callable[[Event], None]) -> None:
        """Any whole frame that is not in the hot loop's way."""
        length, kind, flags, type_, id_, sequence = _unpack(data, position)
        self._admit(data, length, kind, flags)
        payload = data[position + HEADER_BYTES : stop]
        if flags == CONTROL:
            if sequence:
                raise ProtocolError(f"a control frame carries sequence {sequence}, it must be 0")
            self._control(kind, id_, payload, emit)
            return
        incoming = self._normal if flags & frames.LANE_MASK == NORMAL else self._urgent
        more = bool(flags & frames.MORE)
        whole = incoming.add((kind, flags & ~frames.MORE, type_, id_), sequence, payload, more=more)
        self._ready = self.state is _OPEN and self._normal.head is None
        if whole is not None:
            deadline = None
            if flags & frames.METADATA:
                metadata, whole = split_metadata(whole)
                deadline = metadata.deadline
            if kind == ASK:
                self._request(id_, type_, whole, deadline, emit)
            else:
                self._message(kind, type_, id_, whole, emit)

    def _request(
        self, id_: int, type_: int, payload: bytes, deadline: int | None, emit: Callable[[Event], None]
    ) -> None:
        self._admit_request(id_)
        if deadline is None:
            self._open[id_] = None
        else:
            due = self._now + deadline / 1_000
            self._open[id_] = due, deadline
            self.answer_by = min(self.answer_by, due)
        emit(Asked(id_, type_, payload, deadline))

    def _message(self, kind: int, type_: int, id_: int, payload: bytes, emit: Callable[[Event], None]) -> None:
        if kind == SEND:
            if id_:
                raise ProtocolError(f"a one-way message carries the request id {id_}, it must be 0")
            emit(Received(type_, payload))
        elif kind == ERROR and not id_:
            emit(Refused(type_, payload))
        else:
            tag = self._asked.pop(id_, _UNKNOWN)
            if tag is _UNKNOWN:
                raise ProtocolError(_UNASKED.format(id_))
            emit(Answered(tag, kind == ERROR, type_, payload))

    def _control(self, kind: int, id_: int, payload: bytes, emit: Callable[[Event], None]) -> None:
        match kind:
            case Kind.PING:
                self._queue(Kind.PONG, 0, payload)
            case Kind.PONG:
                emit(Ponged(payload))
            case Kind.CANCEL:
                # Any other cancel crossed the answer on its way: it asks for nothing any more.
                if id_ in self._open:
                    emit(Cancelled(id_))
            case Kind.DECLARE:
                types = handshake.decode_declaration(payload)
                if not self._peer_types.add(len(types), len(payload)):
                    raise ProtocolError(f"the peer's catalogue holds more than {MAXIMUM_TYPES} types")
                emit(Declared(types))
            case Kind.GOODBYE:
                goodbye = handshake.decode_goodbye(payload)
                self.reason = self.reason or handshake.goodbye_text(goodbye)
                self.parted = True
                self.farewell = goodbye.code
                self._move(Step.RECEIVE_GOODBYE)
                emit(Left(goodbye))
            case _:
                self._greet(kind, payload, emit)

    def _greet(self, kind: int, payload: bytes, emit: Callable[[Event], None]) -> None:
        """Take the peer's greeting, and answer a hello."""
        peer: Hello | Welcome
        if kind == Kind.HELLO:
            # From here on the peer is one to be told why it is refused.
            self._move(Step.RECEIVE_HELLO)
            peer = handshake.decode_hello(payload)
        else:
            peer = handshake.decode_welcome(payload)
        disagreement = handshake.disagreement(peer)
        if disagreement:
            self._fail(GoodbyeCode.VERSION, disagreement)
            return
        if kind == Kind.HELLO:
            refusal = None if self.admission is None else self.admission.admit()
            if refusal is not None:
                self._fail(*refusal)
                return
            self._queue(Kind.WELCOME, 0, self._greeting)
        self._peer_limits = peer.limits
        self._peer_frame_bytes = longest_frame(peer.limits)
        self._peer_types.add(len(peer.catalogue), 0)
        self._move(Step.SEND_WELCOME if kind == Kind.HELLO else Step.RECEIVE_WELCOME)
        emit(Opened(peer))

    def _move(self, step: Step) -> None:
        super()._move(step)
        self._ready = self.state is _OPEN and self._normal.head is None
        if self.state in FINAL:
            # What is unfinished is not held any longer.
            self._rest = bytearray()
            self._normal.clear()
            self._urgent.clear()

    def _admit_request(self, id_: int) -> None:
        """Raise where the peer may not open a request with this id now."""
        if not id_ or id_ & 1 != self._peer_parity:
            whose = "odd" if self._peer_parity else "even and not 0"
            raise ProtocolError(f"request id {id_}: the peer's ids are {whose}")
        if id_ in self._open:
            raise ProtocolError(f"request id {id_} is used again before its answer")
        if len(self._open) >= self._requests:
            raise ProtocolError(f"more than {self._requests} requests are open")
