"""Timelines with too many rows: neighbours of one group share one, with the sums of what they sent and received."""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from typing import TYPE_CHECKING, Final

import msgspec

from tomada.diagrams.amounts import count_text
from tomada.diagrams.model import Row, Span, Timeline, Tone

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_ROWS: Final = 400
"""What a picture shows unless it is asked for more or fewer."""
MOST_MARKS: Final = 40
"""Marks of a row that stands for several; those of failures come first."""


def condense(timeline: Timeline, most: int = MOST_ROWS) -> Timeline:
    """`timeline` with about `most` rows, and a note where several share one."""
    groups_: dict[str, int] = {}
    for row in timeline.rows:
        groups_.setdefault(row.group, len(groups_))
    rows = tuple(sorted(timeline.rows, key=lambda row: groups_[row.group]))
    count = len(rows)
    if count <= most:
        return msgspec.structs.replace(timeline, rows=rows)
    groups = [(group, list(members)) for group, members in groupby(rows, key=lambda row: row.group)]
    if len(groups) > most // 2:
        groups = [("all", list(rows))]
    share = -(-count // max(1, most - len(groups)))
    made = [_shared(list(together)) for _, members in groups for together in _parts(members, share)]
    note = (
        f"{count:,} rows are too many for one picture: "
        f"up to {share:,} neighbours share one. JSON lines (.jsonl) have all."
    )
    return msgspec.structs.replace(timeline, rows=tuple(made), notes=(*timeline.notes, note))


def _parts(rows: list[Row], size: int) -> Iterable[list[Row]]:
    for begin in range(0, len(rows), size):
        yield rows[begin : begin + size]


def _shared(rows: list[Row]) -> Row:
    if len(rows) == 1:
        return rows[0]
    marks = sorted((mark for row in rows for mark in row.marks), key=lambda mark: mark.tone is not Tone.FAILED)
    return Row(
        group=rows[0].group,
        title=f"{rows[0].title} and {count_text(len(rows) - 1, 'more row')}",
        spans=_union(span for row in rows for span in row.spans),
        marks=tuple(sorted(marks[:MOST_MARKS], key=lambda mark: mark.at)),
        sent=sum(row.sent for row in rows),
        received=sum(row.received for row in rows),
    )


def _union(spans: Iterable[Span]) -> tuple[Span, ...]:
    """When at least one of the rows was in such a state."""
    kinds: dict[tuple[str, Tone], list[Span]] = defaultdict(list)
    for span in spans:
        kinds[span.text, span.tone].append(span)
    return tuple(whole for same in kinds.values() for whole in _merged(sorted(same, key=lambda span: span.begun)))


def _merged(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for span in spans:
        last = merged[-1] if merged else None
        if last is None or (last.ended is not None and span.begun > last.ended):
            merged.append(span)
        elif last.ended is not None:
            ended = None if span.ended is None else max(last.ended, span.ended)
            merged[-1] = msgspec.structs.replace(last, ended=ended)
    return merged
