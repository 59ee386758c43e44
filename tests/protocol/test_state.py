"""The tables of states."""

from __future__ import annotations

import pytest

from tests.protocol.vectors import SPECIFICATION
from tomada.protocol import Kind, Role, State
from tomada.protocol.state import FINAL, RECEIVABLE, TRANSITIONS, Step, drawing


@pytest.mark.parametrize("role", Role)
def test_every_state_has_a_row(role: Role) -> None:
    assert set(TRANSITIONS[role]) == set(State) == set(RECEIVABLE[role])


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
    first = {Role.ACCEPTING: (State.STARTING, Kind.HELLO), Role.CONNECTING: (State.GREETED, Kind.WELCOME)}[role]
    for state, kinds in RECEIVABLE[role].items():
        assert kinds & {Kind.HELLO, Kind.WELCOME} == ({first[1]} if state is first[0] else set())


def test_reserved_kinds_may_never_come() -> None:
    reserved = {Kind.ITEM, Kind.END, Kind.CREDIT, Kind.ACKNOWLEDGE}
    for table in RECEIVABLE.values():
        assert not any(kinds & reserved for kinds in table.values())


@pytest.mark.parametrize("role", Role)
def test_the_drawing_has_every_arrow_and_stands_in_the_documentation(role: Role) -> None:
    text = drawing(role)

    for state, row in TRANSITIONS[role].items():
        for step, target in row.items():
            arrows = [line for line in text.splitlines() if line.startswith(f"    {state.value} --> {target.value}: ")]
            assert len(arrows) == 1
            assert step.value in arrows[0].partition(": ")[2].split(", ")
    assert text in SPECIFICATION.read_text()
