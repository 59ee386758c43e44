"""The part of an engine that outlives a connection: credit, acknowledgements, and how a session goes on.

What comes is *held* from its arrival until it has been handled; credit and acknowledgements follow from that. What
goes is kept in its lane until it is acknowledged. When the connection is lost (`lose`) both ends keep all that, tell
each other on the next one where they stand, and send again what the other lacks.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import msgspec

from tomada.errors import UNREADABLE, ProtocolError
from tomada.protocol import handshake
from tomada.protocol.frames import ASK, HEADER, HEADER_BYTES, LANE_MASK, METADATA, MORE, NORMAL, SEND, U32, Kind
from tomada.protocol.handshake import GoodbyeCode, Hello, Position, Positions, Session, Welcome
from tomada.protocol.lanes import MOST_EXCEPTIONS, Incoming, extended, is_after, split_frames
from tomada.protocol.metadata import split_metadata
from tomada.protocol.outbound import HEARD
from tomada.protocol.state import FINAL, Role, State, Step
from tomada.protocol.streaming import Streaming

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from tomada.protocol.outgoing import Outgoing

_CREDIT: Final = Struct("!QQ")
_STREAM_CREDIT: Final = Struct("!Q")
_PARTS: Final = 4
"""Credit is granted when such a part of it has been used up."""
_FRAMES: Final = 1_024
"""What has been handled is acknowledged after so many frames at the latest, if they are small."""
_Sequence = Annotated[int, msgspec.Meta(ge=0, le=U32)]
_Handled = tuple[_Sequence, Annotated[tuple[_Sequence, ...], msgspec.Meta(max_length=MOST_EXCEPTIONS)]]
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(tuple[_Handled, _Handled]).decode


class Undelivered(NamedTuple):
    """A message of this end whose fate is not known."""

    key: str
    """By which its handler would recognise it."""
    type: int
    payload: bytes


class Continuity(Streaming):
    """Credit, acknowledgements and resumption."""

    __slots__ = (
        "_greeting",
        "_is_due",
        "_is_ending",
        "_known_types",
        "_owes",
        "_seen",
        "_told",
        "epoch",
        "generation",
        "normal_in",
        "session",
        "undelivered",
        "urgent_in",
    )

    def __init__(self, role: Role, greeting: Hello | Welcome) -> None:
        limits = greeting.limits
        super().__init__(role, len(greeting.catalogue), limits)
        self._greeting = greeting
        self.normal_in = Incoming("normal", limits.message_bytes, limits.buffer_bytes)
        self.urgent_in = Incoming("urgent", limits.message_bytes, limits.urgent_bytes)
        self._is_due = False
        """Whether there may be something to report before a part of the credit is used up."""
        self._is_ending = False
        self._owes = False
        """Whether the last acknowledgement came in the middle of a message: its end is to be acknowledged at once."""
        self._seen = 1
        """The sequence that was due in the normal lane at the last acknowledgement."""
        self._told = 0
        """The normal lane's received bytes that were handled at the last report."""
        self._known_types = 0
        """How many types the peer has told."""
        self.session: Session | None = None
        """The session, where both ends want one."""
        self.generation = 0
        """The number of the connection, among those of the session."""
        self.epoch = 0
        """How often the session has gone on, as the accepting end knows."""
        self.undelivered: tuple[Undelivered, ...] = ()
        """After the end: the messages of this end whose fate is not known."""

    # What has come, and is not handled.

    def hold(self, origin: int, size: int) -> None:
        """The message that came from `origin`, with a payload of `size` bytes, is not handled yet."""
        size += HEADER_BYTES
        if origin >= 0:
            lane = self.normal_in
            lane.held[origin] = size
        else:
            lane = self.urgent_in
            lane.held[~origin] = size
        lane.held_bytes += size

    def release(self, origin: int) -> None:
        """It is handled now; without effect where it was not held."""
        if origin >= 0:
            lane = self.normal_in
            lane.held_bytes -= lane.held.pop(origin, 0)
        else:
            lane = self.urgent_in
            lane.held_bytes -= lane.held.pop(~origin, 0)
        self._is_due = True

    @property
    def held(self) -> int:
        """How many messages have come and are not handled yet."""
        return len(self.normal_in.held) + len(self.urgent_in.held)

    @property
    def held_bytes(self) -> int:
        """How many bytes they have."""
        return self.normal_in.held_bytes + self.urgent_in.held_bytes

    @property
    def credit_left(self) -> int:
        """How many more bytes the peer takes in the normal lane, before it has handled some of what it holds."""
        lane = self.normal
        return max(0, lane.credit - lane.offset - len(lane.gathered))

    @property
    def duplicates(self) -> int:
        """How many frames came a second time, and were dropped."""
        return self.normal_in.dropped + self.urgent_in.dropped

    def key(self, origin: int) -> str:
        """By which a handler recognises the message that came from `origin`: the same however often it is sent."""
        accepting_sent = self.role is Role.CONNECTING
        if origin >= 0:
            return self._key("s" * accepting_sent, extended(origin, self.normal_in.near))
        return self._key("su" if accepting_sent else "u", extended(~origin, self.urgent_in.near))

    def _key(self, mark: str, number: int) -> str:
        """The key of a message that the accepting end sent (``s``), or that is urgent (``u``)."""
        return f"{self.session.id.hex() if self.session is not None else ''}.{mark}{number}"

    def report(self, *, at_once: bool = False) -> None:
        """Queue what the peer should know of what was handled: at once, or when a part of its credit is used up."""
        lane = self.normal_in
        used = lane.consumed - self._told
        few = (lane.expected - self._seen & U32) < _FRAMES
        is_owed = self._owes and lane.head is None
        if not at_once and used < self._report_bytes and few and not self._is_due and not is_owed:
            return
        self._is_due = False
        if self.state not in HEARD:
            return
        grown = [self._grow(lane, at_once=at_once), self._grow(self.urgent_in, at_once=at_once)]
        self._told = lane.consumed
        self._owes = lane.head is not None
        if any(grown):
            self._queue(Kind.CREDIT, 0, _CREDIT.pack(lane.granted, self.urgent_in.granted))
        if at_once or any(grown) or not few or is_owed:
            self._acknowledge()

    @property
    def _report_bytes(self) -> int:
        return min(self.normal_in.window, self._peer_limits.buffer_bytes) // _PARTS

    def _grow(self, lane: Incoming, *, at_once: bool) -> bool:
        limit = lane.consumed + lane.window
        part = 1 if at_once else min(lane.window, self._peer_limits.buffer_bytes) // _PARTS
        if limit - lane.granted < part:
            return False
        lane.granted = limit
        return True

    def _acknowledge(self, *, again: bool = False) -> None:
        """Note what has been handled, and tell the peer where it keeps what it has sent."""
        self._seen = self.normal_in.expected
        handled = [lane.handled() for lane in (self.normal_in, self.urgent_in)]
        if again or handled != [self.normal_in.reported, self.urgent_in.reported]:
            self.normal_in.reported, self.urgent_in.reported = handled
            for lane in (self.normal_in, self.urgent_in):
                lane.near = extended(lane.expected - 1 & U32, lane.near)
            if self.session is not None:
                self._queue(Kind.ACKNOWLEDGE, 0, _encode(handled))

    # What the peer reports.

    def _acknowledged(self, payload: bytes) -> None:
        if self.session is None:
            raise ProtocolError("something is acknowledged in a connection without a session")
        try:
            handled = _decode(payload)
        except UNREADABLE as error:
            raise ProtocolError(f"an acknowledgement cannot be read: {error}") from error
        for lane, (up_to, exceptions) in zip((self.normal, self.urgent), handled, strict=True):
            kept = lane.retained_bytes
            lane.acknowledge(up_to, exceptions)
            self._refused = max(0, self._refused - kept + lane.retained_bytes)
            self._look(lane)

    def _credited(self, id_: int, payload: bytes) -> None:
        layout = _STREAM_CREDIT if id_ else _CREDIT
        if len(payload) != layout.size:
            raise ProtocolError(f"a credit has {len(payload)} bytes, it must have {layout.size}")
        if id_:
            self._stream_credit(id_, *layout.unpack(payload))
            return
        for lane, credit in zip((self.normal, self.urgent), layout.unpack(payload), strict=True):
            if credit < lane.credit:
                raise ProtocolError(f"the credit shrinks from {lane.credit} to {credit}")
            lane.credit = credit
            self._look(lane)

    # The session.

    def _begin(self, peer: Hello | Welcome, session: Session | None) -> None:
        """The first handshake is complete."""
        self._peer_limits = peer.limits
        self._peer_frame_bytes = handshake.longest_frame(peer.limits)
        self._known_types = len(peer.catalogue)
        self.session = session
        self.normal.credit, self.urgent.credit = peer.limits.buffer_bytes, peer.limits.urgent_bytes
        for lane in (self.normal, self.urgent):
            lane.retains = session is not None
            self._look(lane)

    @property
    def can_resume(self) -> bool:
        """Whether the session can go on over another connection when this one is lost."""
        return self.goes_on and Step.LOSE in self._transitions[self.state]

    @property
    def goes_on(self) -> bool:
        """Whether there is a session, and its end is not decided."""
        return self.session is not None and not self._is_ending and self.state not in FINAL

    def end_session(self) -> None:
        """Whatever becomes of the connection, the session does not go on after it."""
        self._is_ending = True

    def lose(self, reason: str) -> None:
        """The connection is lost; the session is kept."""
        self._move(Step.LOSE)
        self.reason = reason
        self._control = bytearray()
        self._goodbye = b""
        self._forget_rest()

    def positions(self) -> Positions:
        """Where this end stands."""
        return Positions(
            self._known_types,
            *[
                Position(incoming.expected - 1 & U32, tuple(incoming.missing), outgoing.oldest)
                for incoming, outgoing in ((self.normal_in, self.normal), (self.urgent_in, self.urgent))
            ],
        )

    def disagreement(self, peer: Positions) -> str:
        """Why the session cannot go on with a peer that stands there; empty if it can."""
        if not len(self._greeting.catalogue) <= peer.types <= self._own_types.types:
            return f"the peer knows {peer.types} types of this end, which has told {self._own_types.types}"
        lanes = ((self.normal, self.normal_in, peer.normal), (self.urgent, self.urgent_in, peer.urgent))
        for outgoing, incoming, position in lanes:
            if not outgoing.covers(position.received, position.missing):
                return f"the peer has received up to {position.received}, which this end cannot go on from"
            if is_after(position.oldest, incoming.expected):
                return f"the peer can send again from {position.oldest}, this end lacks {incoming.expected}"
        return ""

    def hello(self, now: float) -> None:
        """At the connecting end: a new connection is there; go on with the session."""
        session = self.session
        assert session is not None, "only a session is lost and goes on"  # noqa: S101 - the house's own order
        self.generation += 1
        self._restart(now)
        resume = handshake.Resume(session.id, session.token, self.epoch, self.generation, self.positions())
        greeting = self._greeting
        hello = Hello(software=greeting.software, limits=greeting.limits, features=greeting.features, session=resume)
        self._queue(Kind.HELLO, 0, handshake.encode(hello))
        self._move(Step.SEND_HELLO)

    def resume(self, peer: handshake.Resume, now: float) -> None:
        """At the accepting end: go on over the connection that `peer` came over; the driver has looked at it."""
        session = self.session
        assert session is not None, "only a session goes on"  # noqa: S101 - the house's own order
        if self.state is not State.LOST:
            self.lose("the peer came back over another connection")
        self.generation = peer.generation
        self.epoch += 1
        self._restart(now)
        greeting = self._greeting
        here = Session(session.id, session.token, self.epoch, session.seconds, self.positions())
        welcome = Welcome(software=greeting.software, limits=greeting.limits, features=greeting.features, session=here)
        self._queue(Kind.WELCOME, 0, handshake.encode(welcome))
        self._move(Step.RESUME)
        self._go_on(peer.positions)

    def _resumed(self, session: Session | None) -> bool:
        """At the connecting end: the welcome has come. Whether the session goes on."""
        mine = self.session
        if session is None or mine is None or session.id != mine.id or session.positions is None:
            self._fail(GoodbyeCode.SESSION_LOST, "the peer does not go on with the session")
            return False
        disagreement = self.disagreement(session.positions)
        if disagreement:
            self._fail(GoodbyeCode.SESSION_LOST, disagreement)
            return False
        self.epoch = session.epoch
        self._move(Step.RECEIVE_WELCOME)
        self._go_on(session.positions)
        return True

    def _restart(self, now: float) -> None:
        """A new connection begins: nothing has come over it."""
        raise NotImplementedError

    def _forget_rest(self) -> None:
        """What has come of a frame is worth nothing without the rest; of a message, it goes on."""
        raise NotImplementedError

    def _go_on(self, peer: Positions) -> None:
        """Say again what the old connection may have lost."""
        self.reason = ""
        unknown = self._own_types.types - peer.types
        if unknown:
            self._queue(Kind.DECLARE, 0, handshake.encode(tuple(self._declared[-unknown:])))
        for lane, position in ((self.normal, peer.normal), (self.urgent, peer.urgent)):
            lane.rewind(position.received, position.missing)
            self._look(lane)
        self._queue(Kind.CREDIT, 0, _CREDIT.pack(self.normal_in.granted, self.urgent_in.granted))
        self._repeat_stream_credits()
        self._acknowledge(again=True)
        if self._parting is not None:
            self._say_goodbye()

    # What could not be delivered.

    def unsent_requests(self) -> set[int]:
        """The requests of this end that the peer cannot have got."""
        unsent = set()
        for lane in (self.urgent, self.normal):
            for chunk in (*[chunk.data for chunk in lane.closed], lane.gathered):
                for sequence, frame in split_frames(chunk):
                    _, kind, _, _, id_, _ = HEADER.unpack_from(frame)
                    # What waits to be sent again the peer may have got: the other time, before it was started anew.
                    if kind == ASK and is_after(sequence, lane.handed):
                        unsent.add(id_)
        return unsent

    def drop(self, reason: str) -> list[tuple[int, Any]]:
        """Nothing can go any further: end the session and return the requests that were open, ids and tags."""
        if self.session is not None and not self.undelivered:
            self.undelivered = tuple(self._unknown_fate())
        self.normal.clear()
        self.urgent.clear()
        return super().drop(reason)

    def _unknown_fate(self) -> Iterator[Undelivered]:
        for lane in (self.urgent, self.normal):
            yield from self._messages(lane)

    def _messages(self, lane: Outgoing) -> Iterator[Undelivered]:
        whole = bytearray()
        for sequence, frame in lane.frames():
            _, kind, flags, type_, id_, _ = HEADER.unpack_from(frame)
            if kind != SEND and not (kind == ASK and id_ in self._asked):
                continue
            whole += frame[HEADER_BYTES:]
            if flags & MORE:
                continue
            payload, whole = bytes(whole), bytearray()
            key = None
            if flags & METADATA:
                try:
                    metadata, payload = split_metadata(payload)
                except ProtocolError:
                    continue  # the peer has acknowledged the beginning of a message, and not its end
                key = metadata.key
            if key is None:
                mark = "s" * (self.role is Role.ACCEPTING) + "u" * (flags & LANE_MASK != NORMAL)
                key = self._key(mark, extended(sequence, lane.near))
            yield Undelivered(key, type_, payload)
