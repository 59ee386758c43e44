"""The bank on a bad network, its processes killed: a few faults of those that `make faults` has a thousand of."""

from __future__ import annotations

import asyncio

import pytest

from benchmarks.faults.bank import run


@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_what_was_promised_is_in_the_books_once(store: str) -> None:
    outcome = asyncio.run(run(faults=12, clients=2, store=store, seed=3))
    assert outcome.counts.total() == 12
    assert (outcome.findings.differences, outcome.crashes) == ([], [])
    assert [row.name for row in outcome.rows() if not row.is_reached] == []
