"""What several processes say, as one."""

from __future__ import annotations

from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tomada.feed import merging
from tomada.feed.inner import Ranks, Rows, TypeSummary
from tomada.feed.messages import ConnectionRow, Strike
from tomada.telemetry.tally import Tally, quantile


def row(worker: int, peer: str, **fields: Any) -> ConnectionRow:
    values: dict[str, Any] = dict.fromkeys(ConnectionRow.__struct_fields__, 0) | {
        "id": f"{worker}-{peer}",
        "worker": worker,
        "peer": peer,
        "round_trip": None,
    }
    return ConnectionRow(**values | fields)


def totals(**fields: Any) -> Any:
    values = {name: getattr(merging.NOTHING, name) for name in type(merging.NOTHING).__struct_fields__}
    return type(merging.NOTHING)(**values | fields)


def test_totals_are_added_and_what_is_gone_stays_counted() -> None:
    one = totals(connections=2, accepted=5, turned_away={"handshakes": 1}, received_rate=0.5)
    other = totals(connections=3, accepted=1, turned_away={"handshakes": 2, "connections": 4}, received_rate=1.0)
    found = merging.total([one, other])
    assert (found.connections, found.accepted, found.received_rate) == (5, 6, 1.5)
    assert found.turned_away == {"handshakes": 3, "connections": 4}
    kept = merging.since_start(one)
    assert (kept.connections, kept.accepted, kept.turned_away, kept.received_rate) == (0, 5, {"handshakes": 1}, 0)
    assert merging.total([]) == merging.NOTHING


def test_types_are_merged_by_name() -> None:
    first = [TypeSummary("Ask", 10, 3.0, 1, 0.5, {-80: 9, 4: 1}), TypeSummary("Idle", 1, 0.0, 0, 0.0, {})]
    second = [TypeSummary("Ask", 20, 1.0, 0, 0.0, {-90: 5, 4: 2})]
    ask, idle = merging.types([first, second])
    assert ask == TypeSummary("Ask", 30, 4.0, 1, 0.5, {-90: 5, -80: 9, 4: 3})
    assert idle == first[1]


@given(st.lists(st.lists(st.floats(1e-7, 1e3), max_size=50), max_size=6), st.floats(0.01, 1))
def test_the_times_of_several_have_the_quantiles_of_all(processes: list[list[float]], part: float) -> None:
    whole = Tally("Ask")
    parts = []
    for times in processes:
        one = Tally("Ask")
        for seconds in times:
            one.note(seconds)
            whole.note(seconds)
        parts.append([TypeSummary("Ask", len(times), 0.0, 0, 0.0, one.recent())])
    recent = merging.types(parts)[0].recent if parts else {}
    assert recent == whole.recent()
    assert quantile(recent, part) == quantile(whole.recent(), part)
    every = sorted(seconds for times in processes for seconds in times)
    if every:
        exact = every[ceil(part * len(every)) - 1]
        assert quantile(recent, part) == pytest.approx(exact, rel=0.05)


def test_strikes_are_merged_and_the_latest_is_told() -> None:
    early = Strike("limit", "connections", 5, 2, "ana", 9.0)
    late = Strike("limit", "connections", 5, 3, "rui", 1.0)
    other = Strike("deadline", "idle", 300, 1, "eva", 4.0)
    found = merging.strikes([[early, other], [late]])
    assert [(one.name, one.count, one.where, one.seconds_ago) for one in found] == [
        ("connections", 5, "rui", 1.0),
        ("idle", 1, "eva", 4.0),
    ]


@pytest.mark.parametrize("descending", [False, True])
def test_sorted_pages_become_one(*, descending: bool) -> None:
    pages = []
    for worker in (1, 2, 3):
        rows = [row(worker, f"{worker}{at}", received_bytes=7 * at % 5, round_trip=at or None) for at in range(9)]
        pages.append(Rows(9, sorted(rows, key=lambda row: row.received_bytes, reverse=descending)))
    found = merging.rows(pages, "received_bytes", descending=descending)
    assert len(found) == 27
    values = [one.received_bytes for one in found]
    assert values == sorted(values, reverse=descending)


def test_what_is_not_known_is_sorted_last() -> None:
    pages = [Rows(2, [row(1, "a", round_trip=0.1), row(1, "b")]), Rows(1, [row(2, "c", round_trip=0.2)])]
    assert [one.peer for one in merging.rows(pages, "round_trip", descending=False)] == ["a", "c", "b"]


def test_ranks_become_one() -> None:
    ranks = [Ranks(2, [(1, "a"), (5, "b")]), Ranks(3, [(2.5, "c"), (5, "d"), (9, "e")])]
    assert merging.ranks(ranks, descending=False) == ["a", "c", "b", "d", "e"]
