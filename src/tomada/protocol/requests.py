"""The part of an engine that keeps the requests and their answers, and the one-way messages."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, Final

from tomada.protocol import handshake
from tomada.protocol.frames import ASK, CANCEL, ERROR, HEADER_BYTES, METADATA, NORMAL, REPLY, SEND, U32, URGENT
from tomada.protocol.handshake import GoodbyeCode
from tomada.protocol.metadata import Metadata, check_key, with_metadata
from tomada.protocol.outbound import HEARD, Outbound
from tomada.protocol.outgoing import CHUNK_BYTES
from tomada.protocol.state import FINAL

if TYPE_CHECKING:
    from tomada.protocol.handshake import FailureCode, PeerLimits
    from tomada.protocol.metadata import Trace
    from tomada.protocol.state import Role

_REFUSAL: Final = 1_024
"""A refusal is hardly longer."""


class Requests(Outbound):
    """Asks and answers."""

    __slots__ = ("_refusable", "_refused")

    def __init__(self, role: Role, types: int, limits: PeerLimits) -> None:
        super().__init__(role, types, limits.buffer_bytes)
        # A peer that acknowledges what it reads may have all its requests refused at once, in its last chunk and after.
        self._refusable = limits.buffer_bytes + CHUNK_BYTES + limits.requests * _REFUSAL
        self._refused = 0
        """How many bytes of requests were refused since this end was stuffed, less what was acknowledged since."""

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

    def ask(  # noqa: PLR0913, PLR0917 - each is a part of what travels
        self,
        type_: int,
        payload: bytes,
        tag: object,
        deadline: int | None = None,
        key: str | None = None,
        urgent: bool = False,  # noqa: FBT001, FBT002 - a keyword costs, for every message
        trace: Trace | None = None,
    ) -> int:
        """Queue a request and return its id; `tag` comes back with its answer. The driver minds `room` and `full`.

        Args:
            type_: Its number in this end's catalogue.
            payload: The message.
            tag: Anything but None.
            deadline: For how many milliseconds the answer is waited for: from 0 to `LONGEST_DEADLINE`. The peer is
                told, unless the message would be too long with it.
            key: By which the handler recognises it; by default the session and the sequence make one.
            urgent: Whether it overtakes what is not.
            trace: Whose work it is part of.

        Raises:
            ConnectionLost: Nothing can be begun any more.
            InvalidMessage: The peer takes no message so long, or the key is none.
        """
        if not self.begins:
            self._refuse_to_begin()
        id_ = self._next_id
        while id_ in self._asked or not id_:
            id_ = id_ + 2 & U32
        if deadline is None and key is None and not urgent and trace is None:
            self._message_out(ASK, type_, id_, payload)
        else:
            check_key(key)
            metadata = Metadata.of(deadline, key, trace)
            self._message_with(metadata, (ASK, type_, id_), payload, URGENT if urgent else NORMAL)
            if urgent:
                self._urgent_asked.add(id_)
        self._next_id = id_ + 2 & U32
        self._asked[id_] = tag
        return id_

    def _message_with(self, metadata: Metadata, head: tuple[int, int, int], payload: bytes, lane: int) -> None:
        """Queue a message behind as much of its metadata as its peer has room for; but a key goes in any case."""
        for each in metadata.ever_less():
            whole = with_metadata(each, payload)
            if each.must_go or len(whole) <= self._peer_limits.message_bytes:
                self._message_out(*head, whole, lane | METADATA)
                return
        self._message_out(*head, payload, lane)

    def send(
        self,
        type_: int,
        payload: bytes,
        urgent: bool = False,  # noqa: FBT001, FBT002 - as of `ask`
        trace: Trace | None = None,
    ) -> None:
        """Queue a one-way message. Raises as `ask` does."""
        if not self.begins:
            self._refuse_to_begin()
        lane = URGENT if urgent else NORMAL
        if trace is None:
            self._message_out(SEND, type_, 0, payload, lane)
        else:
            self._message_with(Metadata.of(None, None, trace), (SEND, type_, 0), payload, lane)

    def reply(self, id_: int, type_: int, payload: bytes) -> None:
        """Queue the answer to the peer's request `id_`; without effect where it has one, or the connection has ended.

        Raises `InvalidMessage` when the peer takes no message so long; the request is then still to be answered.
        """
        if id_ in self._open:
            self._message_out(REPLY, type_, id_, payload, URGENT if id_ in self._urgent_open else NORMAL)
            self._answered(id_)

    def fail(self, id_: int, type_: int, payload: bytes) -> None:
        """Queue the failure of the peer's request `id_`, with an error type of this end's catalogue.

        An `id_` of 0 refuses a one-way message. Without effect, and raises, as `reply`.
        """
        if id_ in self._open or (not id_ and self.state not in FINAL):
            self._message_out(ERROR, type_, id_, payload, self._answer_lane(id_))
            self._answered(id_)

    def _answer_lane(self, id_: int) -> int:
        return URGENT if id_ in self._urgent_open else NORMAL

    def _answered(self, id_: int) -> None:
        """Nothing more will be said to the peer's request."""
        raise NotImplementedError

    def refuse(self, id_: int, code: FailureCode, name: str, message: str) -> None:
        """Queue the failure of the peer's request `id_` (0: of a one-way message) in the protocol's own words.

        A text that is too long is cut; this never raises. Where there is a session and this end is stuffed, a one-way
        message is dropped without a word, and a peer that has too many requests refused, and does not acknowledge that,
        breaks the protocol.
        """
        failure = handshake.encode_failure(code, name, message, self._peer_limits.message_bytes)
        if self.normal.retains and self.state in HEARD and not self._may_refuse(id_, len(failure)):
            return
        self.fail(id_, 0, failure)

    def _may_refuse(self, id_: int, length: int) -> bool:
        if not self.stuffed:
            self._refused = 0
        elif not id_:
            return False
        elif id_ in self._open:
            self._refused += length + HEADER_BYTES
            if self._refused > self._refusable:
                reason = f"{self._refused} bytes of refused requests were not acknowledged"
                self._fail(GoodbyeCode.VIOLATION, reason)
                return False
        return True

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
        if self._asked.get(id_) is not None and self.state not in FINAL:
            self._asked[id_] = None
            self._parts += 1
            self._message_out(CANCEL, 0, id_, b"", self._ask_lane(id_))

    def _ask_lane(self, id_: int) -> int:
        return URGENT if id_ in self._urgent_asked else NORMAL

    def cancel_all(self) -> list[Any]:
        """Give up all requests of this end, and return their tags."""
        given_up = [(id_, tag) for id_, tag in self._asked.items() if tag is not None]
        for id_, _ in given_up:
            self.cancel(id_)
        return [tag for _, tag in given_up]
