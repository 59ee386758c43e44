"""One picture of those of several processes: sums, and tables sorted as if they were one. No I/O."""

from __future__ import annotations

import heapq
from operator import add, itemgetter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tomada.feed.inner import TypeSummary
from tomada.feed.messages import Strike, Totals
from tomada.feed.seen import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tomada.feed.inner import Ranks, Rows
    from tomada.feed.messages import ConnectionRow

NOTHING: Final = Totals(0, 0, 0, 0, 0, 0, 0, {}, 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0)
_TOTALS: Final = Totals.__struct_fields__
_SINCE_START: Final = (
    "accepted",
    "opened",
    "failed",
    "turned_away",
    "received_messages",
    "sent_messages",
    "received_bytes",
    "sent_bytes",
)


def key_of(row: ConnectionRow, column: str) -> str | float | int:
    """What a row is sorted by."""
    value: str | float | int | None = getattr(row, column)
    return UNKNOWN if value is None else value


def total(several: Iterable[Totals]) -> Totals:
    """The sum."""
    found = NOTHING
    for one in several:
        values: dict[str, Any] = {name: _sum(getattr(found, name), getattr(one, name)) for name in _TOTALS}
        found = Totals(**values)
    return found


def since_start(totals: Totals) -> Totals:
    """What stays counted when a process is gone."""
    kept = {name: getattr(totals, name) for name in _SINCE_START}
    return msgspec.structs.replace(NOTHING, **kept)


def _sum(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return {name: one.get(name, 0) + other.get(name, 0) for name in one | other}
    return add(one, other)


def types(several: Iterable[Sequence[TypeSummary]]) -> list[TypeSummary]:
    """By name."""
    by_name: dict[str, TypeSummary] = {}
    for summaries in several:
        for one in summaries:
            known = by_name.get(one.name)
            by_name[one.name] = one if known is None else _one_type(known, one)
    return [one for _, one in sorted(by_name.items())]


def _one_type(one: TypeSummary, other: TypeSummary) -> TypeSummary:
    _, *of_one = msgspec.structs.astuple(one)
    _, *of_other = msgspec.structs.astuple(other)
    return TypeSummary(one.name, *map(_sum, of_one, of_other))


def strikes(several: Iterable[Sequence[Strike]]) -> list[Strike]:
    """By kind and name, the latest first."""
    by_name: dict[tuple[str, str], list[Strike]] = {}
    for rows in several:
        for row in rows:
            by_name.setdefault((row.kind, row.name), []).append(row)
    found = []
    for rows in by_name.values():
        last = min(rows, key=lambda row: row.seconds_ago)
        found.append(msgspec.structs.replace(last, count=sum(row.count for row in rows)))
    return sorted(found, key=lambda row: row.seconds_ago)


def rows(several: Sequence[Rows], column: str, *, descending: bool) -> list[ConnectionRow]:
    """Sorted pages, the first of each process, as one."""
    pages = (page.rows for page in several)
    return list(heapq.merge(*pages, key=lambda row: key_of(row, column), reverse=descending))


def ranks(several: Sequence[Ranks], *, descending: bool) -> list[str]:
    """The ids of connections of all processes, sorted."""
    merged = heapq.merge(*(one.ranks for one in several), key=itemgetter(0), reverse=descending)
    return [id_ for _, id_ in merged]
