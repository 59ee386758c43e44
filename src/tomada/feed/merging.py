"""One picture of those of several processes: sums, and tables sorted as if they were one. No I/O."""

from __future__ import annotations

import heapq
from operator import add, itemgetter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tomada.feed.messages import Strike, Totals, TypeRow
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


def types(several: Iterable[Sequence[TypeRow]]) -> list[TypeRow]:
    """By name; of the times, which cannot be added, a mean for the half, weighted by the rates, and the worst p99."""
    by_name: dict[str, list[TypeRow]] = {}
    for rows in several:
        for row in rows:
            by_name.setdefault(row.name, []).append(row)
    return [_one_type(rows) for _, rows in sorted(by_name.items())]


def _one_type(rows: list[TypeRow]) -> TypeRow:
    timed = [(row.p50, max(row.rate, 1e-6)) for row in rows if row.p50 is not None]
    weight = sum(rate for _, rate in timed)
    return TypeRow(
        name=rows[0].name,
        handled=sum(row.handled for row in rows),
        rate=sum(row.rate for row in rows),
        failed=sum(row.failed for row in rows),
        failure_rate=sum(row.failure_rate for row in rows),
        p50=sum(p50 * rate for p50, rate in timed) / weight if timed else None,
        p99=max((row.p99 for row in rows if row.p99 is not None), default=None),
    )


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
