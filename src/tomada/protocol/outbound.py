"""The lowest part of an engine: frames out, by lanes; and the state that all its parts share."""

from __future__ import annotations

from math import inf
from typing import Any, Final, NoReturn

from tomada.errors import ConnectionLost, DeclarationError, InvalidMessage
from tomada.protocol import handshake, lanes
from tomada.protocol.frames import ASK, CONTROL, HEADER, NORMAL, U32, URGENT, Kind
from tomada.protocol.handshake import (
    MAXIMUM_DECLARED_BYTES,
    MAXIMUM_TYPES,
    CatalogueSize,
    GoodbyeCode,
    PeerLimits,
    TypeEntry,
)
from tomada.protocol.outgoing import CHUNK_BYTES, Outgoing
from tomada.protocol.state import FINAL, TRANSITIONS, Role, State, Step

# A peer that has shown nothing is told nothing, and who has said goodbye has said its last word.
_TALKING: Final = frozenset({State.GREETED, State.OPEN, State.LEFT, State.RESUMING})
HEARD: Final = frozenset({State.OPEN, State.LEAVING, State.LEFT})
"""The peer hears what is queued; what it has to know and cannot hear now is said when the session goes on."""
_BEGINNING: Final = frozenset({State.OPEN, State.LOST, State.RESUMING})
_CORKED: Final = frozenset({State.STARTING, State.GREETED, State.LOST, State.RESUMING})
"""Nothing but the handshake goes out."""
_URGENT_TURNS: Final = 7
"""After so many chunks of the urgent lane one of the normal lane goes, if any waits."""
_LARGE: Final = 4_096
_pack: Final = HEADER.pack


class Outbound:
    """What one end says.

    Args:
        role: Which end this is.
        types: How many types its greeting describes.
        buffer_bytes: How many bytes of messages may be held here: waiting to be sent, or to be acknowledged.
    """

    __slots__ = (
        "_asked",
        "_bound",
        "_control",
        "_declared",
        "_goodbye",
        "_is_corked",
        "_next_id",
        "_open",
        "_own_types",
        "_parting",
        "_parts",
        "_peer_frame_bytes",
        "_peer_limits",
        "_sent_messages",
        "_transitions",
        "_turns",
        "_urgent_asked",
        "_urgent_bound",
        "_urgent_open",
        "answer_by",
        "begins",
        "full",
        "normal",
        "reason",
        "role",
        "state",
        "stuffed",
        "urgent",
    )

    def __init__(self, role: Role, types: int, buffer_bytes: int) -> None:
        self.role = role
        self.state = State.STARTING
        self.reason = ""
        """Why the connection has ended, or is about to."""
        self.begins = False
        """Whether messages can be sent and asked."""
        self.full = True
        """Whether who sends or asks in the normal lane has to wait: for credit, or for room in the buffer."""
        self.stuffed = False
        """Whether so much is held here that nothing may be answered, so that no handler should start."""
        self._transitions = TRANSITIONS[role]
        self._peer_limits = PeerLimits()
        self._peer_frame_bytes = 0
        self._bound = buffer_bytes
        self._urgent_bound = buffer_bytes // handshake.URGENT_PART
        self.normal = Outgoing(NORMAL)
        self.urgent = Outgoing(URGENT)
        self._turns = 0
        self._is_corked = True
        self._parts = 0
        """Frames that are no messages: that were not the last of theirs, items, ends and cancels."""
        self._sent_messages = 0
        self._asked: dict[int, Any] = {}
        self._open: dict[int, tuple[float, int] | None] = {}
        """The peer's requests that are to be answered: when by, and how many milliseconds that were."""
        self._urgent_asked: set[int] = set()
        self._urgent_open: set[int] = set()
        self.answer_by = inf
        """No request of the peer is late before; `late` finds those that are."""
        self._next_id = 1 if role is Role.CONNECTING else 2
        self._own_types = CatalogueSize(types)
        self._declared: list[TypeEntry] = []
        self._control = bytearray()
        self._goodbye = b""
        """What is said when all has been sent."""
        self._parting: tuple[GoodbyeCode, str] | None = None
        """This end's goodbye, once it has been said."""

    @property
    def declared(self) -> tuple[TypeEntry, ...]:
        """The types that were added to this end's catalogue."""
        return tuple(self._declared)

    @property
    def sent_messages(self) -> int:
        """How many messages have been queued so far.

        Nothing is counted per message: it follows from the sequences, which begin anew after 2**32. So it must be asked
        at least once in so many messages. Another thread may ask, and be told a few too many or too few.
        """
        frames = self.normal.sequence - 1 + self.urgent.sequence - 1
        self._sent_messages = lanes.counted(frames - self._parts, self._sent_messages)
        return self._sent_messages

    @property
    def unsent(self) -> int:
        """How many bytes wait to be taken; without a connection nothing is."""
        if self._is_corked:
            return len(self._control)
        return len(self._control) + len(self._goodbye) + self.normal.unsent + self.urgent.unsent

    @property
    def unsaid(self) -> int:
        """How many bytes of answers to pings, of credit and of acknowledgements wait to be taken."""
        return len(self._control)

    @property
    def kept(self) -> int:
        """How many bytes are held here: waiting to be sent, or sent and not acknowledged."""
        return len(self._control) + self.normal.kept + self.urgent.kept

    @property
    def urgent_full(self) -> bool:
        """Whether who sends or asks in the urgent lane has to wait."""
        return not self.begins or len(self.urgent.gathered) >= self.urgent.left

    def declare(self, types: tuple[TypeEntry, ...]) -> None:
        """Append types to this end's catalogue; frames queued later may use them.

        Without effect where the connection has ended. Raises `DeclarationError` when that is more than one end may
        describe.
        """
        if self.state in FINAL:
            return
        payload = handshake.encode(types)
        if not self._own_types.add(len(types), len(payload)):
            raise DeclarationError(
                f"{types[0].name} is one type too many: one end describes at most {MAXIMUM_TYPES} types, "
                f"and those that are first sent over an open connection in at most {MAXIMUM_DECLARED_BYTES} bytes"
            )
        self._declared += types
        if self.state in HEARD:
            self._queue(Kind.DECLARE, 0, payload)

    def ping(self, payload: bytes) -> None:
        """Queue a ping; the answer is a `Ponged` with the same payload, at most 4096 bytes. Raises `ConnectionLost`."""
        if self.state is not State.OPEN:
            raise ConnectionLost(self.reason or f"the connection is {self.state.value}, not open")
        self._queue(Kind.PING, 0, payload)

    def beat(self) -> None:
        """Queue a ping that asks for nothing but a sign, where the peer may still give one."""
        if self.state in HEARD:
            self._queue(Kind.PING, 0, b"")

    def leave(self, code: GoodbyeCode, reason: str) -> None:
        """Say goodbye: this end begins nothing new. It goes behind all that is queued.

        Without effect where it has been said or nobody would hear it.
        """
        can_say = Step.SEND_GOODBYE in self._transitions[self.state]
        if self._parting is not None or not (can_say or self.state in _BEGINNING):
            return
        if not self.reason:
            self.reason = reason
        self._parting = code, reason
        self.begins = False
        if can_say:
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        assert self._parting is not None, "whoever calls has decided on it"  # noqa: S101 - the house's own order
        self._goodbye = _control(Kind.GOODBYE, 0, handshake.encode_goodbye(*self._parting))
        self._move(Step.SEND_GOODBYE)

    def drop(self, reason: str) -> list[tuple[int, Any]]:
        """Nothing can go any further: end the session and return the requests that were open, ids and tags."""
        if self.state not in FINAL:
            self.reason = reason
            self._move(Step.END_OF_INPUT)
        tags = [(id_, tag) for id_, tag in self._asked.items() if tag is not None]
        self._asked.clear()
        return tags

    def take(self) -> bytearray:
        """The bytes to send next, about 64 KiB at the most, the caller's from here on; empty where there are none."""
        control = self._control
        if self._is_corked:
            self._control = bytearray()
            return control
        urgent, lane = self.urgent, self.normal
        if urgent.gathered or urgent.closed:
            if not lane.unsent:
                lane = urgent
            elif self._turns < _URGENT_TURNS:
                self._turns += 1
                lane = urgent
            else:
                self._turns = 0
        out = lane.take()
        if self.full or lane is urgent:
            self._look(lane)
        if control:
            self._control = bytearray()
            control += out
            out = control
        if self._goodbye and not self.normal.unsent and not self.urgent.unsent:
            out = out + self._goodbye
            self._goodbye = b""
        return out

    def _message_out(self, kind: int, type_: int, id_: int, payload: bytes, flags: int = NORMAL) -> None:
        lane = self.normal if flags & NORMAL else self.urgent
        length = len(payload)
        if length > self._peer_frame_bytes:
            self._fragments_out(lane, (kind, flags, type_, id_), payload)
            return
        sequence = lane.sequence
        lane.sequence = sequence + 1 & U32
        if length < _LARGE:
            lane.gathered += _pack(length, kind, flags, type_, id_, sequence) + payload
        else:
            # Not joined first: that would be one more copy.
            lane.gathered += _pack(length, kind, flags, type_, id_, sequence)
            lane.gathered += payload
        if len(lane.gathered) >= lane.limit:
            self._look(lane, begun=kind <= ASK)

    def _fragments_out(self, lane: Outgoing, head: tuple[int, int, int, int], payload: bytes) -> None:
        limit = self._peer_limits.message_bytes
        if len(payload) > limit:
            raise InvalidMessage(f"the message is {len(payload)} bytes long, the peer takes at most {limit}")
        self._parts -= 1
        for frame in lanes.fragments(head, payload, lane.sequence, self._peer_frame_bytes):
            self._parts += 1
            lane.gathered += frame
            lane.sequence = lane.sequence + 1 & U32
            if len(lane.gathered) >= CHUNK_BYTES:
                lane.close()
        self._look(lane, begun=head[0] <= ASK)

    def _look(self, lane: Outgoing, *, begun: bool = False) -> None:
        """Say anew whether more may be queued in a lane; `begun`: the last was a message that this end has begun."""
        if len(lane.gathered) >= CHUNK_BYTES:
            lane.close()
        is_normal = lane is self.normal
        lane.weigh(self._bound if is_normal else self._urgent_bound)
        if begun:
            lane.brim = lane.kept
        if is_normal:
            self.full = not self.begins or len(lane.gathered) >= lane.left
        self.stuffed = self.normal.is_stuffed(self._bound) or self.urgent.is_stuffed(self._urgent_bound)

    def _queue(self, kind: int, id_: int, payload: bytes) -> None:
        self._control += _control(kind, id_, payload)

    def _refuse_to_begin(self) -> NoReturn:
        raise ConnectionLost(self.reason or f"the connection is {self.state.value}, not open")

    def _move(self, step: Step) -> None:
        self.state = self._transitions[self.state][step]
        self._is_corked = self.state in _CORKED or (self._is_corked and self.state in FINAL)
        self.begins = self.state in _BEGINNING and self._parting is None
        self.full = not self.begins or len(self.normal.gathered) >= self.normal.left
        if self.state in FINAL:
            # Nothing is answered after the end.
            self._open.clear()
            self._urgent_open.clear()
            self.answer_by = inf

    def _fail(self, code: GoodbyeCode, reason: str) -> None:
        """End by this end's decision, and tell the peer why where it may still hear it."""
        self.reason = reason
        if self.state in _TALKING:
            goodbye = _control(Kind.GOODBYE, 0, handshake.encode_goodbye(code, reason))
            if self._is_corked:
                self._control += goodbye
            else:
                self._goodbye = goodbye
        self._move(Step.FAIL)


def _control(kind: int, id_: int, payload: bytes) -> bytes:
    return _pack(len(payload), kind, CONTROL, 0, id_, 0) + payload
