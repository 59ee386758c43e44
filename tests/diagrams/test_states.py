from __future__ import annotations

import itertools
import random
import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.diagrams import scenes
from tests.diagrams.scenes import PATH, TABLE, Move, State
from tests.diagrams.test_svg import elements, words
from tomada.diagrams import DrawingError, Place, StateDiagram, Told, Transition, render, state_diagram_of
from tomada.diagrams.svg.layers import APART, Edge, Layers
from tomada.protocol import Role
from tomada.protocol import State as ProtocolState
from tomada.protocol.state import FINAL, TRANSITIONS

TOLD = Told(title="t")


@st.composite
def graphs(draw: st.DrawFn) -> tuple[dict[str, float], list[Edge], list[str]]:
    """Any states and arrows between them."""
    names = [f"s{number}" for number in range(draw(st.integers(1, 9)))]
    name = st.sampled_from(names)
    ends = draw(st.lists(st.tuples(name, name), max_size=20, unique=True))
    widths = {each: draw(st.floats(20, 200)) for each in names}
    return widths, [Edge(*pair, label=draw(st.floats(0, 150))) for pair in ends], draw(st.lists(name, max_size=2))


@settings(deadline=None, max_examples=60)
@given(graphs())
def test_states_and_labels_never_touch_and_arrows_run_downwards(
    graph: tuple[dict[str, float], list[Edge], list[str]],
) -> None:
    widths, edges, finals = graph

    layers = Layers(widths, "s0", edges, finals)

    for rank in layers.ranks:
        for left, right in itertools.pairwise(rank):
            one, other = layers.knots[left], layers.knots[right]
            assert other.x - one.x >= (one.width + other.width) / 2 + APART / 2 - 1e-6
    for edge in layers.edges:
        ranks = [layers.knots[knot].rank for knot in edge.knots]
        assert ranks == list(range(ranks[0], ranks[-1] + 1))
        assert len(ranks) >= 3
        ends = [edge.target, edge.source] if edge.is_back else [edge.source, edge.target]
        assert [edge.knots[0], edge.knots[-1]] == [layers.states[name] for name in ends]
    assert all(knot.x - knot.width / 2 >= -1e-6 for knot in layers.knots)


@settings(deadline=None, max_examples=60)
@given(graphs(), st.randoms())
def test_whatever_the_states_are_they_can_be_drawn(
    graph: tuple[dict[str, float], list[Edge], list[str]], numbers: random.Random
) -> None:
    widths, edges, finals = graph
    places = tuple(Place(name=name, visits=numbers.randrange(3), is_final=name in finals) for name in widths)
    moves = tuple(
        Transition(source=edge.source, target=edge.target, text=f"t{at % 3}", taken=at % 2 * 5, order=at % 2 * at)
        for at, edge in enumerate(edges)
    )
    drawing = StateDiagram(title="t", start="s0", places=places, transitions=moves, current="s0")

    text = str(render(drawing, "svg"))

    drawn = [each for each in ET.fromstring(text).iter() if "place" in each.get("class", "").split()]  # noqa: S314 - ours
    assert [each.get("data-place") for each in drawn] == list(widths)
    assert "nan" not in text


def test_the_path_is_numbered_counted_and_highlighted() -> None:
    drawing = scenes.session()

    taken = {(each.get("data-source"), each.get("data-target")): words(each) for each in elements(drawing, "taken")}
    kinds = {each.get("data-place"): each.get("class", "").split()[1] for each in elements(drawing, "place")}

    assert taken == {
        ("starting", "open"): "1 send hello",
        ("open", "lost"): "3 connection lost ×2",
        ("lost", "open"): "4 resume ×2",
        ("open", "closed"): "7 end of input",
    }
    assert kinds == {
        "starting": "visited",
        "open": "visited",
        "lost": "visited",
        "closed": "current",
        "failed": "idle",
    }


def test_a_way_back_points_upwards() -> None:
    (back,) = [each for each in elements(scenes.session(), "taken") if each.get("data-source") == "lost"]

    head = next(each for each in back if "head" in each.get("class", ""))
    assert re.fullmatch(r"M[\d.]+ [\d.]+l-4\.5 8h9z", head.get("d", ""))


def test_a_way_to_itself_is_drawn_beside_the_state() -> None:
    (opened,) = [each for each in elements(scenes.session(), "place") if each.get("data-place") == "open"]

    assert "2 ping" in words(opened)


def test_ends_that_many_share_are_told_in_words() -> None:
    told = [words(each) for each in elements(scenes.session(), "told")]

    assert told == ["violation → failed, from starting, open, lost"]


@pytest.mark.parametrize("role", Role)
def test_the_diagram_of_a_table_has_all_of_it(role: Role) -> None:
    table = TRANSITIONS[role]

    drawing = state_diagram_of(table, ProtocolState.STARTING, finals=FINAL, told=TOLD)

    assert {(move.source, move.text, move.target) for move in drawing.transitions} == {
        (source.value, move.value, target.value) for source, row in table.items() for move, target in row.items()
    }
    assert {place.name for place in drawing.places if place.is_final} == {state.value for state in FINAL}
    assert drawing.current == "starting"
    text = str(render(drawing, "svg"))
    assert all(f">{place.name}<" in text for place in drawing.places)


def test_the_path_through_a_table_is_counted() -> None:
    drawing = state_diagram_of(TABLE, State.STARTING, PATH, finals={State.CLOSED}, told=TOLD)

    assert {place.name: place.visits for place in drawing.places} == {
        "starting": 1,
        "open": 4,
        "lost": 2,
        "closed": 1,
        "failed": 0,
    }
    resumed = next(move for move in drawing.transitions if move.text == "resume")
    assert (resumed.taken, resumed.order) == (2, 4)
    assert drawing.current == "closed"


def test_a_step_that_the_table_does_not_have_is_refused() -> None:
    with pytest.raises(DrawingError, match="step 2 of the path, 'resume', is not possible in 'open'"):
        state_diagram_of(TABLE, State.STARTING, [Move.SEND_HELLO, Move.RESUME], told=TOLD)


def test_the_number_of_a_step_has_room_in_its_sign() -> None:
    orders = elements(scenes.long_path(), "order")
    badges = elements(scenes.long_path(), "badge")

    assert {"10002", "10004"} <= {order.text for order in orders}
    for badge, order in zip(badges, orders, strict=True):
        assert float(badge.get("width", "")) >= 6 * len(order.text or "")


def test_a_title_that_is_too_long_for_one_line_has_two() -> None:
    lines = ["".join(each.itertext()) for each in elements(scenes.long_path(), "h1")]

    assert lines[0] == "server.py (4711): tcp://127.0.0.1:4477 from"
    assert lines[1].startswith("tcp://127.0.0.1:50312 (accepting")
    assert len(lines) == 2
