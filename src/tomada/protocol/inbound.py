"""The part of an engine that reads frames: one pass over all that have come."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final

from tomada.errors import ProtocolError
from tomada.protocol import frames, handshake
from tomada.protocol.continuity import Continuity
from tomada.protocol.events import Answered, Asked, Cancelled, Ended, Event, Item, Received, Refused
from tomada.protocol.frames import (
    ASK,
    CANCEL,
    CONTROL,
    END,
    ERROR,
    HEADER,
    HEADER_BYTES,
    ITEM,
    NORMAL,
    REPLY,
    SEND,
    U32,
    Kind,
    kind_name,
)
from tomada.protocol.handshake import MAXIMUM_DECLARED_BYTES, CatalogueSize, FailureCode, Hello, Welcome, longest_frame
from tomada.protocol.lanes import counted
from tomada.protocol.metadata import Metadata, split_metadata
from tomada.protocol.state import FINAL, RECEIVABLE, Role, State, Step

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomada.protocol.lanes import Incoming

# Kind and flags, read as one number.
_HOT_SEND, _HOT_ASK, _HOT_REPLY = (kind << 8 | NORMAL for kind in (SEND, ASK, REPLY))
_HOT: Final = frozenset({_HOT_SEND, _HOT_ASK, _HOT_REPLY, ERROR << 8 | NORMAL, ITEM << 8 | NORMAL})
_unpack_hot: Final = Struct("!IHHII").unpack_from
_ANSWERS: Final = frozenset({REPLY, ERROR, END})
_TLS: Final = (handshake.TLS_HELLO, handshake.TLS_ALERT)  # as a header a record may look like a kind, and 350 MB
_UNKNOWN: Final = object()
_OPEN: Final = State.OPEN
_UNASKED: Final = "an answer came to request {}, which nobody asked"
GREETING: Final = frozenset({State.STARTING, State.GREETED, State.RESUMING})
"""Nothing but the handshake goes on."""
_BEGUN: Final = "the server was started anew when this had begun, and cannot go on with it"
DEAF: Final = FINAL | {State.LOST}
"""There is no connection: what still comes is not read."""
_unpack: Final = HEADER.unpack_from


class Inbound(Continuity):
    """Bytes in, events out."""

    __slots__ = (
        "_aside",
        "_begun",
        "_frame_bytes",
        "_need",
        "_now",
        "_orphans",
        "_peer_parity",
        "_peer_types",
        "_ready",
        "_received_messages",
        "_requests",
        "_rest",
        "_spent",
    )

    def __init__(self, role: Role, greeting: Hello | Welcome, now: float) -> None:
        super().__init__(role, greeting)
        self._peer_parity = int(role is Role.ACCEPTING)
        self._requests = greeting.limits.requests
        self._frame_bytes = longest_frame(greeting.limits)
        self._rest = bytearray()
        self._need = HEADER_BYTES
        self._now = now
        self._aside = 0
        """How many of the bytes in work are none of new frames of the normal lane, or were read before."""
        self._spent = 0
        """Frames that have come and are no messages: items, ends and cancels."""
        self._orphans = 0
        """Up to this id requests of this end may have been asked by a process before this one."""
        self._begun: set[int] = set()
        """Requests of the peer that a process before this one has answered in part."""
        self._received_messages = 0
        self._ready = False
        self._peer_types = CatalogueSize(0)

    @property
    def unfinished(self) -> int:
        """How many bytes are here of frames and messages that have not come to their end."""
        return len(self._rest) + len(self.normal_in.body) + len(self.urgent_in.body)

    @property
    def unread(self) -> bytes:
        """What has come of a frame that is not complete."""
        return bytes(self._rest)

    @property
    def received_messages(self) -> int:
        """How many messages have come so far, as `sent_messages` counts those that have gone."""
        whole = self.normal_in.whole + self.urgent_in.whole - self._spent
        self._received_messages = counted(whole, self._received_messages)
        return self._received_messages

    @property
    def _in_fragments(self) -> bool:
        return self.normal_in.head is not None or self.urgent_in.head is not None

    def _frames(self, data: bytes, position: int, emit: Callable[[Event], None]) -> int:  # noqa: C901, PLR0912 - calls cost in the hot loop
        """Read every complete frame of `data` from `position` on; return where the first incomplete one begins.

        The hot loop; long, because a call here costs each message.
        """
        size = len(data)
        self._need = HEADER_BYTES
        self._aside = position
        frame_bytes = self._frame_bytes
        asked = self._asked
        opened = self._open
        normal = self.normal_in
        allowed = normal.granted - normal.received + position
        urgent_asked, inflows, outflows = self._urgent_asked, self._inflows, self._outflows
        expected, ready = normal.expected, self._ready
        while size - position >= HEADER_BYTES:
            length, what, type_, id_, sequence = _unpack_hot(data, position)
            start = position + HEADER_BYTES
            stop: int = start + length
            if stop > size:
                self._incomplete(data[position:start])
                break
            if what in _HOT and sequence == expected and length <= frame_bytes and position < allowed and ready:
                normal.expected = expected = sequence + 1 & U32
                if what == _HOT_REPLY:
                    tag = asked.pop(id_, _UNKNOWN)
                    if urgent_asked or inflows or outflows:
                        self._forget(id_)
                    if tag is _UNKNOWN:
                        self._unasked(id_)
                    else:
                        emit(Answered(tag, REPLY, type_, data[start:stop]))
                elif what == _HOT_ASK:
                    if id_ in opened or id_ & 1 != self._peer_parity or len(opened) >= self._requests or not id_:
                        self._admit_request(id_)
                    opened[id_] = None
                    emit(Asked(id_, type_, data[start:stop], sequence))
                elif what == _HOT_SEND and not id_:
                    emit(Received(type_, data[start:stop], sequence))
                else:
                    self._message(what >> 8, type_, id_, data[start:stop], sequence, emit)
            else:
                self._frame(data, position, stop, emit)
                allowed = normal.granted - normal.received + self._aside
                expected, ready = normal.expected, self._ready
                if self.state in DEAF:
                    return stop
            position = stop
        normal.received += position - self._aside
        if position < size and self.state in GREETING:
            self._check_beginning(data[position : position + HEADER_BYTES] if position else data)
        return position

    def _incomplete(self, header: bytes) -> None:
        """The payload has not all come."""
        length, kind, flags, _, _, _ = _unpack(header)
        self._admit(header, length, kind, flags)
        self._need = HEADER_BYTES + length

    def _check_beginning(self, data: bytes) -> None:
        """Recognise a peer of another protocol by its first bytes, before a whole header is there."""
        if len(data) < handshake.RECOGNISABLE:
            self._need = handshake.RECOGNISABLE
        elif data[4] not in RECEIVABLE[self.role][self.state] or data.startswith(_TLS):
            raise ProtocolError(f"the peer does not speak tomada: it sent {handshake.recognise(data)}")

    def _admit(self, data: bytes, length: int, kind: int, flags: int) -> None:
        """Refuse a frame by its header alone, before its payload is waited for."""
        if self.state in GREETING:
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
            limit = 0 if kind in (CANCEL, END) else self._frame_bytes
        if wrong:
            raise ProtocolError(f"a frame of kind {kind_name(kind)} does not carry the lane and flags {flags:#04x}")
        if length > limit:
            raise ProtocolError(
                f"a frame of kind {kind_name(kind)} is {length} bytes long, at most {limit} are allowed"
            )

    def _frame(self, data: bytes, position: int, stop: int, emit: Callable[[Event], None]) -> None:
        """Any whole frame that is not in the hot loop's way."""
        length, kind, flags, type_, id_, sequence = _unpack(data, position)
        self._admit(data[position : position + HEADER_BYTES], length, kind, flags)
        payload = data[position + HEADER_BYTES : stop]
        is_normal = flags & frames.LANE_MASK == NORMAL
        if not is_normal:
            self._aside += stop - position
        if flags == CONTROL:
            if sequence:
                raise ProtocolError(f"a control frame carries sequence {sequence}, it must be 0")
            self._control_in(kind, id_, payload, emit)
            return
        incoming = self.normal_in if is_normal else self.urgent_in
        if incoming.is_behind(sequence):
            incoming.dropped += 1
            self._aside += (stop - position) * is_normal
            return
        self._charge(incoming, kind, sequence, position, stop)
        more = bool(flags & frames.MORE)
        whole = incoming.add((kind, flags & ~frames.MORE, type_, id_), sequence, payload, more=more)
        self._ready = self.state is _OPEN and self.normal_in.head is None
        if whole is None:
            return
        metadata = None
        if flags & frames.METADATA:
            metadata, whole = split_metadata(whole)
        origin = sequence if is_normal else ~sequence
        if kind == ASK:
            self._request(id_, type_, whole, origin, metadata or Metadata(), emit)
        elif metadata is not None and not id_:
            emit(Received(type_, whole, origin, metadata.trace))
        else:
            self._message(kind, type_, id_, whole, origin, emit)

    def _charge(self, incoming: Incoming, kind: int, sequence: int, position: int, stop: int) -> None:
        """Count a frame; the peer may only begin a message where it has credit."""
        is_normal = incoming is self.normal_in
        came = incoming.received + (position - self._aside) * is_normal
        if sequence in incoming.missing:
            self._aside += (stop - position) * is_normal  # it was counted the other time
        elif came >= incoming.granted and kind in (SEND, ASK) and incoming.head is None:
            raise ProtocolError(f"a message was begun at {came} bytes, the credit is {incoming.granted}")
        elif not is_normal:
            incoming.received += stop - position
            self._is_due = True

    def _request(
        self,
        id_: int,
        type_: int,
        payload: bytes,
        origin: int,
        metadata: Metadata,
        emit: Callable[[Event], None],
    ) -> None:
        self._admit_request(id_)
        if id_ in self._begun:
            self._begun.remove(id_)
            self._open[id_] = None
            self.refuse(id_, FailureCode.LOST, "", _BEGUN)
            return
        deadline = metadata.deadline
        if origin < 0:
            self._urgent_open.add(id_)
        if deadline is None:
            self._open[id_] = None
        else:
            due = self._now + deadline / 1_000
            self._open[id_] = due, deadline
            self.answer_by = min(self.answer_by, due)
        emit(Asked(id_, type_, payload, origin, deadline, metadata.key, metadata.trace))

    def _message(
        self, kind: int, type_: int, id_: int, payload: bytes, origin: int, emit: Callable[[Event], None]
    ) -> None:
        if kind == SEND:
            if id_:
                raise ProtocolError(f"a one-way message carries the request id {id_}, it must be 0")
            emit(Received(type_, payload, origin))
        elif kind == ERROR and not id_:
            emit(Refused(type_, payload))
        elif kind in _ANSWERS and id_ & 1 != self._peer_parity:
            tag = self._asked.pop(id_, _UNKNOWN)
            if tag is _UNKNOWN:
                self._unasked(id_)
                return
            self._forget(id_)
            emit(Answered(tag, kind, type_, payload))
        else:
            self._beside(kind, type_, id_, payload, emit)

    def _beside(self, kind: int, type_: int, id_: int, payload: bytes, emit: Callable[[Event], None]) -> None:
        """What belongs to a request and is neither its beginning nor its end."""
        self._spent += 1
        if not id_:
            raise ProtocolError(f"a frame of kind {kind_name(kind)} carries no request id")
        if id_ & 1 == self._peer_parity:
            # Where the request is not open any more, it crossed the answer on its way, and means nothing.
            if kind in (REPLY, ERROR):
                raise ProtocolError(_UNASKED.format(id_))
            if id_ in self._open:
                if kind == ITEM:
                    self._item_in(id_, len(payload))
                    emit(Item(id_, None, type_, payload))
                else:
                    emit(Ended(id_) if kind == END else Cancelled(id_))
            return
        if kind == CANCEL:
            raise ProtocolError(f"the peer gives up request {id_}, which is not its own")
        tag = self._asked.get(id_, _UNKNOWN)
        if tag is _UNKNOWN:
            self._unasked(id_)
            return
        self._item_in(id_, len(payload))
        emit(Item(id_, tag, type_, payload))

    def _forget(self, id_: int) -> None:
        """A request of this end has its answer."""
        self._urgent_asked.discard(id_)
        self._end_flows(id_)

    def _unasked(self, id_: int) -> None:
        """An answer came for which no request is open: only those of a process before this one may be so."""
        if not 0 < id_ <= self._orphans or id_ & 1 == self._peer_parity:
            raise ProtocolError(_UNASKED.format(id_))

    def _control_in(self, kind: int, id_: int, payload: bytes, emit: Callable[[Event], None]) -> None:
        """A control frame."""
        raise NotImplementedError

    def _move(self, step: Step) -> None:
        super()._move(step)
        self._ready = self.state is _OPEN and self.normal_in.head is None
        if self.state in FINAL:
            # What is unfinished is not held any longer.
            self._rest = bytearray()
            self.normal_in.clear()
            self.urgent_in.clear()

    def _admit_request(self, id_: int) -> None:
        """Raise where the peer may not open a request with this id now."""
        if not id_ or id_ & 1 != self._peer_parity:
            whose = "odd" if self._peer_parity else "even and not 0"
            raise ProtocolError(f"request id {id_}: the peer's ids are {whose}")
        if id_ in self._open:
            raise ProtocolError(f"request id {id_} is used again before its answer")
        if len(self._open) >= self._requests:
            raise ProtocolError(f"more than {self._requests} requests are open")
