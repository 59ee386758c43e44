from __future__ import annotations

import time

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.diagrams import scenes
from tomada.diagrams import Arrow, Lane, Mark, Row, Sequence, Span, Step, Timeline, Tone
from tomada.diagrams.condense import MOST_MARKS, MOST_SPANS, condense
from tomada.diagrams.fold import LEAST_REPEATS, fold
from tomada.diagrams.gather import ENOUGH_LANES, MOST_LANES, gather
from tomada.diagrams.picture import picture_of


def sums(sequence: Sequence) -> tuple[int, int, int, int]:
    """What no summary may change: how many steps and arrows, and their bytes."""
    return (
        sum(step.count for step in sequence.steps),
        sum(step.size for step in sequence.steps),
        sum(arrow.count for arrow in sequence.arrows),
        sum(arrow.size for arrow in sequence.arrows),
    )


def on_one_lane(texts: str, **fields: object) -> Sequence:
    steps = tuple(
        msgspec.structs.replace(Step(lane=0, begun=at, ended=at + 0.5, text=text, size=1), **fields)
        for at, text in enumerate(texts)
    )
    return Sequence(title="t", lanes=(Lane(group="g", title="l"),), steps=steps)


@st.composite
def sequences(draw: st.DrawFn, most_lanes: int = 30) -> Sequence:
    """Any sequence, with a lot in it that repeats."""
    lanes = tuple(
        Lane(group=f"p ({lane // 2})", title=f"TCP {lane}") for lane in range(draw(st.integers(1, most_lanes)))
    )
    pattern = draw(st.lists(st.sampled_from(["recv(1)", "recv(22)", "send", "poll"]), min_size=1, max_size=5))
    steps = tuple(
        Step(
            lane=draw(st.integers(0, len(lanes) - 1)) if at % 7 == 0 else at % len(lanes),
            begun=at * 0.1,
            ended=None if draw(st.integers(0, 40)) == 0 else at * 0.1 + 0.05,
            text=pattern[at % len(pattern)],
            size=draw(st.integers(0, 9)),
            tone=Tone.FAILED if draw(st.integers(0, 30)) == 0 else Tone.PLAIN,
            count=draw(st.sampled_from([1, 1, 1, 5])),
        )
        for at in range(draw(st.integers(1, 90)))
    )
    ends = draw(st.lists(st.tuples(st.integers(0, len(steps) - 1), st.integers(0, len(steps) - 1)), max_size=30))
    arrows = tuple(Arrow(source=source, target=target, size=source, count=1 + target % 3) for source, target in ends)
    return Sequence(title="t", lanes=lanes, steps=steps, arrows=arrows)


@settings(deadline=None)
@given(sequences())
def test_folding_keeps_the_totals(sequence: Sequence) -> None:
    assert sums(fold(sequence)) == sums(sequence)


@settings(deadline=None)
@given(sequences())
def test_gathering_lanes_keeps_the_totals(sequence: Sequence) -> None:
    gathered = gather(sequence)

    assert sums(gathered) == sums(sequence)
    assert len(gathered.lanes) <= MOST_LANES or len(sequence.lanes) <= MOST_LANES


@settings(deadline=None)
@given(sequences())
def test_a_picture_shows_all_steps_or_says_how_many_it_does_not(sequence: Sequence) -> None:
    picture = picture_of(sequence, most=10)

    shown, all_of_them = sums(picture.sequence)[0], sums(sequence)[0]
    assert len(picture.sequence.steps) <= 10
    assert (picture.cut is None) == (shown == all_of_them)
    if picture.cut is not None:
        assert picture.missing.startswith(f"{all_of_them - shown:,} step")
        assert any(picture.missing in note for note in picture.sequence.notes)


@settings(deadline=None)
@given(sequences())
def test_steps_are_still_by_the_time_they_began_and_arrows_between_their_lanes(sequence: Sequence) -> None:
    folded = fold(sequence)

    assert [step.begun for step in folded.steps] == sorted(step.begun for step in folded.steps)
    lanes = {(sequence.steps[arrow.source].lane, sequence.steps[arrow.target].lane) for arrow in sequence.arrows}
    assert {(folded.steps[arrow.source].lane, folded.steps[arrow.target].lane) for arrow in folded.arrows} == lanes


@pytest.mark.parametrize(
    ("texts", "folded"),
    [
        ("aaaaaa", [("a", 6)]),
        ("abababab", [("a", 4), ("b", 4)]),
        ("xabcabcabcabcy", [("x", 1), ("a", 4), ("b", 4), ("c", 4), ("y", 1)]),
        ("abab", [("a", 1), ("b", 1), ("a", 1), ("b", 1)]),
        ("abcdefgh" * 5, [(text, 5) for text in "abcdefgh"]),
        ("abcdefghi" * 2, [(text, 1) for text in "abcdefghi" * 2]),
        ("aaaabbbb", [("a", 4), ("b", 4)]),
    ],
)
def test_a_pattern_that_comes_again_is_drawn_once(texts: str, folded: list[tuple[str, int]]) -> None:
    assert [(step.text, step.count) for step in fold(on_one_lane(texts)).steps] == folded


def test_the_summary_says_when_how_much_and_what_all_had_in_common() -> None:
    steps = tuple(
        Step(lane=0, begun=at, ended=at + 0.5, text=f"recv({at})", result=f"{at} bytes of 9", data=f"d{at}", size=at)
        for at in range(1, 9)
    )

    (one,) = fold(Sequence(title="t", lanes=(Lane(group="g", title="l"),), steps=steps)).steps

    assert one == Step(lane=0, begun=1, ended=8.5, text="recv(…)", result="… bytes of 9", data="d1", size=36, count=8)


@pytest.mark.parametrize(
    "change", [{"tone": Tone.FAILED}, {"ended": None}, {"state": "closed"}, {"text": "send"}, {"result": "x"}]
)
def test_what_differs_is_not_folded(change: dict[str, object]) -> None:
    steps = list(on_one_lane("a" * 7).steps)
    steps[3] = msgspec.structs.replace(steps[3], **change)
    sequence = Sequence(title="t", lanes=(Lane(group="g", title="l"),), steps=tuple(steps))

    assert fold(sequence) == sequence


def test_a_note_says_what_was_folded_and_there_is_none_where_nothing_was() -> None:
    assert fold(on_one_lane("ab")).notes == ()
    assert fold(on_one_lane("x" + "ab" * LEAST_REPEATS)).notes == (
        "Repeated exchanges are folded: 8 steps of 9 are drawn as 2, marked ×.",
    )


def test_both_ends_of_an_exchange_are_folded_whatever_the_order_by_chance() -> None:
    folded = fold(scenes.busy(1_000))

    assert [(step.lane, step.text, step.count) for step in folded.steps][1:5] == [
        (1, "Transfer", 1_000),
        (0, "Transfer", 1_000),
        (0, "reply to Transfer", 1_000),
        (1, "reply to Transfer", 1_000),
    ]
    assert [arrow.count for arrow in folded.arrows] == [1_000, 1_000, 1]


def test_connections_that_did_the_same_share_a_lane() -> None:
    picture = picture_of(scenes.forking(500))

    assert len(picture.sequence.lanes) <= ENOUGH_LANES
    (child,) = [lane for lane in picture.sequence.lanes if lane.detail == "500 alike" and "fork" in lane.group]
    assert child.group == "fork_server.py (…) ×500"
    assert child.title == "TCP …:4477 ← …:…"
    assert picture.sequence.notes[-1] == (
        "1,000 of 1,001 lanes did the same as others: each kind is drawn as one lane."
    )


def test_a_short_sequence_is_drawn_as_it_was() -> None:
    assert len(picture_of(on_one_lane("a" * 60)).sequence.steps) == 60
    assert len(picture_of(on_one_lane("a" * 61)).sequence.steps) == 1


def test_a_hundred_thousand_steps_take_seconds() -> None:
    sequence = scenes.busy(25_000)
    begun = time.process_time()

    picture_of(sequence)

    assert time.process_time() - begun < 20  # a tenth of a second here: what grows as the square takes minutes


def test_rows_that_are_too_many_share_some_and_keep_the_totals() -> None:
    timeline = scenes.connections(3_000)

    shown = condense(timeline, 100)

    assert len(shown.rows) <= 101
    assert sum(row.sent for row in shown.rows) == sum(row.sent for row in timeline.rows)
    assert sum(row.received for row in shown.rows) == sum(row.received for row in timeline.rows)
    assert shown.notes == (
        "3,000 rows are too many for one picture: up to 31 neighbours share one. JSON lines (.jsonl) have all.",
    )
    assert condense(scenes.connections(), 100) == scenes.connections()


def test_a_row_that_stands_for_several_shows_when_one_was_open_and_each_failure() -> None:
    timeline = scenes.connections(3_000)
    row = condense(timeline, 100).rows[0]

    opened = [span for span in row.spans if span.text == "open"]
    assert len(opened) == 1
    assert opened[0].begun == timeline.rows[0].spans[-1].begun or opened[0].begun < 0.1
    assert [mark.text for mark in row.marks] == ["ConnectionRefusedError"] * len(row.marks)
    assert row.marks


def test_lanes_that_are_too_many_and_all_different_share_one_at_the_end() -> None:
    lanes = tuple(Lane(group="g", title="x" * number) for number in range(30))
    steps = tuple(Step(lane=number % 30, begun=number, ended=number, text="call", size=1) for number in range(90))
    sequence = Sequence(title="t", lanes=lanes, steps=steps)

    gathered = gather(sequence)

    assert len(gathered.lanes) == MOST_LANES
    assert gathered.lanes[-1].title == "15 more"
    assert gathered.notes == ("The last 15 of 30 lanes share one, where each kind of step is drawn once.",)
    assert sums(gathered) == sums(sequence)


def test_groups_that_are_too_many_are_one() -> None:
    rows = tuple(
        Row(group=f"p {number}", title="r", spans=(Span(begun=0, ended=1, text="open"),)) for number in range(90)
    )

    shown = condense(Timeline(title="t", ended=1, rows=rows), 10)

    assert len(shown.rows) <= 10
    assert shown.rows[0].group == "p 0 and 9 more"
    assert shown.rows[0].spans == (Span(begun=0, ended=1, text="open"),)


def test_a_span_that_goes_on_is_not_ended_by_one_that_does_not() -> None:
    spans = [
        Span(begun=0, ended=None, text="open"),
        Span(begun=1, ended=2, text="open"),
        Span(begun=3, ended=4, text="x"),
    ]
    rows = tuple(Row(group="g", title="r", spans=(span,)) for span in spans)

    (row,) = condense(Timeline(title="t", ended=9, rows=rows), 1).rows

    assert row.spans == (Span(begun=0, ended=None, text="open"), Span(begun=3, ended=4, text="x"))


def test_a_row_that_is_too_full_is_thinned_and_that_is_said() -> None:
    spans = tuple(Span(begun=at, ended=at + 0.1 + at / 1e4, text="open") for at in range(1_000))
    marks = tuple(Mark(at=at, text="x", tone=Tone.FAILED if at % 100 == 7 else Tone.PLAIN) for at in range(20_000))
    timeline = Timeline(title="t", ended=1e6, rows=(Row(group="g", title="r", spans=spans, marks=marks),))

    shown = condense(timeline)
    (row,) = shown.rows

    assert len(row.spans) == MOST_SPANS
    assert row.spans == spans[-MOST_SPANS:], "the longest"
    assert len(row.marks) == MOST_MARKS
    assert {mark.tone for mark in row.marks} == {Tone.FAILED}
    assert row.marks[-1].at > 18_000, "from all of the time"
    (note,) = shown.notes
    assert note.startswith("19,960 marks and 800 spans left out: of a row no more than 40 marks and the 200 longest")
