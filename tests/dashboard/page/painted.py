"""What the scenery shows: the same each time."""

from __future__ import annotations

import time

from tomada.feed.messages import ConnectionRow, FrameRow, LogLine, Strike, TypeRow, WorkerRow

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=alert(1)>"
SPECIAL = 3
"""The connection of this number has a name that is markup; the one after it is a byte stream."""
_BEGAN = time.time() - 8
_STATES = ("open", "open", "open", "draining", "resuming")


def connection_at(number: int) -> ConnectionRow:
    """One of many."""
    is_stream = number == SPECIAL + 1
    return ConnectionRow(
        id=f"100-{number}",
        worker=number % 3 + 1,
        peer=HOSTILE if number == SPECIAL else f"tcp://10.0.{number // 250}.{number % 250}:{40_000 + number}",
        kind="stream" if is_stream else "messages",
        state="open" if is_stream else _STATES[number % len(_STATES)],
        address="tcp://127.0.0.1:4477",
        age=float(number),
        received_messages=10 * number,
        sent_messages=11 * number,
        received_bytes=4_000 * number,
        sent_bytes=5_000 * number,
        received_rate=float(number % 400),
        sent_rate=float(number % 300),
        waiting_bytes=100_000 * (number % 11),
        unacknowledged_bytes=60_000 * (number % 7),
        held_bytes=30_000 * (number % 5),
        credit_bytes=1_048_576,
        round_trip=None if number % 9 == 0 else 0.0003 * (number % 50 + 1),
        handlers=number % 4,
        requests=number % 6,
        resumed=number % 3,
        software=HOSTILE if number == SPECIAL else "tomada (Python)",
    )


def types_at(seconds: float) -> list[TypeRow]:
    """Of all speeds."""
    handled = int(seconds)
    return [
        TypeRow("Transfer", handled * 900, 900.0, 12, 0.2, 0.0012, 0.0091),
        TypeRow("Balance", handled * 4_000, 4_000.0, 0, 0.0, 0.00008, 0.0004),
        TypeRow("Report", handled // 9, 0.1, 3, 0.05, 2.4, 19.0),
        TypeRow(HOSTILE, handled, 1.0, 0, 0.0, None, None),
    ]


def workers_at(drained: set[int]) -> list[WorkerRow]:
    """Three, of which one is busy."""
    rows = ((1, 0.42, "serving"), (2, 0.97, "serving"), (3, 0.05, "draining"))
    return [
        WorkerRow(number, 5_000 + number, 4_000.0, "draining" if number in drained else state, 5_000, load, 90_000_000)
        for number, load, state in rows
    ]


def strikes_at() -> list[Strike]:
    """Two."""
    return [
        Strike("limit", "buffer_bytes", 1_048_576, 41, HOSTILE, 12.0),
        Strike("deadline", "handshake", 5.0, 1_240, "tcp://10.0.0.9:50123", 2.0),
    ]


def log_at(after: int, seconds: float) -> list[LogLine]:
    """A line a second; some numbers are passed over."""
    lines = [
        LogLine(second + second // 7, _BEGAN + second, _level(second), _text(second), second % 3 + 1)
        for second in range(int(seconds) + 8)
    ]
    return [line for line in lines if line.number >= after][-100:]


def _level(second: int) -> str:
    return {0: "INFO", 3: "WARNING", 5: "ERROR"}.get(second % 8, "INFO")


def _text(second: int) -> str:
    return f"tcp://10.0.0.9: {HOSTILE}" if second % 8 == 5 else f"tcp://127.0.0.1:4477: line {second}"


def frames_at(after: int) -> list[FrameRow]:
    """A dozen of every kind in the first picture, then some in each."""
    count = 14 if after == 0 else 3
    return [_frame_at(number) for number in range(after, after + count)]


_KINDS = (
    ("ask", True, "Transfer", 1, "normal"),
    ("reply", False, "Receipt", 1, "normal"),
    ("ask", True, "Balance", 3, "urgent"),
    ("error", False, "UnknownAccount", 3, "urgent"),
    ("send", True, HOSTILE, 0, "normal"),
    ("acknowledge", False, "", 0, "control"),
    ("ask", False, "Confirm", 2, "normal"),
    ("reply", True, "bool", 2, "normal"),
    ("ask", True, "Ticks", 5, "normal"),
    ("item", False, "Tick", 5, "normal"),
    ("item", False, "Tick", 5, "normal"),
    ("end", False, "", 5, "normal"),
    ("ping", True, "", 0, "control"),
    ("pong", False, "", 0, "control"),
)


def _frame_at(number: int) -> FrameRow:
    kind, is_received, name, request, lane = _KINDS[number % len(_KINDS)]
    turn = number // len(_KINDS)
    return FrameRow(
        at=turn * 1.9 + (number % len(_KINDS)) * 0.004,
        is_received=is_received,
        kind=kind,
        name=name,
        id=request + 100 * turn if request else 0,
        lane=lane,
        sequence=number,
        size=24 + 7 * (number % 50),
        count=240 if number % len(_KINDS) == 10 else 1,
        is_repeated=number % len(_KINDS) == 4,
    )
