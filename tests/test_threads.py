from __future__ import annotations

import threading
from concurrent.futures import Future

import pytest

from tomada.threads import Threads

LONGEST = 30


def test_work_runs_in_few_threads_which_end_when_told() -> None:
    threads = Threads(2)
    names: set[str] = set()
    meeting = threading.Barrier(2)

    def work(number: int) -> int:
        names.add(threading.current_thread().name)
        if number < 2:
            meeting.wait(LONGEST)
        return number

    futures = [threads.submit(work, number) for number in range(10)]
    assert [future.result(LONGEST) for future in futures] == list(range(10))
    assert names == {"tomada handler 1", "tomada handler 2"}
    threads.shutdown()
    for thread in threading.enumerate():
        if thread.name in names:
            thread.join(LONGEST)
    assert not names & {thread.name for thread in threading.enumerate()}
    with pytest.raises(RuntimeError, match="have been closed"):
        threads.submit(work, 1)


def test_what_work_raises_is_the_futures() -> None:
    threads = Threads(1)

    def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        threads.submit(leave).result(LONGEST)
    assert threads.submit(int, "7").result(LONGEST) == 7
    threads.shutdown()


def test_work_that_is_cancelled_before_its_turn_is_forgotten_at_once() -> None:
    threads = Threads(1)
    busy, leave = threading.Event(), threading.Event()

    def work() -> bool:
        busy.set()
        return leave.wait(LONGEST)

    first = threads.submit(work)
    assert busy.wait(LONGEST)
    others: list[Future[bool]] = [threads.submit(work) for _ in range(1_000)]
    assert all(other.cancel() for other in others)
    assert len(threads._work) == 0
    assert not first.cancel()
    leave.set()
    assert first.result(LONGEST)
    threads.shutdown()
