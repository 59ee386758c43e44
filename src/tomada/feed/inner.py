"""What a dashboard asks each process that serves, to make one picture of all. Units are those of ``messages.py``."""

from __future__ import annotations

from typing import Annotated

import msgspec

from tomada.feed.messages import (
    MOST_ROWS,
    Column,
    ConnectionRow,
    FrameRow,
    LogLine,
    Query,
    Strike,
    Totals,
    WorkerRow,
)
from tomada.message import Message, Request

MOST_RANKED = 1_000_000
"""A page cannot begin behind so many connections."""
Natural = Annotated[int, msgspec.Meta(ge=0)]


class Introduction(Message):
    """What stays the same for as long as the process lives."""

    app: str
    number: int
    """Of the worker; 0 where there is one process only."""
    pid: int
    settings: dict[str, float | None]
    is_open: bool
    """Whether any program of this machine may speak to the application as it is, without TLS or a proxy."""


class Introduce(Request[Introduction]):
    """Who are you?"""


class TypeSummary(Message):
    """One type of request or message: a `TypeRow` whose times can be added to those of other processes."""

    name: str
    handled: int
    rate: float
    failed: int
    failure_rate: float
    recent: dict[int, int]
    """How many of the last minute took how long, as of `TypeFigures`: some dozens of steps, which are not empty."""


class Summary(Message):
    """All but the connections."""

    addresses: list[str]
    seconds: float
    totals: Totals
    types: list[TypeSummary]
    worker: WorkerRow
    strikes: list[Strike]
    log: list[LogLine]


class Summarize(Request[Summary]):
    """How is it going?"""

    log_after: int = -1
    """The number of the last line of the log that is known; -1: none is."""


class Rows(Message):
    """One page of the connections."""

    matching: int
    rows: list[ConnectionRow]


class TurnPage(Request[Rows]):
    """Some of the connections that fit the query, in their order."""

    query: Query
    sort: Column
    descending: bool
    first: Natural
    count: Annotated[int, msgspec.Meta(ge=0, le=MOST_ROWS)]


class Ranks(Message):
    """Where connections stand: for each what it is sorted by, and its id."""

    matching: int
    ranks: list[tuple[str | float | int, str]]


class Rank(Request[Ranks]):
    """The first connections that fit the query, in their order, without more about them."""

    query: Query
    sort: Column
    descending: bool
    count: Annotated[int, msgspec.Meta(ge=0, le=MOST_RANKED)]


class Describe(Request[list[ConnectionRow]]):
    """These connections, as far as they are still there."""

    ids: Annotated[list[str], msgspec.Meta(max_length=MOST_ROWS)]


class Closeup(Message):
    """One connection, closely."""

    row: ConnectionRow | None
    """None: there is none of that id."""
    frames: list[FrameRow]
    last: int
    """The number of the last frame that it has seen, those that are passed over counted."""
    passed_over: int


class LookClosely(Request[Closeup]):
    """A connection, and the frames that went and came. Whoever looks goes on asking, or they are kept no longer."""

    connection: str
    after: int = -1
    """The number of the last frame that is known; -1: none is."""
