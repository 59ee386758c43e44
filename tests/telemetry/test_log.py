"""The log, which is a subscriber like any other."""

from __future__ import annotations

import logging

import pytest

from tomada.telemetry import (
    AcceptFailed,
    AcceptResumed,
    ChildEnded,
    ChildStarted,
    CommitFailed,
    CommitResumed,
    ConnectionEnded,
    DeadlineStruck,
    Event,
    HandshakeEnded,
    LimitStruck,
    ListenerClosed,
    ListenerOpened,
    LoopBlocked,
    Outcome,
    Reloaded,
    SessionEvicted,
    WorkerEnded,
    WorkerStarted,
    emit,
    log,
)

ADVICE = ": let it wait with await, or make it a plain def, which runs in a thread"
HERE, PEER = "tcp://127.0.0.1:4477", "tcp://192.0.2.1:9"

LINES: list[tuple[Event, int, str]] = [
    (ListenerOpened(address=HERE), logging.DEBUG, f"{HERE}: listening"),
    (ListenerClosed(address=HERE), logging.DEBUG, f"{HERE}: not listening any more"),
    (
        AcceptFailed(address=HERE, reason="too many open files"),
        logging.ERROR,
        f"{HERE}: no connection can be accepted: too many open files",
    ),
    (
        AcceptResumed(address=HERE, seconds=2.04, dropped=3),
        logging.WARNING,
        f"{HERE}: connections are accepted again after 2.0 s; 3 were dropped",
    ),
    (HandshakeEnded(address=HERE, peer=PEER, seconds=0.0125), logging.DEBUG, f"{PEER}: shook hands in 12.5 ms"),
    (
        HandshakeEnded(address=HERE, peer=PEER, seconds=5, reason="no handshake within 5 s", is_wrong=True),
        logging.WARNING,
        f"{PEER}: refused: no handshake within 5 s",
    ),
    (
        HandshakeEnded(address=HERE, peer=PEER, seconds=5, reason="the server stops"),
        logging.DEBUG,
        f"{PEER}: refused: the server stops",
    ),
    (
        ConnectionEnded(
            peer=PEER,
            kind="messages",
            accepted=True,
            seconds=61.04,
            reason="closed at this end",
            is_wrong=False,
            received_bytes=12_345,
            sent_bytes=7,
            received_messages=2_000,
            sent_messages=1,
        ),
        logging.DEBUG,
        f"{PEER}: closed: closed at this end (61.0 s, 12,345 bytes in, 7 out; 2,000 messages in, 1 out)",
    ),
    (
        ConnectionEnded(
            peer=PEER,
            kind="stream",
            accepted=True,
            seconds=1,
            reason="reset",
            is_wrong=True,
            received_bytes=1,
            sent_bytes=2,
        ),
        logging.WARNING,
        f"{PEER}: closed: reset (1.0 s, 1 bytes in, 2 out)",
    ),
    (
        LimitStruck(limit="connections", allowed=10_000, outcome=Outcome.REFUSED, where=PEER),
        logging.WARNING,
        f"{PEER}: refused: the limit connections is 10,000",
    ),
    (
        DeadlineStruck(deadline="idle", seconds=300.0, peer=PEER),
        logging.DEBUG,
        f"{PEER}: the deadline idle of 300 s has passed",
    ),
    (
        LoopBlocked(handler="slow()", place="app.py:3", seconds=0.25, is_over=True),
        logging.WARNING,
        f"slow() kept the event loop to itself for 0.25 s, at app.py:3{ADVICE}",
    ),
    (
        LoopBlocked(handler="slow()", place="app.py:3", seconds=1, is_over=False),
        logging.WARNING,
        f"slow() still keeps the event loop to itself for 1.00 s, at app.py:3{ADVICE}",
    ),
    (ChildStarted(pid=7), logging.DEBUG, "child 7: ready"),
    (
        ChildEnded(pid=7, seconds=1, reason="killed by SIGSEGV", is_wrong=True, connections=1),
        logging.WARNING,
        "child 7: killed by SIGSEGV",
    ),
    (WorkerStarted(number=1, pid=8, seconds=0.51), logging.INFO, "worker 1 (8): accepts, after 0.5 s"),
    (
        WorkerEnded(number=1, pid=8, seconds=2, reason="drained", is_wrong=False),
        logging.INFO,
        "worker 1 (8): drained, after 2.0 s",
    ),
    (
        SessionEvicted(store="memory", reason="most", sessions=1_200),
        logging.WARNING,
        "memory: dropped for its bound most: the 1,200 longest untouched of its sessions",
    ),
    (
        SessionEvicted(store="memory", reason="keep", sessions=2),
        logging.DEBUG,
        "memory: dropped for its bound keep: the 2 longest untouched of its sessions",
    ),
    (
        CommitFailed(store="sqlite:///s", reason="the disk is full", waiting_bytes=12_000),
        logging.ERROR,
        "sqlite:///s: sessions cannot be stored, it is tried again: the disk is full (12,000 bytes wait)",
    ),
    (
        CommitResumed(store="sqlite:///s", seconds=2.04),
        logging.WARNING,
        "sqlite:///s: sessions are stored again after 2.0 s",
    ),
    (Reloaded(seconds=0.31), logging.INFO, "reloaded in 0.3 s"),
    (Reloaded(seconds=0.3, reason="SyntaxError"), logging.ERROR, "not reloaded: SyntaxError"),
]


@pytest.mark.parametrize(("event", "level", "line"), LINES, ids=lambda value: type(value).__name__)
def test_an_event_is_a_line_and_the_record_carries_it(
    caplog: pytest.LogCaptureFixture, event: Event, level: int, line: str
) -> None:
    caplog.set_level(logging.DEBUG, "tomada")
    emit(event)

    (record,) = caplog.records
    assert (record.name, record.levelno, record.getMessage()) == ("tomada", level, line)
    assert vars(record)["event"] is event


def test_every_line_is_tested() -> None:
    assert {type(event) for event, _, _ in LINES} == set(log._LINES)


def test_what_is_not_wanted_is_not_put_into_words(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "tomada")
    for event, level, _ in LINES:
        if level < logging.ERROR:
            emit(event)

    assert caplog.records == []
