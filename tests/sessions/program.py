"""Programs that use a store in a process of their own: ``python program.py what path …``."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from functools import partial

from tomada import Sessions, StoreFailed
from tomada.sessions import Change, Chunk, open_store
from tomada.sessions.journal import Journal

NOBODY = 65_534
PAIRS = 8
"""Sessions 2n and 2n + 1 are always changed together."""


def name(number: int) -> bytes:
    return number.to_bytes(16, "big")


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def commit(path: str, begin: str) -> None:
    """Commit for ever, by a journal; a line for each round that is stored, written when it is."""
    store = open_store(f"sqlite://{path}", Sessions())
    await store.open()
    journal = Journal(store, asyncio.get_running_loop())
    if begin == "0":
        for number in range(2 * PAIRS):
            journal.record(Change(name(number), b"0", whole=True), lambda: None)
    turn = int(begin)
    while True:
        turn += 1
        for pair in range(PAIRS):
            for number in (2 * pair, 2 * pair + 1):
                chunk = Chunk(turn, turn % 2, b"%d" % turn * 200)
                journal.record(Change(name(number), b"%d" % turn, (chunk,), (turn - 3,)), lambda: None)
        journal.record(Change(name(0)), partial(say, turn))
        if turn % 4:
            await asyncio.sleep(0)
        else:
            await journal.flush()


async def hold(path: str) -> None:
    """Hold the file locked until somebody writes a line."""
    import sqlite3  # noqa: PLC0415 - here alone

    database = sqlite3.connect(path, isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    say("locked")
    await asyncio.to_thread(sys.stdin.readline)
    database.execute("ROLLBACK")
    say("free")
    await asyncio.to_thread(sys.stdin.readline)
    database.close()


async def add(path: str, first: str, count: str) -> None:
    """Open, when all others are ready; begin some sessions, each in a commit of its own."""
    store = open_store(f"sqlite://{path}", Sessions())
    say("ready")
    sys.stdin.readline()
    await store.open()
    for number in range(int(first), int(first) + int(count)):
        await store.commit([Change(name(number), b"head", (Chunk(1, 0, b"data"),), whole=True)])
    await store.close()


async def fill(path: str, most: str) -> None:
    """Commit until the file may not grow any more; say why, and how many sessions are stored."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(most), resource.RLIM_INFINITY))
    store = open_store(f"sqlite://{path}", Sessions())
    await store.open()
    number = 0
    while True:
        try:
            await store.commit([Change(name(number), bytes(10_000), whole=True)])
        except StoreFailed as error:
            say(error)
            break
        number += 1
    seen = await store.statistics()
    say(number, seen.sessions)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await store.commit([Change(name(number), bytes(10_000), whole=True)])
    say((await store.statistics()).sessions)
    await store.close()


async def refused(path: str) -> None:
    """Say why the store cannot be opened by somebody who has no rights."""
    store = open_store(f"sqlite://{path}", Sessions())
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
    try:
        await store.open()
    except StoreFailed as error:
        say(error)


if __name__ == "__main__":
    programs = {program.__name__: program for program in (commit, hold, add, fill, refused)}
    asyncio.run(programs[sys.argv[1]](*sys.argv[2:]))
