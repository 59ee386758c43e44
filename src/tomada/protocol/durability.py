"""The part of an engine that outlives the process: what changes in a session, to be stored, and how it is made again.

A store has a *head* of each session, which is replaced as a whole, and *chunks*: the frames that the peer has not
acknowledged, and, in lane 0, the catalogue of the peer and the types that were declared here. What is sent follows from
what is stored, so it goes out after that has been committed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from tomada.errors import UNREADABLE, ProtocolError
from tomada.protocol.frames import CONTROL, ITEM, NORMAL, U32, URGENT
from tomada.protocol.handshake import CatalogueSize, PeerLimits, Session, TypeEntry, longest_frame
from tomada.protocol.inbound import Inbound
from tomada.protocol.state import Role, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tomada.protocol.events import Event
    from tomada.protocol.handshake import Hello, Welcome
    from tomada.protocol.lanes import Incoming
    from tomada.protocol.outgoing import Outgoing

VERSION: Final = 1
"""Of what is stored."""


class _Part(msgspec.Struct, array_like=True, frozen=True):
    """Base of what is stored."""


class _In(_Part, frozen=True):
    up_to: int
    missing: tuple[int, ...]
    received: int
    granted: int
    near: int


class _Out(_Part, frozen=True):
    sequence: int
    acknowledged: int
    exceptions: tuple[int, ...]
    offset: int
    credit: int
    near: int


class _Head(_Part, frozen=True):
    version: int
    session: Session
    epoch: int
    generation: int
    own_types: bytes
    """A digest of this end's catalogue: frames that were stored name its types by number."""
    limits: PeerLimits
    normal_in: _In
    urgent_in: _In
    normal: _Out
    urgent: _Out
    next_id: int
    begun: tuple[int, ...]
    """The peer's requests that were answered in part, or that something has followed which does not come again."""


class _Beginning(_Part, frozen=True):
    """What heads of all formats begin with."""

    version: int
    session: Session


class _Types(_Part, frozen=True):
    peer: tuple[TypeEntry, ...]
    own: tuple[TypeEntry, ...]


class StoredChunk(NamedTuple):
    """A chunk as a store has it."""

    number: int
    lane: int
    data: bytes


class Changes(NamedTuple):
    """What has changed since the last time."""

    head: bytes
    added: tuple[StoredChunk, ...]
    dropped: tuple[int, ...]
    is_whole: bool
    """Whether this is the first time."""


_encode: Final = msgspec.msgpack.Encoder().encode
_head: Final = msgspec.msgpack.Decoder(_Head).decode
_beginning: Final = msgspec.msgpack.Decoder(_Beginning).decode
_types: Final = msgspec.msgpack.Decoder(_Types).decode
_TYPES: Final = 1
"""The number of the chunk that holds the types; frames have higher ones."""


class Durability(Inbound):
    """What is stored, and made again from it."""

    __slots__ = ("_described", "_followed", "_numbered", "own_digest", "peer_entries")

    def __init__(self, role: Role, greeting: Hello | Welcome, now: float) -> None:
        super().__init__(role, greeting, now)
        self.own_digest = b""
        """Of this end's catalogue."""
        self.peer_entries: list[TypeEntry] = []
        """The peer's catalogue, where it is stored."""
        self._followed: set[int] = set()
        """Requests of the peer whose parts have ended, or that were given up: that is acknowledged, and said once."""
        self._described = -1
        self._numbered = _TYPES

    def _beside(self, kind: int, type_: int, id_: int, payload: bytes, emit: Callable[[Event], None]) -> None:
        super()._beside(kind, type_, id_, payload, emit)
        if kind != ITEM and self.own_digest:
            self._followed.add(id_)

    def changes(self) -> Changes:
        """What a store does not have yet: to be committed before anything that `take` has given is sent."""
        is_whole = self._described < 0
        added = []
        described = len(self.peer_entries) + len(self._declared)
        if described != self._described:
            self._described = described
            types = _Types(tuple(self.peer_entries), tuple(self._declared))
            added.append(StoredChunk(_TYPES, CONTROL, _encode(types)))
        dropped: list[int] = []
        for lane in (self.urgent, self.normal):
            dropped += lane.gone
            lane.gone = []
            # What waits, too: a request that has been handled is so by its reply, sent or not.
            lane.close()
            for chunk in (*lane.retained, *lane.closed):
                if not chunk.number:
                    self._numbered += 1
                    chunk.number = self._numbered
                    added.append(StoredChunk(chunk.number, lane.lane, bytes(chunk.data)))
        return Changes(self._snapshot(), tuple(added), tuple(dropped), is_whole)

    def _snapshot(self) -> bytes:
        session = self.session
        assert session is not None, "nothing else is stored"  # noqa: S101 - the house's own order
        self._followed &= self._open.keys()
        flows = self._outflows.keys() | self._inflows.keys()
        # With those that an older process has begun: their callers may not have come back yet.
        begun = self._begun | self._followed | (self._open.keys() & flows)
        return _encode(
            _Head(
                VERSION,
                session,
                self.epoch,
                self.generation,
                self.own_digest,
                self._peer_limits,
                _incoming(self.normal_in),
                _incoming(self.urgent_in),
                _outgoing(self.normal),
                _outgoing(self.urgent),
                self._next_id,
                tuple(sorted(begun)),
            )
        )

    def restore(self, head: bytes, chunks: Iterable[StoredChunk], own_digest: bytes) -> str:
        """Become the session that was stored, at an accepting end that is new; why that cannot be, or nothing.

        The state is `LOST` then: the peer comes back, or not.
        """
        try:
            stored = _head(head)
            if stored.version != VERSION:
                return f"the session was stored in format {stored.version}, this program reads {VERSION}"
            if stored.own_types != own_digest:
                return "the types of this server have changed since the session was stored"
            self._restore(stored, list(chunks))
        except (*UNREADABLE, ProtocolError) as error:
            return f"what was stored of the session cannot be read: {error}"
        return ""

    def _restore(self, stored: _Head, chunks: list[StoredChunk]) -> None:
        types = _types(next((chunk.data for chunk in chunks if chunk.lane == CONTROL), _encode(_Types((), ()))))
        self.own_digest = stored.own_types
        self.session, self.epoch, self.generation = stored.session, stored.epoch, stored.generation
        self._peer_limits = stored.limits
        self._peer_frame_bytes = longest_frame(stored.limits)
        self.peer_entries = list(types.peer)
        self._peer_types = CatalogueSize(len(types.peer))
        self._known_types = len(types.peer)
        self._own_types.add(len(types.own), 0)
        self._declared = list(types.own)
        self._described = len(types.peer) + len(types.own)
        self._numbered = max((chunk.number for chunk in chunks), default=_TYPES)
        self._next_id = stored.next_id
        self._orphans = stored.next_id - 2 & U32
        self._begun = set(stored.begun)
        _come_back(self.normal_in, stored.normal_in)
        _come_back(self.urgent_in, stored.urgent_in)
        for number, lane, old in ((NORMAL, self.normal, stored.normal), (URGENT, self.urgent, stored.urgent)):
            lane.retains = True
            lane.sequence, lane.acknowledged, lane.near = old.sequence, old.acknowledged, old.near
            lane.offset, lane.credit = old.offset, old.credit
            lane.taken = old.sequence - 1 & U32
            lane.restore([(chunk.number, chunk.data) for chunk in chunks if chunk.lane == number], old.exceptions)
            # Whether what is kept are answers, nobody knows any more; if not, none must wait for it: see `is_stuffed`.
            lane.brim = lane.kept
            self._look(lane)
        self.state = State.LOST
        self.begins = True
        self._is_corked = True
        self.reason = "the server was started anew"


def token_of(head: bytes) -> bytes:
    """The token of a session that was stored, in whatever format; empty where it cannot be read."""
    try:
        return _beginning(head).session.token
    except UNREADABLE:
        return b""


def _incoming(lane: Incoming) -> _In:
    up_to, exceptions = lane.handled(all_of_them=True)
    return _In(up_to, tuple(exceptions), lane.received - lane.unfinished, lane.granted, lane.near)


def _outgoing(lane: Outgoing) -> _Out:
    return _Out(
        lane.sequence,
        lane.acknowledged,
        tuple(lane.exceptions),
        lane.offset,
        lane.credit,
        lane.near,
    )


def _come_back(lane: Incoming, old: _In) -> None:
    lane.expected = old.up_to + 1 & U32
    lane.missing = set(old.missing)
    lane.held = dict.fromkeys(old.missing, 0)
    lane.received, lane.granted, lane.near = old.received, old.granted, old.near
