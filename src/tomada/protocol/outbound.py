"""Half of an engine: commands in, bytes to send out; and the state that both halves share."""

from __future__ import annotations

from math import inf
from typing import Any, Final

from tomada.errors import ConnectionLost, DeclarationError, InvalidMessage
from tomada.protocol import handshake, lanes
from tomada.protocol.frames import ASK, CONTROL, ERROR, HEADER, METADATA, NORMAL, REPLY, SEND, U32, Kind
from tomada.protocol.handshake import (
    MAXIMUM_DECLARED_BYTES,
    MAXIMUM_TYPES,
    CatalogueSize,
    FailureCode,
    GoodbyeCode,
    PeerLimits,
    TypeEntry,
)
from tomada.protocol.metadata import Metadata, with_metadata
from tomada.protocol.state import FINAL, TRANSITIONS, Role, State, Step

_OPEN: Final = State.OPEN
# A peer that has shown nothing is told nothing, and who has said goodbye has said its last word.
_TALKING: Final = frozenset({State.GREETED, State.OPEN, State.LEFT})
_HEARD: Final = frozenset({State.OPEN, State.LEAVING, State.LEFT})
_pack: Final = HEADER.pack


class Outbound:
    """What one end says.

    Args:
        role: Which end this is.
        types: How many types its greeting describes.
    """

    __slots__ = (
        "_asked",
        "_next_id",
        "_open",
        "_out",
        "_own_types",
        "_parts",
        "_peer_frame_bytes",
        "_peer_limits",
        "_sent_messages",
        "_sequence",
        "_transitions",
        "answer_by",
        "reason",
        "role",
        "state",
    )

    def __init__(self, role: Role, types: int) -> None:
        self.role = role
        self.state = State.STARTING
        self.reason = ""
        """Why the connection has ended, or is about to."""
        self._transitions = TRANSITIONS[role]
        self._peer_limits = PeerLimits()
        self._peer_frame_bytes = 0
        self._sequence = 1
        self._parts = 0
        """Frames that were not the last of their message."""
        self._sent_messages = 0
        self._asked: dict[int, Any] = {}
        self._open: dict[int, tuple[float, int] | None] = {}
        """The peer's requests that are to be answered: when by, and how many milliseconds that were."""
        self.answer_by = inf
        """No request of the peer is late before; `late` finds those that are."""
        self._next_id = 1 if role is Role.CONNECTING else 2
        self._own_types = CatalogueSize(types)
        self._out = bytearray()

    @property
    def idle(self) -> bool:
        """Whether no request is open, in either direction."""
        return not self._asked and not self._open

    @property
    def room(self) -> int:
        """How many more requests the peer's limit allows."""
        return self._peer_limits.requests - len(self._asked)

    @property
    def own_requests(self) -> int:
        """How many requests of this end are open."""
        return len(self._asked)

    @property
    def peer_requests(self) -> int:
        """How many requests of the peer are open."""
        return len(self._open)

    @property
    def sent_messages(self) -> int:
        """How many messages have been queued so far.

        Nothing is counted per message: it follows from the sequence, which begins anew after 2**32. So it must be asked
        at least once in so many messages.
        """
        self._sent_messages += (self._sequence - 1 - self._parts - self._sent_messages) & U32
        return self._sent_messages

    @property
    def unsent(self) -> int:
        """How many bytes `take` would return."""
        return len(self._out)

    def ask(self, type_: int, payload: bytes, tag: object, deadline: int | None = None) -> int:
        """Queue a request and return its id; `tag` comes back with its answer. The driver minds `room`.

        The peer is told the `deadline`, for how many milliseconds the answer is waited for: from 0 to
        `LONGEST_DEADLINE`; not where the message would be too long with it.

        Raises `ConnectionLost` when the connection is not open, `InvalidMessage` when the peer takes no message so
        long.
        """
        if self.state is not _OPEN:
            self._check_open()
        id_ = self._next_id
        while id_ in self._asked or not id_:
            id_ = id_ + 2 & U32
        if deadline is None:
            self._message_out(ASK, type_, id_, payload)
        else:
            self._ask_within(deadline, type_, id_, payload)
        self._next_id = id_ + 2 & U32
        self._asked[id_] = tag
        return id_

    def _ask_within(self, deadline: int, type_: int, id_: int, payload: bytes) -> None:
        whole = with_metadata(Metadata(deadline), payload)
        if len(whole) > self._peer_limits.message_bytes:
            self._message_out(ASK, type_, id_, payload)
        else:
            self._message_out(ASK, type_, id_, whole, NORMAL | METADATA)

    def send(self, type_: int, payload: bytes) -> None:
        """Queue a one-way message. Raises as `ask` does."""
        self._check_open()
        self._message_out(SEND, type_, 0, payload)

    def reply(self, id_: int, type_: int, payload: bytes) -> None:
        """Queue the answer to the peer's request `id_`; without effect where it has one, or the connection has ended.

        Raises `InvalidMessage` when the peer takes no message so long; the request is then still to be answered.
        """
        if id_ in self._open:
            self._message_out(REPLY, type_, id_, payload)
            del self._open[id_]

    def fail(self, id_: int, type_: int, payload: bytes) -> None:
        """Queue the failure of the peer's request `id_`, with an error type of this end's catalogue.

        An `id_` of 0 refuses a one-way message. Without effect, and raises, as `reply`.
        """
        if id_ in self._open or (not id_ and self.state not in FINAL):
            self._message_out(ERROR, type_, id_, payload)
            self._open.pop(id_, None)

    def refuse(self, id_: int, code: FailureCode, name: str, message: str) -> None:
        """Queue the failure of the peer's request `id_` (0: of a one-way message) in the protocol's own words.

        A text that is too long is cut; this never raises.
        """
        self.fail(id_, 0, handshake.encode_failure(code, name, message, self._peer_limits.message_bytes))

    def is_late(self, id_: int, now: float) -> bool:
        """Whether the peer's request `id_` came with a deadline, which has passed."""
        limit = self._open.get(id_)
        return limit is not None and limit[0] <= now

    def late(self, now: float) -> list[tuple[int, float]]:
        """The peer's requests whose deadline has passed: ids, and how many seconds they had. Each is told once.

        They are still to be answered.
        """
        if now < self.answer_by:
            return []
        late: list[tuple[int, float]] = []
        self.answer_by = inf
        for id_, limit in self._open.items():
            if limit is None:
                continue
            at, milliseconds = limit
            if at <= now:
                late.append((id_, milliseconds / 1_000))
            elif at < self.answer_by:
                self.answer_by = at
        for id_, _ in late:
            self._open[id_] = None
        return late

    def cancel(self, id_: int) -> None:
        """Give up a request of this end. Its answer, which still comes, is reported with the tag None."""
        if id_ in self._asked and self.state not in FINAL:
            self._asked[id_] = None
            self._queue(Kind.CANCEL, id_, b"")

    def cancel_all(self) -> list[Any]:
        """Give up all requests of this end, and return their tags."""
        given_up = [(id_, tag) for id_, tag in self._asked.items() if tag is not None]
        for id_, _ in given_up:
            self.cancel(id_)
        return [tag for _, tag in given_up]

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
        self._queue(Kind.DECLARE, 0, payload)

    def ping(self, payload: bytes) -> None:
        """Queue a ping; the answer is a `Ponged` with the same payload, at most 4096 bytes. Raises `ConnectionLost`."""
        self._check_open()
        self._queue(Kind.PING, 0, payload)

    def beat(self) -> None:
        """Queue a ping that asks for nothing but a sign, where the peer may still give one."""
        if self.state in _HEARD:
            self._queue(Kind.PING, 0, b"")

    def leave(self, code: GoodbyeCode, reason: str) -> None:
        """Say goodbye: this end begins nothing new. Without effect where it has been said or nobody would hear it."""
        if Step.SEND_GOODBYE not in self._transitions[self.state]:
            return
        if not self.reason:
            self.reason = reason
        self._queue(Kind.GOODBYE, 0, handshake.encode_goodbye(code, reason))
        self._move(Step.SEND_GOODBYE)

    def drop(self, reason: str) -> list[Any]:
        """The bytes can go no further: end the connection and return the tags of all requests that were open."""
        if self.state not in FINAL:
            self.reason = reason
            self._move(Step.END_OF_INPUT)
        tags = [tag for tag in self._asked.values() if tag is not None]
        self._asked.clear()
        return tags

    def take(self) -> bytearray:
        """The bytes to send now; they are the caller's from here on."""
        out = self._out
        self._out = bytearray()
        return out

    def _message_out(self, kind: int, type_: int, id_: int, payload: bytes, flags: int = NORMAL) -> None:
        length = len(payload)
        if length > self._peer_frame_bytes:
            limit = self._peer_limits.message_bytes
            if length > limit:
                raise InvalidMessage(f"the message is {length} bytes long, the peer takes at most {limit}")
            first, head = self._sequence, (kind, flags, type_, id_)
            parts, self._sequence = lanes.fragments(head, payload, first, self._peer_frame_bytes)
            self._parts += (self._sequence - first - 1) & U32
            self._out += parts
            return
        sequence = self._sequence
        self._sequence = sequence + 1 & U32
        self._out += _pack(length, kind, flags, type_, id_, sequence) + payload

    def _queue(self, kind: int, id_: int, payload: bytes) -> None:
        self._out += _pack(len(payload), kind, CONTROL, 0, id_, 0) + payload

    def _check_open(self) -> None:
        if self.state is not _OPEN:
            raise ConnectionLost(self.reason or f"the connection is {self.state.value}, not open")

    def _move(self, step: Step) -> None:
        self.state = self._transitions[self.state][step]
        if self.state in FINAL:
            # Nothing is answered after the end.
            self._open.clear()
            self.answer_by = inf

    def _fail(self, code: GoodbyeCode, reason: str) -> None:
        """End by this end's decision, and tell the peer why where it may still hear it."""
        self.reason = reason
        if self.state in _TALKING:
            self._queue(Kind.GOODBYE, 0, handshake.encode_goodbye(code, reason))
        self._move(Step.FAIL)
