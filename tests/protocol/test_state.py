"""The tables of states."""

from __future__ import annotations

import pytest

from tests.protocol.vectors import SPECIFICATION
from tomada.protocol import Kind, Role, State
from tomada.protocol.state import FINAL, RECEIVABLE, TRANSITIONS, Step, drawing


@pytest.mark.parametrize("role", Role)
def test_every_state_has_a_row(role: Role) -> None:
    states = set(State) - ({State.RESUMING} if role is Role.ACCEPTING else set())

    assert set(TRANSITIONS[role]) == set(RECEIVABLE[role]) == states


@pytest.mark.parametrize("role", Role)
def test_every_state_that_is_not_the_end_can_end(role: Role) -> None:
    for state, row in TRANSITIONS[role].items():
        if state in FINAL:
            assert row == {}
            assert RECEIVABLE[role][state] == frozenset()
        else:
            assert row[Step.END_OF_INPUT] is State.CLOSED
            assert row[Step.FAIL] is State.FAILED


@pytest.mark.parametrize("role", Role)
def test_the_handshake_is_the_only_way_in(role: Role) -> None:
    ways: dict[Role, tuple[set[State], Kind]] = {
        Role.ACCEPTING: ({State.STARTING}, Kind.HELLO),
        Role.CONNECTING: ({State.GREETED, State.RESUMING}, Kind.WELCOME),
    }
    states, kind = ways[role]
    for state, kinds in RECEIVABLE[role].items():
        assert kinds & {Kind.HELLO, Kind.WELCOME} == ({kind} if state in states else set())


@pytest.mark.parametrize("role", Role)
def test_nothing_comes_over_a_connection_that_is_lost(role: Role) -> None:
    assert RECEIVABLE[role][State.LOST] == frozenset()


@pytest.mark.parametrize("role", Role)
def test_a_session_outlives_its_connection_in_every_state_after_the_handshake(role: Role) -> None:
    after = {State.OPEN, State.LEAVING, State.LEFT, *([State.RESUMING] if role is Role.CONNECTING else [])}

    assert {state for state, row in TRANSITIONS[role].items() if row.get(Step.LOSE) is State.LOST} == after


@pytest.mark.parametrize("role", Role)
def test_the_drawing_has_every_arrow_and_stands_in_the_documentation(role: Role) -> None:
    text = drawing(role)

    for state, row in TRANSITIONS[role].items():
        for step, target in row.items():
            arrows = [line for line in text.splitlines() if line.startswith(f"    {state.value} --> {target.value}: ")]
            assert len(arrows) == 1
            assert step.value in arrows[0].partition(": ")[2].split(", ")
    assert text in SPECIFICATION.read_text()
