# filestore.py
"""Sessions in one file, which is written anew for each commit: for few and small ones."""

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

import tomada
from tomada.sessions import Change, Chunk, Stored, StoreStatistics


class Held(msgspec.Struct):
    """What there is of one session."""

    head: bytes = b""
    chunks: dict[int, Chunk] = {}
    touched: float = 0.0

    def size(self) -> int:
        return 300 + len(self.head) + sum(100 + len(chunk.data) for chunk in self.chunks.values())

    def changed(self, change: Change, now: float) -> "Held":
        chunks = self.chunks | {chunk.number: chunk for chunk in change.added}
        for number in change.dropped:
            chunks.pop(number, None)
        return Held(self.head if change.head is None else change.head, chunks, now)


class FileStore:
    survives = "a killed server"
    is_durable = True

    def __init__(self, path: Path, bounds: tomada.Sessions, clock: Callable[[], float] = time.time) -> None:
        self.path, self.bounds, self.clock = path, bounds, clock
        self.sessions: dict[bytes, Held] | None = None  # the longest untouched first
        self.counts: Counter[str] = Counter()

    def __str__(self) -> str:
        return f"file://{self.path}"

    async def open(self) -> None:
        try:
            self.sessions = msgspec.msgpack.decode(self.path.read_bytes(), type=dict[bytes, Held])
        except FileNotFoundError:
            self.sessions = {}
        except (OSError, msgspec.DecodeError) as error:
            raise tomada.StoreFailed(f"{self} cannot be read: {error}; put the file aside") from error

    async def close(self) -> None:
        self.sessions = None

    async def load(self, identity: bytes, /) -> Stored | None:
        session = self.opened().get(identity)
        if session is None or self.has_expired(session):
            return None
        return Stored(session.head, tuple(sorted(session.chunks.values(), key=lambda chunk: chunk.number)))

    async def commit(self, changes: Sequence[Change]) -> None:
        sessions, counts = dict(self.opened()), Counter(self.counts)
        for change in changes:
            self.take(sessions, change, counts)
        self.keep_bounds(sessions, counts)
        self.write(msgspec.msgpack.encode(sessions))
        self.sessions, self.counts = sessions, counts  # only now: all of it, or nothing

    async def statistics(self) -> StoreStatistics:
        live = [session for session in self.opened().values() if not self.has_expired(session)]
        return StoreStatistics(
            sessions=len(live),
            bytes=sum(session.size() for session in live),
            most=self.bounds.most,
            most_bytes=self.bounds.most_bytes,
            keep=self.bounds.keep,
            evicted=self.counts["evicted"],
            expired=self.counts["expired"] + len(self.opened()) - len(live),
            passed_over=self.counts["passed over"],
        )

    def opened(self) -> dict[bytes, Held]:
        if self.sessions is None:
            raise tomada.StoreFailed(f"{self} is not open: await its open() first")
        return self.sessions

    def has_expired(self, session: Held) -> bool:
        return session.touched <= self.clock() - self.bounds.keep

    def take(self, sessions: dict[bytes, Held], change: Change, counts: Counter[str]) -> None:
        session = Held() if change.whole else sessions.get(change.id)
        sessions.pop(change.id, None)
        if change.removed:
            return
        if session is None:  # it was dropped: half of it would be worse than none
            counts["passed over"] += 1
            return
        session = session.changed(change, self.clock())
        if session.size() > self.bounds.most_bytes:  # alone, before it drives out all others
            counts["evicted"] += 1
            return
        sessions[change.id] = session  # as the last one

    def keep_bounds(self, sessions: dict[bytes, Held], counts: Counter[str]) -> None:
        size = sum(session.size() for session in sessions.values())
        for identity, session in list(sessions.items()):
            is_old = self.has_expired(session)
            if is_old or len(sessions) > self.bounds.most or size > self.bounds.most_bytes:
                counts["expired" if is_old else "evicted"] += 1
                size -= session.size()
                del sessions[identity]

    def write(self, data: bytes) -> None:
        new = self.path.with_suffix(".new")
        try:
            with new.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.path)  # at once: a reader sees the older file or this one
        except OSError as error:
            raise tomada.StoreFailed(f"{self} cannot be written: {error}; make room, or give another path") from error
