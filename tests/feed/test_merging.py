"""What several processes say, as one."""

from __future__ import annotations

from typing import Any

import pytest

from tomada.feed import merging
from tomada.feed.inner import Ranks, Rows
from tomada.feed.messages import ConnectionRow, Strike, TypeRow


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
    first = [TypeRow("Ask", 10, 3.0, 1, 0.5, 0.1, 0.2), TypeRow("Idle", 1, 0.0, 0, 0.0, None, None)]
    second = [TypeRow("Ask", 20, 1.0, 0, 0.0, 0.5, 0.6)]
    ask, idle = merging.types([first, second])
    assert (ask.handled, ask.rate, ask.failed, ask.failure_rate) == (30, 4.0, 1, 0.5)
    assert ask.p50 == pytest.approx(0.2)
    assert ask.p99 == 0.6
    assert (idle.name, idle.p50, idle.p99) == ("Idle", None, None)


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
