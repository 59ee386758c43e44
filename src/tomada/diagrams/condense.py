"""Timelines with too many rows: neighbours of one group share one, with the sums of what they sent and received."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import groupby
from typing import TYPE_CHECKING, Final

import msgspec

from tomada.diagrams.amounts import count_text
from tomada.diagrams.model import Row, Span, Timeline, Tone

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tomada.diagrams.model import Mark

MOST_ROWS: Final = 400
"""What a picture shows unless it is asked for more or fewer."""
MOST_MARKS: Final = 40
"""Of a row; those of failures come first."""
MOST_SPANS: Final = 200
"""Of a row; the longest ones."""


def condense(timeline: Timeline, most: int = MOST_ROWS) -> Timeline:
    """`timeline` with about `most` rows, none of them too full to be drawn, and notes that say what was done."""
    rows, notes = _few(timeline.rows, most)
    drawn = tuple(map(_thinned, rows))
    marks = sum(len(row.marks) for row in rows) - sum(len(row.marks) for row in drawn)
    spans = sum(len(row.spans) for row in rows) - sum(len(row.spans) for row in drawn)
    if marks or spans:
        gone = " and ".join(count_text(count, name) for count, name in ((marks, "mark"), (spans, "span")) if count)
        notes.append(
            f"{gone} left out: of a row no more than {MOST_MARKS} marks and the {MOST_SPANS} longest spans are drawn. "
            "JSON lines (.jsonl) have all."
        )
    return msgspec.structs.replace(timeline, rows=drawn, notes=(*timeline.notes, *notes))


def _few(all_rows: tuple[Row, ...], most: int) -> tuple[list[Row], list[str]]:
    """The rows by their groups, and where they are too many how many share one."""
    places: dict[str, int] = {}
    for row in all_rows:
        places.setdefault(row.group, len(places))
    rows = sorted(all_rows, key=lambda row: places[row.group])
    count = len(rows)
    if count <= most:
        return rows, []
    groups = [list(members) for _, members in groupby(rows, key=lambda row: row.group)]
    if len(groups) > most // 2:
        groups = [rows]
    share = -(-count // max(1, most - len(groups)))
    note = (
        f"{count:,} rows are too many for one picture: "
        f"up to {share:,} neighbours share one. JSON lines (.jsonl) have all."
    )
    return [_shared(together) for members in groups for together in _parts(members, share)], [note]


def _thinned(row: Row) -> Row:
    marks, spans = row.marks, row.spans
    if len(marks) > MOST_MARKS:
        failed = [mark for mark in marks if mark.tone is Tone.FAILED]
        others = [mark for mark in marks if mark.tone is not Tone.FAILED]
        kept = _evenly(failed, MOST_MARKS)
        marks = tuple(sorted([*kept, *_evenly(others, MOST_MARKS - len(kept))], key=lambda mark: mark.at))
    if len(spans) > MOST_SPANS:
        longest = sorted(spans, key=_length, reverse=True)[:MOST_SPANS]
        spans = tuple(sorted(longest, key=lambda span: span.begun))
    return msgspec.structs.replace(row, marks=marks, spans=spans)


def _evenly(marks: list[Mark], most: int) -> list[Mark]:
    """From the first to the last, as many as there may be."""
    count = min(len(marks), most)
    return [marks[at * len(marks) // count] for at in range(count)]


def _length(span: Span) -> float:
    return math.inf if span.ended is None else span.ended - span.begun


def _parts(rows: list[Row], size: int) -> Iterable[list[Row]]:
    for begin in range(0, len(rows), size):
        yield rows[begin : begin + size]


def _shared(rows: list[Row]) -> Row:
    if len(rows) == 1:
        return rows[0]
    groups = dict.fromkeys(row.group for row in rows)
    return Row(
        group=rows[0].group + (f" and {len(groups) - 1:,} more" if len(groups) > 1 else ""),
        title=f"{rows[0].title} and {count_text(len(rows) - 1, 'more row')}",
        spans=_union(span for row in rows for span in row.spans),
        marks=tuple(sorted((mark for row in rows for mark in row.marks), key=lambda mark: mark.at)),
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
