"""The three kinds of drawings, as data. Times are in seconds since the recording began, sizes in bytes."""

from __future__ import annotations

from enum import Enum

import msgspec


class Tone(Enum):
    """What something is, where its colour says so."""

    PLAIN = "plain"
    BEGIN = "begin"
    """A connection or session begins: listen, accept, connect, the handshake, a resume."""
    END = "end"
    """It ends in order: shutdown, close, goodbye."""
    URGENT = "urgent"
    """It overtakes."""
    REPEATED = "repeated"
    """It comes another time: sent again after a reconnect."""
    CONTROL = "control"
    """About the connection itself: acknowledgements, credit, pings, waits of a selector."""
    FAILED = "failed"


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a sequence diagram: a socket, or one end of a connection."""

    group: str
    """The heading that lanes of one process share, as ``server.py (4711)``."""
    title: str
    """As ``TCP 127.0.0.1:4477``."""
    detail: str = ""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One call, or one message, on one lane."""

    lane: int
    """The index of its lane."""
    begun: float
    ended: float | None
    """None: it had not ended when the recording did."""
    text: str
    """What was called, as ``recv(1024)``, or the message's name."""
    result: str = ""
    """What came of it, as ``5 bytes`` or ``ConnectionRefusedError: …``."""
    data: str = ""
    """The first of the bytes, as text where they are text; empty where they are not recorded."""
    size: int = 0
    """How many bytes went or came."""
    is_blocked: bool = False
    """Whether it waited: then it is drawn as a bar from `begun` to `ended`."""
    tone: Tone = Tone.PLAIN
    state: str = ""
    """Where in its life the socket or connection is then."""
    count: int = 1
    """Of how many alike this one is the summary; then `begun` is of the first and `ended` of the last."""


class Arrow(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes, or a connection, that went from a step to another one, mostly on another lane."""

    source: int
    """The index of the step that sent."""
    target: int
    """The index of the step that received."""
    text: str = ""
    size: int = 0
    tone: Tone = Tone.PLAIN
    count: int = 1
    at_begin: bool = False
    """It comes as its target begins, as a request whose handler then works; else as it ends, as bytes for a `recv`."""


class Sequence(msgspec.Struct, frozen=True, kw_only=True):
    """Who did what to whom, in order."""

    title: str
    lanes: tuple[Lane, ...]
    steps: tuple[Step, ...]
    """By the time they began."""
    arrows: tuple[Arrow, ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader must know: what is not seen, what was folded or lost. Never left out of a picture."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """One state of a state diagram."""

    name: str
    meaning: str = ""
    visits: int = 0
    is_final: bool = False


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """An arrow of a state diagram."""

    source: str
    target: str
    text: str
    """What moves it, as ``accept`` or ``send goodbye``."""
    taken: int = 0
    """How often; 0 is not highlighted."""
    order: int = 0
    """As which step of the path it was taken first, from 1; 0 where it never was."""


class StateDiagram(msgspec.Struct, frozen=True, kw_only=True):
    """The life of one socket or session: all that may happen, and the path that was taken."""

    title: str
    start: str
    places: tuple[Place, ...]
    transitions: tuple[Transition, ...]
    current: str = ""
    notes: tuple[str, ...] = ()


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """For how long a row of a timeline was in some state."""

    begun: float
    ended: float | None
    text: str
    tone: Tone = Tone.PLAIN


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A moment on a row of a timeline."""

    at: float
    text: str
    tone: Tone = Tone.PLAIN


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One connection or socket on a timeline."""

    group: str
    title: str
    spans: tuple[Span, ...]
    marks: tuple[Mark, ...] = ()
    sent: int = 0
    received: int = 0


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """Many connections, one below the other, over the same time."""

    title: str
    ended: float
    """When the recording ended."""
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
