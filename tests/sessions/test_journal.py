"""Commits in groups: what is merged, when it is told, what happens while the store fails, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.timeless import TimelessLoop
from tomada import Sessions, StoreFailed
from tomada.sessions import Change, Chunk
from tomada.sessions.journal import CLOSING, LONGEST_COMMIT, LONGEST_PAUSE, RECORD_BYTES, Journal
from tomada.sessions.memory import MemoryStore
from tomada.telemetry import CommitFailed, CommitResumed, Event

ONE, TWO = bytes(15) + b"\1", bytes(15) + b"\2"


class Slow(MemoryStore):
    """One that takes a second for a commit, and fails as often as it is told to."""

    def __init__(self) -> None:
        super().__init__(Sessions(), lambda: 0.0)
        self.commits: list[Sequence[Change]] = []
        self.failures: list[Exception] = []
        self.at_once = 0
        self.seconds = 1.0

    async def commit(self, changes: Sequence[Change]) -> None:
        assert self.at_once == 0, "one commit at a time"
        self.at_once += 1
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.at_once -= 1
        if self.failures:
            raise self.failures.pop(0)
        await super().commit(changes)
        self.commits.append(changes)


def run(test: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=TimelessLoop) as runner:
        runner.run(test)


async def a_journal(**options: int) -> tuple[Journal, Slow, list[str]]:
    """And its store, and what is told as done."""
    store = Slow()
    await store.open()
    return Journal(store, asyncio.get_running_loop(), **options), store, []


def chunk(number: int, data: bytes = b"data") -> Chunk:
    return Chunk(number, 0, data)


def test_what_comes_while_a_commit_runs_is_committed_together() -> None:
    async def main() -> None:
        journal, store, told = await a_journal()
        journal.record(Change(ONE, b"1", whole=True), partial(told.append, "a"))
        await asyncio.sleep(0.5)
        assert (told, store.at_once) == ([], 1)
        for number in range(100):
            journal.record(Change(TWO, b"%d" % number, (chunk(number),), whole=not number), partial(told.append, "b"))
            journal.record(Change(ONE, b"2"), partial(told.append, "c"))
        assert (told, len(store.commits)) == ([], 0)
        await asyncio.sleep(1.0)
        assert told == ["a"]
        await journal.flush()
        assert told == ["a", *["b", "c"] * 100]
        chunks = tuple(chunk(number) for number in range(100))
        assert store.commits == [
            [Change(ONE, b"1", whole=True)],
            [Change(TWO, b"99", chunks, whole=True), Change(ONE, b"2")],
        ]
        assert journal.commits == 2
        await journal.flush()
        await journal.close()
        await journal.close()

    run(main())


@pytest.mark.parametrize(
    ("changes", "merged"),
    [
        ([Change(ONE, b"1"), Change(ONE, b"2"), Change(ONE)], Change(ONE, b"2")),
        ([Change(ONE, None, (chunk(1),)), Change(ONE, None, (chunk(2),), (1,))], Change(ONE, None, (chunk(2),))),
        ([Change(ONE, None, (chunk(5),), (4,)), Change(ONE, dropped=(5, 3))], Change(ONE, dropped=(4, 3))),
        ([Change(ONE, None, (chunk(1),), (1,))], Change(ONE)),
        ([Change(ONE, dropped=(1,)), Change(ONE, None, (chunk(1),))], Change(ONE, None, (chunk(1),))),
        ([Change(ONE, None, (chunk(1),)), Change(ONE, None, (chunk(1, b"+"),))], Change(ONE, None, (chunk(1, b"+"),))),
        ([Change(ONE, b"1", (chunk(1),), (7,)), Change(ONE, b"2", whole=True)], Change(ONE, b"2", whole=True)),
        (
            [Change(ONE, b"1", whole=True), Change(ONE, None, (chunk(2),), (1,))],
            Change(ONE, b"1", (chunk(2),), whole=True),
        ),
        ([Change(ONE, b"1", (chunk(1),), (2,)), Change(ONE, removed=True)], Change(ONE, removed=True)),
        ([Change(ONE, removed=True), Change(ONE, b"late", (chunk(1),), (1,))], Change(ONE, removed=True)),
        ([Change(ONE, removed=True), Change(ONE, b"new", whole=True)], Change(ONE, b"new", whole=True)),
    ],
)
def test_the_changes_of_one_session_become_one(changes: list[Change], merged: Change) -> None:
    async def main() -> None:
        journal, store, told = await a_journal()
        for change in changes:
            journal.record(change, partial(told.append, "done"))
        held = len(merged.head or b"") + sum(len(one.data) for one in merged.added)
        assert journal.waiting_bytes == held + RECORD_BYTES * len(changes)
        await journal.flush()
        assert store.commits == [[merged]]
        assert told == ["done"] * len(changes)
        assert journal.waiting_bytes == 0
        await journal.close()

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks begin at once from Python 3.12 on")
def test_a_loop_whose_tasks_begin_at_once() -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(vars(asyncio)["eager_task_factory"])
        store, told = MemoryStore(Sessions()), list[str]()
        await store.open()
        journal = Journal(store, asyncio.get_running_loop())
        for _ in range(2):
            journal.record(Change(ONE, b"1", whole=True), partial(told.append, "a"))
            journal.record(Change(TWO, b"2", whole=True), partial(told.append, "b"))
            await journal.flush()
        assert told == ["a", "b"] * 2
        assert journal.commits == 2
        await journal.close()

    run(main())


def test_who_records_first_does_not_lend_its_context() -> None:
    async def main() -> None:
        mark = ContextVar("mark", default="the journal's")
        journal, _, told = await a_journal()
        mark.set("a handler's")
        journal.record(Change(ONE, b"1", whole=True), lambda: told.append(mark.get()))
        await journal.close()
        assert told == ["the journal's"]

    run(main())


def test_it_says_when_it_is_full() -> None:
    async def main() -> None:
        journal, _, _ = await a_journal(most_bytes=1_000)
        seen = []
        journal.record(Change(ONE, bytes(500), whole=True), lambda: seen.append(journal.is_full))
        seen.append(journal.is_full)
        await asyncio.sleep(0.5)
        journal.record(Change(TWO, bytes(300), whole=True), lambda: seen.append(journal.is_full))
        assert journal.waiting_bytes == 800 + 2 * RECORD_BYTES
        seen.append(journal.is_full)
        await journal.flush()
        assert seen == [False, True, False, False]
        assert journal.waiting_bytes == 0
        await journal.close()

    run(main())


def test_what_is_recorded_by_who_is_told_is_committed_next() -> None:
    async def main() -> None:
        journal, store, told = await a_journal()
        journal.record(
            Change(ONE, b"1", whole=True), lambda: journal.record(Change(ONE, b"2"), partial(told.append, "second"))
        )
        await journal.flush()
        assert told == []
        await journal.close()
        assert told == ["second"]
        assert len(store.commits) == 2

    run(main())


def test_who_raises_when_told_is_told_of_and_harms_nobody() -> None:
    async def main() -> None:
        complaints: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        journal, _, told = await a_journal()
        journal.record(Change(ONE, b"1", whole=True), lambda: told.remove("nobody"))
        journal.record(Change(ONE, b"2"), partial(told.append, "bystander"))
        await journal.close()
        assert told == ["bystander"]
        (complaint,) = complaints
        assert isinstance(complaint["exception"], ValueError)

    run(main())


def test_a_commit_that_fails_is_told_and_tried_again(told: list[Event], caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        journal, store, done = await a_journal()
        store.seconds = 0.0
        store.failures = [StoreFailed("full"), StoreFailed("full"), ValueError(), StoreFailed("full")]
        begun = asyncio.get_running_loop().time()
        journal.record(Change(ONE, b"1", whole=True), partial(done.append, "a"))
        await asyncio.sleep(0.01)
        assert (done, journal.failure) == ([], "full")
        journal.record(Change(ONE, b"2", (chunk(1),)), partial(done.append, "b"))
        await journal.flush()
        assert done == ["a", "b"]
        assert [len(changes) for changes in store.commits] == [1, 1], "what failed is committed as it was"
        assert asyncio.get_running_loop().time() - begun == pytest.approx(0.05 + 0.1 + 0.2 + 0.4)
        reasons = [event.reason for event in told if isinstance(event, CommitFailed)]
        assert reasons == ["full", "ValueError", "full"]
        assert told[0] == CommitFailed(store="memory", reason="full", waiting_bytes=1 + RECORD_BYTES)
        (resumed,) = [event for event in told if isinstance(event, CommitResumed)]
        assert resumed.seconds == pytest.approx(0.75)
        assert journal.failure == ""
        await journal.close()

    caplog.set_level(logging.WARNING, "tomada")
    run(main())
    assert len(caplog.records) == 4


def test_the_pauses_have_a_bound() -> None:
    async def main() -> None:
        journal, store, done = await a_journal()
        store.seconds = 0.0
        store.failures = [StoreFailed("full")] * 50
        journal.record(Change(ONE, b"1", whole=True), partial(done.append, "a"))
        await journal.flush()
        assert asyncio.get_running_loop().time() < 50 * LONGEST_PAUSE
        await journal.close()

    run(main())


def test_a_commit_that_does_not_return_has_failed(told: list[Event]) -> None:
    async def main() -> None:
        journal, store, done = await a_journal()
        store.seconds = 10 * LONGEST_COMMIT
        journal.record(Change(ONE, b"1", whole=True), partial(done.append, "a"))
        await asyncio.sleep(LONGEST_COMMIT + 0.01)
        assert [event.reason for event in told if isinstance(event, CommitFailed)] == ["no commit within 30 s"]
        store.seconds = 0.0
        store.failures = [TimeoutError("the store's own")]
        await journal.flush()
        assert [event.reason for event in told if isinstance(event, CommitFailed)][1:] == ["the store's own"]
        assert done == ["a"]
        await journal.close()

    run(main())


def test_where_nobody_wants_to_know_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (CommitFailed, CommitResumed):
        monkeypatch.setattr(kind, "subscribers", ())

    async def main() -> None:
        journal, store, done = await a_journal()
        store.failures = [StoreFailed("full")]
        journal.record(Change(ONE, b"1", whole=True), partial(done.append, "a"))
        await journal.close()
        assert done == ["a"]

    run(main())


def test_closing_takes_nothing_more() -> None:
    async def main() -> None:
        journal, store, told = await a_journal()
        journal.record(Change(ONE, b"1", whole=True), partial(told.append, "a"))
        closing = asyncio.create_task(journal.close())
        await asyncio.sleep(0)
        with pytest.raises(
            StoreFailed, match=r"^the journal of the store memory has been closed: nothing more is stored$"
        ):
            journal.record(Change(ONE, b"2"), partial(told.append, "b"))
        await closing
        assert told == ["a"]
        assert len(store.commits) == 1
        await journal.flush()

    run(main())


def test_closing_says_what_could_not_be_stored() -> None:
    async def main() -> None:
        journal, store, told = await a_journal()
        store.failures = [StoreFailed("the disk is full")] * 1_000
        for change in (Change(ONE, b"1", whole=True), Change(TWO, b"2", whole=True)):
            journal.record(change, partial(told.append, "a"))
        flushing = [asyncio.create_task(journal.flush()) for _ in range(2)]
        await asyncio.sleep(0.1)
        flushing[1].cancel()
        begun = asyncio.get_running_loop().time()
        text = r"^2 changes of sessions were not stored in memory \(258 bytes\): the disk is full$"
        with pytest.raises(StoreFailed, match=text):
            await journal.close()
        assert asyncio.get_running_loop().time() - begun == pytest.approx(CLOSING)
        for _ in range(2):
            with pytest.raises(StoreFailed, match=text):
                await journal.flush()
        with pytest.raises(StoreFailed, match=text):
            await flushing[0]
        await journal.close()
        assert told == []
        assert len(asyncio.all_tasks()) == 1

    run(main())


def test_closing_does_not_wait_for_ever() -> None:
    async def main() -> None:
        journal, store, told = await a_journal()
        store.seconds = 1_000.0
        journal.record(Change(ONE, b"1", whole=True), partial(told.append, "a"))
        with pytest.raises(StoreFailed, match=r": no commit has ended within 3 s$"):
            await journal.close(3)

    run(main())


def test_who_waits_and_gives_up_harms_nobody() -> None:
    async def main() -> None:
        journal, _, told = await a_journal()
        journal.record(Change(ONE, b"1", whole=True), partial(told.append, "a"))
        flushing = [asyncio.create_task(journal.flush()) for _ in range(3)]
        await asyncio.sleep(0.5)
        flushing[0].cancel()
        await asyncio.gather(*flushing[1:])
        assert told == ["a"]
        await journal.close()

    run(main())


STEP = st.tuples(
    st.sampled_from(["head", "add", "drop", "whole", "remove", "touch"]), st.integers(0, 2), st.integers(0, 7)
)


def changes_of(steps: list[tuple[str, int, int]]) -> list[Change]:
    """As a server makes them: numbers of chunks are never used again."""
    made = []
    for number, (what, session, nth) in enumerate(steps):
        by_kind: dict[str, Callable[[bytes], Change]] = {
            "head": lambda name, number=number: Change(name, b"head %d" % number),  # type: ignore[misc] # bound now
            "add": lambda name, number=number: Change(name, None, (chunk(number),)),  # type: ignore[misc]
            "drop": lambda name, number=number, nth=nth: Change(name, dropped=(number - nth,)),  # type: ignore[misc]
            "whole": lambda name, number=number: Change(name, b"whole", (chunk(number),), whole=True),  # type: ignore[misc]
            "remove": lambda name: Change(name, removed=True),
            "touch": Change,
        }
        made.append(by_kind[what](bytes(15) + bytes([session])))
    return made


@given(st.lists(STEP, max_size=40), st.lists(st.integers(0, 3), min_size=40, max_size=40), st.integers(0, 5))
def test_in_groups_or_one_by_one_the_same_is_stored(
    steps: list[tuple[str, int, int]], pauses: list[int], failures: int
) -> None:
    async def main() -> None:
        changes = changes_of(steps)
        alone = MemoryStore(Sessions(), lambda: 0.0)
        await alone.open()
        journal, store, _ = await a_journal()
        store.failures = [StoreFailed("not now")] * failures
        told: list[int] = []
        for number, (change, pause) in enumerate(zip(changes, pauses, strict=False)):
            await alone.commit([change])
            journal.record(change, partial(told.append, number))
            await asyncio.sleep(0.4 * pause)
        await journal.close(1_000)
        assert told == list(range(len(changes)))
        for session in range(3):
            name = bytes(15) + bytes([session])
            assert await store.load(name) == await alone.load(name)

    run(main())
