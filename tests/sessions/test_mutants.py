"""The suite finds what is wrong: stores that are broken in one way each, and the test that says so."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.sessions.filestore import FileStore, Held
from tomada.errors import StoreFailed
from tomada.sessions import Change, Chunk, Store, Stored, StoreStatistics
from tomada.settings import Sessions
from tomada.testing.store_conformance import StoreConformance

CHANGED, SIZE = Held.changed, Held.size
COMMIT, LOAD, STATISTICS = FileStore.commit, FileStore.load, FileStore.statistics
TAKE, KEEP_BOUNDS, WRITE, CLOSE = FileStore.take, FileStore.keep_bounds, FileStore.write, FileStore.close
Held_ = dict[bytes, Held]


class Broken(StoreConformance):
    """The store of the tests, with what one of them has done to it."""

    longest = 5.0

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def store(self, bounds: Sessions, clock: Callable[[], float]) -> Store:
        return FileStore(self.folder / "sessions", bounds, clock)


def all_in_lane_0(self: Held, change: Change, now: float) -> Held:
    added = tuple(Chunk(chunk.number, 0, chunk.data) for chunk in change.added)
    return CHANGED(self, msgspec.structs.replace(change, added=added), now)


def keep_the_first_head(self: Held, change: Change, now: float) -> Held:
    return CHANGED(self, msgspec.structs.replace(change, head=self.head or change.head), now)


def forget_the_head(self: Held, change: Change, now: float) -> Held:
    return CHANGED(self, msgspec.structs.replace(change, head=change.head or b""), now)


def drop_nothing(self: Held, change: Change, now: float) -> Held:
    return CHANGED(self, msgspec.structs.replace(change, dropped=()), now)


def drop_before_adding(self: Held, change: Change, now: float) -> Held:
    return CHANGED(drop_alone(self, change, now), msgspec.structs.replace(change, dropped=()), now)


def drop_alone(self: Held, change: Change, now: float) -> Held:
    return CHANGED(self, Change(change.id, dropped=change.dropped), now)


def refuse_what_it_has(self: Held, change: Change, now: float) -> Held:
    if any(chunk.number in self.chunks for chunk in change.added):
        raise StoreFailed("there is one of that number")
    return CHANGED(self, change, now)


def cut_what_is_large(self: Held, change: Change, now: float) -> Held:
    return CHANGED(self, msgspec.structs.replace(change, head=change.head and change.head[:1_000_000]), now)


def without_a_touch(self: Held, change: Change, now: float) -> Held:
    is_empty = change == Change(change.id)
    return CHANGED(self, change, self.touched if is_empty else now)


async def make_up(self: FileStore, identity: bytes) -> Stored | None:
    return await LOAD(self, identity) or Stored(b"", ())


async def in_the_order_of_addition(self: FileStore, identity: bytes) -> Stored | None:
    stored = await LOAD(self, identity)
    return None if stored is None else Stored(stored.head, tuple(self.opened()[identity].chunks.values()))


async def touch_by_loading(self: FileStore, identity: bytes) -> Stored | None:
    stored, sessions = await LOAD(self, identity), self.opened()
    if stored is not None:
        sessions[identity] = session = sessions.pop(identity)
        session.touched = self.clock()
    return stored


async def for_ever(self: FileStore, identity: bytes) -> Stored | None:
    session = self.opened().get(identity)
    return (
        None if session is None else Stored(session.head, tuple(chunk for _, chunk in sorted(session.chunks.items())))
    )


async def as_a_pair(self: FileStore, identity: bytes) -> Any:
    stored = await LOAD(self, identity)
    return stored and (stored.head, stored.chunks)


def remove_nothing(self: FileStore, sessions: Held_, change: Change, counts: Counter[str]) -> None:
    if not change.removed:
        TAKE(self, sessions, change, counts)


def add_to_what_is_there(self: FileStore, sessions: Held_, change: Change, counts: Counter[str]) -> None:
    whole = change.whole and change.id not in sessions
    TAKE(self, sessions, msgspec.structs.replace(change, whole=whole), counts)


def begin_halves(self: FileStore, sessions: Held_, change: Change, counts: Counter[str]) -> None:
    whole = change.whole or change.id not in sessions
    TAKE(self, sessions, msgspec.structs.replace(change, whole=whole), counts)


def in_silence(self: FileStore, sessions: Held_, change: Change, _: Counter[str]) -> None:
    TAKE(self, sessions, change, Counter())


def mix_some(self: FileStore, sessions: Held_, change: Change, counts: Counter[str]) -> None:
    TAKE(self, sessions, msgspec.structs.replace(change, id=bytes(15) + bytes([change.id[-1] % 100])), counts)


def touch_in_place(self: FileStore, sessions: Held_, change: Change, counts: Counter[str]) -> None:
    """Who was changed again keeps its older place."""
    before = list(sessions)
    TAKE(self, sessions, change, counts)
    for identity in [*(one for one in before if one in sessions), *(one for one in sessions if one not in before)]:
        sessions[identity] = sessions.pop(identity)


def any_size(self: FileStore, sessions: Held_, change: Change, counts: Counter[str]) -> None:
    bounds, self.bounds = self.bounds, Sessions()
    TAKE(self, sessions, change, counts)
    self.bounds = bounds


def bound(**other: float) -> Callable[..., None]:
    """Another bound takes the place of one."""

    def instead(self: FileStore, sessions: Held_, counts: Counter[str]) -> None:
        bounds, self.bounds = self.bounds, msgspec.structs.replace(self.bounds, **other)
        KEEP_BOUNDS(self, sessions, counts)
        self.bounds = bounds

    return instead


def the_newest_first(self: FileStore, sessions: Held_, counts: Counter[str]) -> None:
    turned = dict(reversed(sessions.items()))
    KEEP_BOUNDS(self, turned, counts)
    for identity in set(sessions) - set(turned):
        del sessions[identity]


def count_all_alike(self: FileStore, sessions: Held_, counts: Counter[str]) -> None:
    KEEP_BOUNDS(self, sessions, counts)
    counts["evicted"] += counts.pop("expired", 0)


def count_removed(self: FileStore, sessions: Held_, change: Change, counts: Counter[str]) -> None:
    TAKE(self, sessions, change, counts)
    counts["evicted"] += change.removed


async def backwards(self: FileStore, changes: Sequence[Change]) -> None:
    await COMMIT(self, changes[::-1])


async def something(self: FileStore, changes: Sequence[Change]) -> None:
    await COMMIT(self, changes or [Change(bytes(16), whole=True)])


async def one_by_one(self: FileStore, changes: Sequence[Change]) -> None:
    for change in changes:
        await COMMIT(self, [change])


async def one_by_one_in_turns(self: FileStore, changes: Sequence[Change]) -> None:
    for change in changes:
        await COMMIT(self, [change])
        await asyncio.sleep(0)


async def overwrite(self: FileStore, changes: Sequence[Change]) -> None:
    sessions, counts = dict(self.opened()), Counter(self.counts)
    for change in changes:
        self.take(sessions, change, counts)
    await asyncio.sleep(0)
    self.keep_bounds(sessions, counts)
    self.sessions, self.counts = sessions, counts


async def write_at_the_end(self: FileStore) -> None:
    if self.sessions is not None:
        WRITE(self, msgspec.msgpack.encode(self.sessions))
    await CLOSE(self)


async def stay_open(_: FileStore) -> None:
    pass


async def of_the_defaults(self: FileStore) -> StoreStatistics:
    return msgspec.structs.replace(await STATISTICS(self), keep=300.0, most=10_000, most_bytes=268_435_456)


def nothing(*_: Any) -> None:
    pass


MUTANTS: list[tuple[str, type, str, Any, str]] = [
    ("mixes lanes", Held, "changed", all_in_lane_0, "test_what_was_committed_is_loaded"),
    ("gives something else", FileStore, "load", as_a_pair, "test_what_was_committed_is_loaded"),
    ("makes up sessions", FileStore, "load", make_up, "test_an_unknown_session_is_none"),
    ("does not sort", FileStore, "load", in_the_order_of_addition, "test_chunks_come_by_number"),
    ("keeps the first head", Held, "changed", keep_the_first_head, "test_a_new_head_replaces"),
    ("loses the head", Held, "changed", forget_the_head, "test_without_a_head"),
    ("drops nothing", Held, "changed", drop_nothing, "test_dropped_chunks_are_gone"),
    ("drops before it adds", Held, "changed", drop_before_adding, "test_dropped_chunks_are_gone"),
    ("takes no chunk twice", Held, "changed", refuse_what_it_has, "test_a_chunk_takes_the_place"),
    ("removes nothing", FileStore, "take", remove_nothing, "test_a_removed_session_is_gone"),
    ("adds to what it has", FileStore, "take", add_to_what_is_there, "test_a_whole_change"),
    ("begins half sessions", FileStore, "take", begin_halves, "test_half_a_session"),
    ("passes over in silence", FileStore, "take", in_silence, "test_half_a_session"),
    ("takes the last change first", FileStore, "commit", backwards, "test_the_changes_of_one_session"),
    ("cuts what is large", Held, "changed", cut_what_is_large, "test_large_and_empty"),
    ("mixes sessions", FileStore, "take", mix_some, "test_many_sessions"),
    ("makes something of nothing", FileStore, "commit", something, "test_nothing_may_be"),
    ("has no bound of number", FileStore, "keep_bounds", bound(most=99), "test_the_longest_untouched"),
    ("drops the newest", FileStore, "keep_bounds", the_newest_first, "test_the_longest_untouched"),
    ("needs changes to touch", FileStore, "take", touch_in_place, "test_of_those_touched_at_once"),
    ("is touched by reading", FileStore, "load", touch_by_loading, "test_the_longest_untouched"),
    ("has no bound of bytes", FileStore, "keep_bounds", bound(most_bytes=10**9), "test_bytes_are_bounded"),
    ("counts no data", Held, "size", lambda self: 300 + len(self.head), "test_bytes_are_bounded"),
    ("counts data alone", Held, "size", lambda self: SIZE(self) - 300, "test_empty_sessions"),
    ("counts no chunks", Held, "size", lambda self: SIZE(self) - 100 * len(self.chunks), "test_empty_sessions"),
    ("lets one drive out all", FileStore, "take", any_size, "test_one_that_is_too_large"),
    ("keeps the old", FileStore, "load", for_ever, "test_the_old_expire"),
    ("renews by reading", FileStore, "load", touch_by_loading, "test_the_old_expire"),
    ("renews not by a touch", Held, "changed", without_a_touch, "test_the_old_expire"),
    ("counts the old as too many", FileStore, "keep_bounds", count_all_alike, "test_the_old_expire"),
    ("tells other bounds", FileStore, "statistics", of_the_defaults, "test_statistics_tell"),
    ("counts ends as losses", FileStore, "take", count_removed, "test_statistics_tell"),
    ("does not say what it is", FileStore, "survives", "", "test_it_has_all"),
    ("is vague", FileStore, "is_durable", None, "test_it_has_all"),
    ("commits one by one", FileStore, "commit", one_by_one, "test_a_commit_that_fails"),
    ("commits in turns", FileStore, "commit", one_by_one_in_turns, "test_a_commit_that_is_cancelled"),
    ("shows halves", FileStore, "commit", one_by_one_in_turns, "test_whoever_looks"),
    ("overwrites", FileStore, "commit", overwrite, "test_commits_at_once"),
    ("works while closed", FileStore, "close", stay_open, "test_a_store_that_is_not_open"),
    ("writes nothing", FileStore, "write", nothing, "test_what_was_committed_is_there"),
    ("survives in secret", FileStore, "is_durable", False, "test_what_was_committed_is_there"),
]


def failed(folder: Path, test: str) -> str:
    """What the suite says of it."""
    (name,) = [name for name in dir(Broken) if name.startswith(test)]
    with pytest.raises((AssertionError, StoreFailed)) as caught:
        getattr(Broken(folder), name)()
    return str(caught.value)


@pytest.mark.parametrize(
    ("owner", "name", "instead", "test"), [mutant[1:] for mutant in MUTANTS], ids=[name for name, *_ in MUTANTS]
)
def test_a_broken_store_fails(
    owner: type, name: str, instead: Any, test: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, instead)

    assert failed(tmp_path, test)


def test_a_store_that_writes_at_the_end_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FileStore, "write", nothing)
    monkeypatch.setattr(FileStore, "close", write_at_the_end)

    assert "was committed, and is not there" in failed(tmp_path, "test_what_is_durable")


def test_each_test_has_a_store_that_fails_it() -> None:
    tests = {name for name in dir(StoreConformance) if name.startswith("test_")}
    missed = {name for name in tests if not any(name.startswith(mutant[-1]) for mutant in MUTANTS)}

    assert {name for name in missed if not name.startswith("test_what_is_durable")} == set()
