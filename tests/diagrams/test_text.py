from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.diagrams import scenes
from tests.diagrams.test_fold import sequences
from tomada.diagrams import Lane, Place, Sequence, StateDiagram, Step, Timeline, Transition
from tomada.diagrams.cleaning import width_of
from tomada.diagrams.text import sequence_text, states_text, timeline_text
from tomada.diagrams.text.lanes import shared

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
WIDTHS = [40, 80, 200]

ECHO = """\
server.py with client.py
3 lanes · 14 steps · 1.70 s · 10 bytes arrived

         server.py (4711) ─────────────────────────────────────────  client.py (4712) ───────────
         TCP 127.0.0.1:4477            TCP …:4477 ← …:50312          TCP 127.0.0.1:50312
      s  socket 1                      socket 2, accepted            socket 1
"""


def lines_of(text: str) -> list[str]:
    return COLOUR.sub("", text).splitlines()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_no_line_is_too_long_and_no_byte_of_others_is_obeyed(width: int, colour: bool, ascii_only: bool) -> None:  # noqa: FBT001 - cases
    how: dict[str, Any] = {"width": width, "colour": colour, "ascii_only": ascii_only}
    for text in (
        sequence_text(scenes.hostile(), **how),
        sequence_text(scenes.forking(), **how),
        sequence_text(scenes.forking(1), **how),
        states_text(scenes.hostile_states(), **how),
        timeline_text(scenes.hostile_timeline(), **how),
        timeline_text(scenes.connections(3_000), **how),
    ):
        lines = lines_of(text) if colour else text.splitlines()
        assert all(line.isprintable() for line in lines)
        assert max(width_of(line) for line in lines) <= width
        assert text.isascii() or not ascii_only
        assert text.endswith("\n")


@settings(deadline=None, max_examples=60)
@given(sequences(most_lanes=8), st.integers(0, 120))
def test_whatever_happened_it_can_be_shown(sequence: Sequence, width: int) -> None:
    text = sequence_text(sequence, width=width)

    assert all(width_of(line) <= max(width, 40) for line in text.splitlines())


def test_colour_changes_nothing_but_colour() -> None:
    plain, coloured = (sequence_text(scenes.echo(), width=100, colour=colour) for colour in (False, True))

    assert COLOUR.sub("", coloured) == plain
    assert coloured != plain


def test_lanes_are_columns_below_their_processes() -> None:
    assert sequence_text(scenes.echo(), width=100).startswith(ECHO)


def test_a_wait_is_a_bar_until_the_arrow_comes_that_ends_it() -> None:
    lines = lines_of(sequence_text(scenes.echo(), width=100))

    begin = next(at for at, line in enumerate(lines) if "accept() waits" in line)
    end = next(at for at, line in enumerate(lines) if "accept → from" in line)
    column = lines[begin].index("○")
    assert {line[column] for line in lines[begin + 1 : end]} == {"┃"}
    assert lines[end + 1].strip().startswith("┃◀─ connects ─")
    assert lines[end + 1].endswith("┤")
    assert lines[end + 2][column] == "│"


def test_arrows_run_both_ways_and_say_how_much() -> None:
    text = sequence_text(scenes.echo(), width=100)

    assert re.search(r"├── 5 B ─+▶● recv → 5 bytes, waited 500 µs", text)
    assert re.search(r"◀─ 5 B ─+┤", text)
    assert re.search(r"● sendall\(5 bytes\) “hello”", text)


def test_states_are_shown_where_they_change() -> None:
    states = re.findall(r"\[(.+?)\]", sequence_text(scenes.echo(), width=200))

    assert states[:7] == ["created", "bound", "listening", "created", "connected", "connected", "closed"]
    assert states[7:] == ["peer closed", "closed", "closed"]


def test_what_has_not_ended_is_said() -> None:
    assert "Balance has not ended" in sequence_text(scenes.busy(10), width=100)


def test_with_too_many_lanes_it_is_a_list_that_names_them() -> None:
    lines = lines_of(sequence_text(scenes.forking(4), width=100))

    assert "fork_server.py (100)" in lines
    assert "   1  TCP 0.0.0.0:4477 socket 1" in lines
    assert any(re.fullmatch(r" +10\.\d+ +1 ┃○? ?● accept → from .* ◀─ 3: connects", line) for line in lines) or any(
        "accept → from ('127.0.0.1', 50000)" in line and line.endswith("◀─ 3: connects") for line in lines
    )


def test_a_fold_and_a_cut_are_said() -> None:
    steps = tuple(
        Step(lane=0, begun=at, ended=at, text="ab"[at * at % 7 % 2] * (at % 11 + at % 13)) for at in range(900)
    )
    cut = sequence_text(Sequence(title="t", lanes=(Lane(group="a", title="1"),), steps=steps), most=100)

    assert "⋯ 800 steps from 50.0 s to 14 min 9 s left out ⋯" in cut
    assert "Note: In the middle 800 steps" in cut
    assert "×10,000" in sequence_text(scenes.busy())


def test_a_cut_is_said_in_a_list_as_well() -> None:
    lanes = tuple(Lane(group="a", title=str(number)) for number in range(9))
    steps = tuple(
        Step(lane=at % 9, begun=at, ended=at, text="ab"[at * at % 7 % 2] * (at % 11 + at % 13)) for at in range(900)
    )

    lines = sequence_text(Sequence(title="t", lanes=lanes, steps=steps), width=80, most=100).splitlines()

    assert any("⋯ 800 steps from 50.0 s to 14 min 9 s left out ⋯" in line for line in lines)
    assert sum(line.split()[:2] == ["+1.00", "s"] for line in lines) > 90


def test_an_error_is_told_by_a_sign() -> None:
    assert "✗ connect(('127.0.0.1', 9)) → ConnectionRefusedError" in sequence_text(scenes.refused(), width=100)
    assert "X connect(('127.0.0.1', 9))" in sequence_text(scenes.refused(), width=100, ascii_only=True)
    assert "\x1b[0;1;31m✗" in sequence_text(scenes.refused(), width=100, colour=True)


def test_long_gaps_are_said() -> None:
    assert any(line.startswith(" +1.20 s │") for line in lines_of(sequence_text(scenes.echo(), width=100)))


def test_nothing_is_drawn_as_nothing() -> None:
    assert sequence_text(Sequence(title="t", lanes=(), steps=())).startswith("t\n0 lanes · 0 steps · 0 µs\n")
    assert timeline_text(Timeline(title="t", ended=0, rows=())).startswith("t\n0 rows")


def test_lanes_share_the_room_there_is() -> None:
    assert shared({0: 20, 1: 30}, 100) == {0: 20, 1: 30}
    assert shared({0: 20, 1: 50, 2: 60}, 90) == {0: 20, 1: 35, 2: 35}
    assert shared({0: 50, 1: 50}, 10) == {0: 14, 1: 14}


def test_the_states_tell_the_path_first() -> None:
    drawing = scenes.session()
    assert isinstance(drawing, StateDiagram)

    lines = lines_of(states_text(drawing, width=80))

    assert lines[1] == "5 states · 5 of 10 transitions taken · now closed"
    at = lines.index("  open  4 visits")
    assert lines[at + 1] == "    2. ━━▶ open    ping"
    assert lines[at + 2] == "    3. ━━▶ lost    connection lost ×2"
    assert lines[at + 4] == "       ──▶ failed  violation"
    assert "> closed  end, now, 1 visit" in lines
    assert "    The connection is lost, and the session kept." in lines


def test_states_with_wide_or_long_names_stand_in_columns_and_say_what_is_cut() -> None:
    names = ("一", "日本語", "z" * 70)
    places = tuple(Place(name=name) for name in names)
    moves = tuple(Transition(source="一", target=name, text="m" * 60, taken=2) for name in names)
    diagram = StateDiagram(title="t", start="一", places=places, transitions=moves)

    lines = [line for line in lines_of(states_text(diagram, width=70)) if "━━▶" in line]

    assert len({width_of(line.partition("m")[0]) for line in lines}) == 1
    assert all(line.endswith("m… ×2") for line in lines)
    assert "z… " in lines[2]


def test_what_tells_connections_apart_is_not_cut_off() -> None:
    titles = [f"TCP 127.0.0.1:38123 with 127.0.0.1:{port}, fd 4" for port in (55_290, 55_296)]

    lines = lines_of(timeline_text(scenes.rows_called(tuple(titles)), width=80))

    assert [line for line in lines if ":55290, fd 4" in line]
    assert [line for line in lines if ":55296, fd 4" in line]


def test_of_a_summary_that_is_too_long_the_data_is_cut_first() -> None:
    step = Step(lane=0, begun=0, ended=1, text="sendall(… bytes)", data="GET / " * 30, size=99, count=4)

    text = sequence_text(Sequence(title="t", lanes=(Lane(group="g", title="l"),), steps=(step,)), width=60)

    assert "×4 sendall(… bytes) → 99 B in 1.00 s “GET / " in text


def test_a_timeline_shows_when_each_was_open_and_how_much_it_carried() -> None:
    lines = lines_of(timeline_text(scenes.connections(), width=100))

    (goes_on,) = [line for line in lines if "50003" in line]
    (failed,) = [line for line in lines if "50005" in line]
    assert re.search(r"░█+ +↑ 8\.81 KiB +↓ 205 KiB", goes_on)
    assert "╳" in failed
    assert "✗" in failed
    assert "client.py (90)" in lines
