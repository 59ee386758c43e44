"""The columns of the tables: how each is called, how wide it is, and what stands in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from tomada.cli.output import printable
from tomada.cli.top import words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tomada.feed.messages import ConnectionRow, Strike

RowT = TypeVar("RowT")

STYLES: Final = {
    "open": "green",
    "serving": "green",
    "resuming": "yellow",
    "draining": "yellow",
    "connecting": "dim",
    "closed": "dim",
    "gone": "bold red",
}
"""Of states, in whichever table."""


class Heading(NamedTuple):
    """One column."""

    name: str
    """The field that the rows are sorted by."""
    title: str
    width: int
    text: Callable[[Any], str]
    is_text: bool = False
    """Whether it stands at the left; numbers stand at the right."""


def place(address: str) -> str:
    """An address without the scheme that nearly all of them have."""
    return printable(address.removeprefix("tcp://"))


def _rate(row: ConnectionRow, number: float) -> str:
    return words.size(number) if row.kind == "stream" else words.rate(number)


def _allowed(row: Strike) -> str:
    if not row.allowed:
        return "off"
    if row.kind == "deadline":
        return words.duration(row.allowed)
    return words.size(row.allowed) if row.name.endswith("_bytes") else words.count(row.allowed)


CONNECTIONS: Final[tuple[Heading, ...]] = (
    Heading("peer", "peer", 21, lambda row: place(row.peer), is_text=True),
    Heading("state", "state", 8, lambda row: printable(row.state), is_text=True),
    Heading("age", "age", 7, lambda row: words.age(row.age)),
    Heading("received_rate", "in/s", 7, lambda row: _rate(row, row.received_rate)),
    Heading("sent_rate", "out/s", 7, lambda row: _rate(row, row.sent_rate)),
    Heading("round_trip", "rtt", 7, lambda row: words.duration(row.round_trip)),
    Heading("waiting_bytes", "waiting", 8, lambda row: words.size(row.waiting_bytes)),
    Heading("received_messages", "in", 8, lambda row: words.count(row.received_messages)),
    Heading("sent_messages", "out", 8, lambda row: words.count(row.sent_messages)),
    Heading("received_bytes", "bytes in", 9, lambda row: words.size(row.received_bytes)),
    Heading("sent_bytes", "bytes out", 10, lambda row: words.size(row.sent_bytes)),
    Heading("handlers", "handlers", 9, lambda row: words.count(row.handlers)),
    Heading("kind", "kind", 8, lambda row: printable(row.kind), is_text=True),
    Heading("worker", "worker", 7, lambda row: f"{row.worker or ''}"),
)
TYPES: Final[tuple[Heading, ...]] = (
    Heading("name", "type", 26, lambda row: printable(row.name), is_text=True),
    Heading("rate", "per s", 8, lambda row: words.rate(row.rate)),
    Heading("p50", "p50", 8, lambda row: words.duration(row.p50)),
    Heading("p99", "p99", 8, lambda row: words.duration(row.p99)),
    Heading("handled", "handled", 9, lambda row: words.count(row.handled)),
    Heading("failed", "failed", 7, lambda row: words.count(row.failed)),
)
WORKERS: Final[tuple[Heading, ...]] = (
    Heading("number", "#", 4, lambda row: f"{row.number}"),
    Heading("pid", "pid", 8, lambda row: f"{row.pid}"),
    Heading("state", "state", 8, lambda row: printable(row.state), is_text=True),
    Heading("seconds", "age", 8, lambda row: words.age(row.seconds)),
    Heading("connections", "connections", 12, lambda row: words.count(row.connections)),
    Heading("processor", "cpu", 5, lambda row: words.share(row.processor)),
    Heading("memory_bytes", "memory", 8, lambda row: words.size(row.memory_bytes)),
    Heading("children", "children", 9, lambda row: f"{row.children or ''}"),
)
STRIKES: Final[tuple[Heading, ...]] = (
    Heading("name", "limit or deadline", 20, lambda row: printable(row.name), is_text=True),
    Heading("allowed", "allowed", 8, _allowed),
    Heading("count", "times", 7, lambda row: words.count(row.count)),
    Heading("seconds_ago", "ago", 8, lambda row: words.age(row.seconds_ago)),
    Heading("where", "by", 24, lambda row: place(row.where), is_text=True),
)


def style(row: Any, heading: Heading) -> str:
    """How a cell is drawn."""
    if heading.name == "state":
        return STYLES.get(row.state, "")
    if heading.name == "failed" and row.failure_rate:
        return "bold red"
    return ""


def in_order(rows: Sequence[RowT], column: str, *, descending: bool) -> list[RowT]:
    """`rows` sorted by a column; what is not known comes last."""
    known = [row for row in rows if getattr(row, column) is not None]
    return [
        *sorted(known, key=lambda row: getattr(row, column), reverse=descending),
        *(row for row in rows if getattr(row, column) is None),
    ]
