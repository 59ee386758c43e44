"""Recordings that somebody else has written: cut, random, huge; each gives drawings, or a typed error."""

from __future__ import annotations

import json
import random
from binascii import b2a_base64
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tomada
from tests.integration.conftest import Run, _loops_have_what_they_keep, run
from tests.recording.bank import Bank, Transfer, bank, read, take, texts
from tomada.errors import RecordingError
from tomada.recording.messages import Messages

__all__ = ["_loops_have_what_they_keep", "run"]

WIRE = {
    "kind": "wire",
    "pid": 1,
    "wire": 1,
    "at": 5,
    "role": "accepting",
    "here": "a",
    "there": "b",
    "keep": 256,
    "begins": True,
}


def draw(messages: Messages) -> None:
    """Make all drawings."""
    messages.sequence()
    messages.timeline()
    if messages.ends:
        for end in messages.ends[:3]:
            messages.states(end.number)
    else:
        with pytest.raises(RecordingError):
            messages.states()


@pytest.fixture
def recorded(run: Run, tmp_path: Path) -> Path:
    """A recording of a few messages."""
    file = tmp_path / "recording"

    async def main() -> None:
        with tomada.record(file):
            serving = tomada.serve(bank(Bank()), "tcp://127.0.0.1:0")
            async with serving as server, tomada.connect(server.addresses[0]) as client:
                for number in range(5):
                    await client.ask(Transfer("ana", "rui", number))

    run(main())
    return file


def test_a_recording_that_is_cut_anywhere_is_read_up_to_there(recorded: Path, tmp_path: Path) -> None:
    whole = recorded.read_bytes()
    first = whole.index(b"\n") + 1
    cut = tmp_path / "cut"
    seen = set()
    for place in range(first, len(whole), 997):
        cut.write_bytes(whole[:place])
        messages = read(cut)
        draw(messages)
        seen.add(len(texts(messages.sequence())))
    assert len(seen) > 3


def test_lines_that_were_changed_do_no_harm(recorded: Path, tmp_path: Path) -> None:
    chance = random.Random(7)
    whole = recorded.read_bytes()
    first = whole.index(b"\n") + 1
    changed = tmp_path / "changed"
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 40)):
            data[chance.randrange(first, len(data))] = chance.randrange(256)
        changed.write_bytes(data)
        draw(read(changed))


def test_lines_that_are_missing_are_told(recorded: Path, tmp_path: Path) -> None:
    lines = recorded.read_text().splitlines(keepends=True)
    kept = [line for number, line in enumerate(lines) if number < 14 or number % 3]
    missing = tmp_path / "missing"
    missing.write_text("".join(kept))
    messages = read(missing)
    draw(messages)
    assert any("something is missing" in note for note in messages.sequence().notes)


VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
@given(
    st.lists(
        st.fixed_dictionaries(
            {"kind": st.sampled_from(["wire", "frames", "types", "gone", "event", "tomada", "other"])},
            optional={
                "pid": st.just(1) | VALUES,
                "wire": st.just(1) | VALUES,
                "at": st.integers(0, 100) | VALUES,
                "way": st.sampled_from(["in", "out"]) | VALUES,
                "offset": st.integers(0, 100) | VALUES,
                "length": st.integers(0, 1 << 40) | VALUES,
                "old": st.integers(0, 100) | VALUES,
                "old_kept": st.integers(0, 100) | VALUES,
                "data": st.binary(max_size=60).map(lambda data: b2a_base64(data).decode()) | VALUES,
                "name": st.just("SessionResumed") | VALUES,
                "fields": st.dictionaries(st.text(max_size=5), VALUES, max_size=3) | VALUES,
                "types": st.just([["Note", "message", ["text"]]]) | VALUES,
                "id": st.just("x") | VALUES,
                "role": st.sampled_from(["accepting", "connecting"]) | VALUES,
                "session": st.just("00ff") | VALUES,
                "own": st.just("x") | VALUES,
                "state": st.sampled_from(["lost", "closed", "open"]) | VALUES,
            },
        )
    )
)
def test_records_of_any_kind_are_drawn_or_passed_over(records: list[dict[str, Any]]) -> None:
    draw(take(Messages(), [json.loads(json.dumps(one)) for one in (WIRE, *records)]))


def test_a_recording_of_very_many_frames_is_read_in_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tomada.recording.wires.MOST_FRAMES", 100)
    frame = b2a_base64(bytes.fromhex("00000000030200000000000000000001") * 50).decode()
    records = [
        {"kind": "frames", "pid": 1, "wire": 1, "at": at, "way": "in", "offset": at * 800, "length": 800, "data": frame}
        for at in range(40)
    ]
    messages = take(Messages(), [WIRE, *records])
    sequence = messages.sequence()
    assert len(sequence.steps) <= 2 * 200 * 1_000
    assert messages.wires.left_out > 0
    assert any("left out" in note for note in sequence.notes)
