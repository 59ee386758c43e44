"""Engines for the tests, and ways to feed them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from tomada.protocol import (
    Engine,
    Event,
    GoodbyeCode,
    Hello,
    Kind,
    PeerLimits,
    Role,
    Session,
    State,
    TypeEntry,
    Welcome,
)
from tomada.protocol.frames import CONTROL, HEADER, MESSAGE_KINDS, NORMAL, U32
from tomada.protocol.handshake import SESSION

LIMITS: Final = PeerLimits(frame_bytes=2_048, message_bytes=4_096, requests=2)
"""What the engines of the tests take: little, so that a case is small."""

STRICT: Final = PeerLimits(frame_bytes=2_048, message_bytes=4_096, requests=2, buffer_bytes=4_096, stream_bytes=1_024)
"""And where credit matters, too."""

CLOSED: Final = GoodbyeCode.CLOSED


def engine(role: Role, limits: PeerLimits = LIMITS, catalogue: tuple[TypeEntry, ...] = ()) -> Engine:
    """A new engine, made at the time 0."""
    kind = Hello if role is Role.CONNECTING else Welcome
    return Engine(role, kind(software="test", limits=limits, catalogue=catalogue), 0.0)


def pair(limits: PeerLimits = LIMITS, catalogue: tuple[TypeEntry, ...] = ()) -> tuple[Engine, Engine]:
    """Two ends, connected and open: the connecting one first."""
    ends = engine(Role.CONNECTING, limits, catalogue), engine(Role.ACCEPTING, limits, catalogue)
    exchange(*ends)
    assert [end.state for end in ends] == [State.OPEN, State.OPEN]
    return ends


def exchange(left: Engine, right: Engine, now: float = 0.0) -> tuple[list[Event], list[Event]]:
    """Carry bytes both ways until nothing more is said; what each end has told."""
    told: tuple[list[Event], list[Event]] = ([], [])
    while left.unsent or right.unsent:
        told[1].extend(right.receive(bytes(left.take()), now))
        told[0].extend(left.receive(bytes(right.take()), now))
    return told


def begin_at(left: Engine, right: Engine, sequence: int) -> None:
    """As if `left` had sent all frames of the normal lane before that one, and `right` had handled them."""
    lane, incoming = left.normal, right.normal_in
    lane.sequence = incoming.expected = sequence & U32
    lane.taken = lane.acknowledged = sequence - 1 & U32
    lane.near = incoming.near = sequence - 1
    incoming.reported = (sequence - 1 & U32, [])


def prepared(role: Role, state: str) -> Engine:
    """An engine in a state in which its peer's bytes may come.

    Args:
        role: Of the engine.
        state: The value of a `State`; or ``asked``, which is open with one request of this end under way; or
            ``session``, which is open with a session, and one message of this end has gone; or ``streaming``, which is
            open, and an item has gone in answer to the peer's first request.
    """
    if state in ("session", "resuming"):
        return _with_session(role, state)
    if state in ("starting", "greeted"):
        end = engine(role, STRICT)
    else:
        ends = pair(STRICT)
        end = ends[0] if role is Role.CONNECTING else ends[1]
        peer = ends[1] if role is Role.CONNECTING else ends[0]
        if state == "streaming":
            end.receive(frame(Kind.ASK, id_=1), 0.0)
            end.item(1, 1, b"\x90")
        elif state == "asked":
            end.ask(1, b"\x90", "tag")
        elif state == "leaving":
            end.leave(CLOSED, "")
        elif state == "left":
            peer.leave(CLOSED, "")
            end.receive(bytes(peer.take()), 0.0)
    end.take()
    assert end.state.value == {"asked": "open", "streaming": "open"}.get(state, state)
    return end


class Room:
    """What admits all, and begins a session with each."""

    def admit(self) -> tuple[GoodbyeCode, str] | None:
        return None

    def session(self) -> Session | None:
        return Session(b"the session here", bytes(range(32)), 0, 60.0)


def _with_session(role: Role, state: str) -> Engine:
    client = Engine(Role.CONNECTING, Hello(software="test", limits=STRICT, features=(SESSION,)), 0.0)
    server = engine(Role.ACCEPTING, STRICT)
    server.admission = Room()
    exchange(client, server)
    end = client if role is Role.CONNECTING else server
    end.send(1, b"\x90")
    end.take()
    if state == "resuming":
        end.lose("cut")
        end.hello(0.0)
        end.take()
    return end


def frame(  # noqa: PLR0913 - a header has so many fields
    kind: int,
    payload: bytes = b"",
    *,
    flags: int | None = None,
    type_: int = 0,
    id_: int = 0,
    sequence: int | None = None,
    length: int | None = None,
) -> bytes:
    """A frame; without more words the first of its lane, and of its true length."""
    message = kind in MESSAGE_KINDS
    return (
        HEADER.pack(
            len(payload) if length is None else length,
            kind,
            (NORMAL if message else CONTROL) if flags is None else flags,
            type_,
            id_,
            int(message) if sequence is None else sequence,
        )
        + payload
    )


@dataclass
class Outcome:
    """All that can be seen of an engine that was fed."""

    events: list[Event]
    state: State
    reason: str
    out: bytes


def feed(end: Engine, parts: list[bytes]) -> Outcome:
    """Feed an engine part by part."""
    events: list[Event] = []
    for part in parts:
        events += end.receive(part, 0.0)
    return Outcome(events, end.state, end.reason, bytes(end.take()))


def cut_at(data: bytes, places: list[int]) -> list[bytes]:
    """`data` in pieces that begin at `places`, some of them empty."""
    ends = sorted(place % (len(data) + 1) for place in places)
    return [data[start:stop] for start, stop in zip([0, *ends], [*ends, len(data)], strict=True)]


def single_bytes(data: bytes) -> list[bytes]:
    """`data` byte by byte."""
    return [data[place : place + 1] for place in range(len(data))]


def heads(data: bytes) -> list[tuple[Any, ...]]:
    """The headers of whole frames as (length, kind, flags, type, id, sequence)."""
    found = []
    while data:
        header = HEADER.unpack_from(data)
        found.append((header[0], Kind(header[1]), *header[2:]))
        data = data[HEADER.size + header[0] :]
    return found


def payloads(data: bytes) -> list[bytes]:
    """The payloads of whole frames."""
    found = []
    while data:
        stop = HEADER.size + HEADER.unpack_from(data)[0]
        found.append(data[HEADER.size : stop])
        data = data[stop:]
    return found
