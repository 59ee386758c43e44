from __future__ import annotations

import asyncio
import logging

import pytest

from tests.timeless import TimelessLoop
from tomada.telemetry import (
    ChildEnded,
    ConnectionEnded,
    Event,
    HandshakeEnded,
    LimitStruck,
    Outcome,
    emit,
    subscribe,
    throttle,
)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(throttle, "monotonic", clock)
    return clock


def struck(limit: str = "handshakes", where: str = "192.0.2.1") -> LimitStruck:
    return LimitStruck(limit=limit, allowed=7, outcome=Outcome.DROPPED, where=where)


def failed(number: int) -> HandshakeEnded:
    return HandshakeEnded(
        address="tcp://:1", peer=f"tcp://192.0.2.1:{number}", seconds=0, reason="rubbish", is_wrong=True
    )


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_one_line_for_each_limit_and_second(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    told: list[Event] = []
    with subscribe(told.append, LimitStruck):
        for number in range(500):
            emit(struck(where=f"192.0.2.{number % 4}"))
        emit(struck("connections"))
    assert len(told) == 501
    assert lines(caplog) == [
        "192.0.2.0: dropped: the limit handshakes is 7",
        "192.0.2.1: dropped: the limit connections is 7",
    ]
    clock.now += 2.5
    emit(struck(where="192.0.2.9"))
    assert lines(caplog)[2:] == [
        "192.0.2.3: dropped: the limit handshakes is 7; and 498 more like this within 2.5 s",
        "192.0.2.9: dropped: the limit handshakes is 7",
    ]


def test_ten_lines_for_children_that_die_in_a_second(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """Who has found how to crash a child does not fill the disk with it."""
    for pid in range(500):
        emit(ChildEnded(pid=pid, seconds=0, reason="was killed", is_wrong=True, connections=1))
    assert lines(caplog) == [f"child {pid}: was killed" for pid in range(10)]
    clock.now += 2
    emit(ChildEnded(pid=500, seconds=0, reason="was killed", is_wrong=True, connections=1))
    assert lines(caplog)[10] == "child 499: was killed; and 489 more like this within 2.0 s"


def test_in_a_loop_those_that_waited_are_told_when_the_second_is_over(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        for second in range(3):
            for _ in range(100):
                emit(struck())
            clock.now += 1
            await asyncio.sleep(1.001)
            assert len(lines(caplog)) == second + 2
        clock.now += 1
        await asyncio.sleep(5)

    loop = TimelessLoop()
    loop.run_until_complete(main())
    loop.close()
    text = "192.0.2.1: dropped: the limit handshakes is 7"
    assert lines(caplog) == [
        text,
        f"{text}; and 98 more like this within 1.0 s",
        f"{text}; and 99 more like this within 1.0 s",
        f"{text}; and 99 more like this within 1.0 s",
    ]


def test_a_loop_that_ends_takes_no_line_along(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        emit(struck())
        emit(struck())

    loop = TimelessLoop()
    loop.run_until_complete(main())
    loop.close()
    clock.now += 9
    emit(struck())
    assert len(lines(caplog)) == 3


def test_failed_handshakes_have_ten_lines_a_second(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(1_000):
        emit(failed(number))
    assert len(lines(caplog)) == 10
    assert lines(caplog)[9] == "tcp://192.0.2.1:9: refused: rubbish"
    clock.now += 1
    emit(failed(1_000))
    assert lines(caplog)[10] == "tcp://192.0.2.1:999: refused: rubbish; and 989 more like this within 1.0 s"
    assert len(lines(caplog)) == 12


@pytest.mark.parametrize(("is_wrong", "count"), [(True, 100), (False, 300)])
def test_only_ends_that_are_wrong_are_counted_together(
    clock: Clock, caplog: pytest.LogCaptureFixture, *, is_wrong: bool, count: int
) -> None:
    caplog.set_level(logging.DEBUG, "tomada")
    event = ConnectionEnded(
        peer="tcp://192.0.2.1:1",
        kind="messages",
        accepted=True,
        seconds=1,
        reason="gone",
        is_wrong=is_wrong,
        received_bytes=0,
        sent_bytes=0,
    )
    for _ in range(300):
        emit(event)
    assert len(lines(caplog)) == count
    assert clock.now == 100


def test_what_is_not_read_is_not_counted(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "tomada"):
        for _ in range(50):
            emit(struck())
    emit(struck())
    assert lines(caplog) == ["192.0.2.1: dropped: the limit handshakes is 7"]
    assert clock.now == 100
