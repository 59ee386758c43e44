from __future__ import annotations

from tests.diagrams import scenes
from tomada.diagrams import Arrow, Lane, Sequence, Step
from tomada.diagrams.moments import Part, arrives, label_of, moments_of, payload_of


def of(*steps: Step, arrows: tuple[Arrow, ...] = ()) -> list[tuple[int, str]]:
    lanes = tuple(Lane(group="g", title=str(lane)) for lane in range(3))
    moments = moments_of(Sequence(title="t", lanes=lanes, steps=steps, arrows=arrows))
    return [(moment.step, moment.part.value) for moment in moments]


def call(lane: int, begun: float, ended: float | None, **more: object) -> Step:
    return scenes.replaced(Step(lane=lane, begun=begun, ended=ended, text="f()"), **more)


def test_a_call_that_does_not_wait_is_one_row() -> None:
    assert of(call(0, 0, 5), call(1, 1, 2)) == [(0, "whole"), (1, "whole")]


def test_a_call_that_waits_is_two_rows_where_something_happened_meanwhile() -> None:
    waiting = call(0, 0, 5, is_blocked=True)

    assert of(waiting) == [(0, "whole")]
    assert of(waiting, call(1, 6, 7)) == [(0, "whole"), (1, "whole")]
    assert of(waiting, call(1, 1, 2)) == [(0, "begin"), (1, "whole"), (0, "end")]


def test_what_has_not_ended_has_only_begun() -> None:
    assert of(call(0, 0, None), call(1, 1, 2)) == [(0, "begin"), (1, "whole")]


def test_a_summary_is_one_row() -> None:
    assert of(call(0, 0, 5, is_blocked=True, count=9), call(1, 1, 2)) == [(0, "whole"), (1, "whole")]


def test_of_moments_at_the_same_time_the_cause_comes_first() -> None:
    receive, send, other = call(0, 0, 1, is_blocked=True), call(1, 1, 1), call(2, 1, 1)

    assert of(receive, send, other, arrows=(Arrow(source=2, target=0),))[1:] == [(1, "whole"), (2, "whole"), (0, "end")]
    assert of(receive, send, other)[0] == (0, "whole")


def test_messages_of_an_end_that_was_not_recorded_are_sent_before_they_are_received() -> None:
    steps = (call(0, 1, 1), call(0, 1, 1), call(1, 1, 1), call(1, 1, 1))
    arrows = (Arrow(source=2, target=0), Arrow(source=3, target=1))

    assert of(*steps, arrows=arrows) == [(2, "whole"), (0, "whole"), (3, "whole"), (1, "whole")]
    answers = (Arrow(source=0, target=2), Arrow(source=1, target=3))
    assert of(*steps, arrows=answers) == [(0, "whole"), (2, "whole"), (1, "whole"), (3, "whole")]


def test_moments_at_the_same_time_keep_the_order_of_their_lane() -> None:
    steps = (call(0, 1, 1), call(0, 1, 1), call(1, 1, 1), call(2, 1, 1))

    assert of(*steps, arrows=(Arrow(source=3, target=0),)) == [(3, "whole"), (0, "whole"), (1, "whole"), (2, "whole")]
    assert len(of(*steps, arrows=(Arrow(source=1, target=2), Arrow(source=2, target=0)))) == 4, "though it is a circle"


def test_a_request_arrives_when_its_handler_begins_and_bytes_when_who_waits_for_them_has_them() -> None:
    send, handler = call(1, 0, 0), call(0, 1, 5, is_blocked=True)
    request, data = Arrow(source=0, target=1, at_begin=True), Arrow(source=0, target=1)

    assert [arrives(request, (send, handler), part) for part in Part] == [True, True, False]
    assert [arrives(data, (send, handler), part) for part in Part] == [True, False, True]
    assert arrives(data, (send, scenes.replaced(handler, ended=None)), Part.BEGIN)
    unrecorded = (call(0, 1, 5, is_blocked=True), call(1, 1, 1), call(2, 2, 2))
    assert of(*unrecorded, arrows=(Arrow(source=1, target=0, at_begin=True),)) == [
        *((1, "whole"), (0, "begin"), (2, "whole"), (0, "end"))
    ]


def test_a_clock_that_went_back_does_not_end_a_call_before_it_began() -> None:
    assert of(call(0, 5, 3, is_blocked=True), call(1, 5, 5)) in (
        [(0, "whole"), (1, "whole")],
        [(0, "begin"), (1, "whole"), (0, "end")],
    )


def said(step: Step, part: Part, *, arrow: bool = False) -> list[tuple[str, str]]:
    return [(bit.kind, bit.text) for bit in label_of(step, part, size=not arrow, data=not arrow)]


def test_a_label_says_what_an_arrow_does_not() -> None:
    send = Step(lane=0, begun=0, ended=0.1, text="sendall()", size=5, data="hello")

    assert said(send, Part.WHOLE) == [("call", "sendall()"), ("result", "5 bytes"), ("data", "hello")]
    waited = scenes.replaced(send, is_blocked=True)
    assert said(waited, Part.WHOLE)[2:] == [("wait", "waited 100 ms"), ("data", "hello")], "of data the end may be cut"
    assert said(send, Part.WHOLE, arrow=True) == [("call", "sendall()")]


def test_a_label_says_how_long_it_waited_and_what_came_of_it() -> None:
    receive = Step(lane=0, begun=0, ended=0.5, text="recv(9)", result="5 bytes", size=5, is_blocked=True)
    nothing = Step(lane=0, begun=0, ended=0.5, text="connect(x)", is_blocked=True)

    assert said(receive, Part.BEGIN) == [("call", "recv(9)"), ("wait", "waits")]
    assert said(receive, Part.END) == [("call", "recv"), ("result", "5 bytes"), ("wait", "waited 500 ms")]
    assert said(receive, Part.WHOLE)[-1] == ("wait", "waited 500 ms")
    assert said(nothing, Part.END) == [("call", "connect ends"), ("wait", "waited 500 ms")]
    assert said(scenes.replaced(receive, ended=None), Part.BEGIN)[-1] == ("wait", "has not ended")


def test_the_label_of_a_summary_says_how_many_how_much_and_in_what_time() -> None:
    many = Step(lane=0, begun=0, ended=2, text="recv(9)", size=2048, count=1_000, is_blocked=True)

    assert said(many, Part.WHOLE) == [
        ("count", "×1,000"),
        ("call", "recv(9)"),
        ("result", "2.00 KiB"),
        ("wait", "in 2.00 s"),
    ]


def test_what_stands_on_an_arrow() -> None:
    steps = (Step(lane=0, begun=0, ended=0, text="Transfer", data="ana", size=7), call(1, 1, 1))
    lanes = (Lane(group="g", title="0"), Lane(group="g", title="1"))

    def payload(*arrows: Arrow) -> list[str]:
        sequence = Sequence(title="t", lanes=lanes, steps=steps, arrows=arrows)
        return [bit.text for bit in payload_of(sequence, 0, list(range(len(arrows))))]

    assert payload(Arrow(source=0, target=1, text="Transfer")) == ["7 B", "ana"]
    assert payload(Arrow(source=0, target=1, text="again"), Arrow(source=0, target=1)) == ["again", "7 B", "ana"]
