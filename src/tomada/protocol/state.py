"""The life of a connection, as a table.

Theory of operation: each end keeps one `State`. What it sends and what it receives moves it along `TRANSITIONS`; a
frame that is not in the row of the present state is a violation, and a violation ends the connection. `_CARRIED` adds
the frames that are allowed in a state and leave it as it is; `RECEIVABLE` is the two together. Nothing else in the
protocol decides what may come when, and the drawing in the documentation is made from these tables by `drawing()`.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from tomada.protocol.frames import Kind


class Role(Enum):
    """Which end of a connection this is."""

    CONNECTING = "connecting"
    ACCEPTING = "accepting"


class State(Enum):
    """Where in its life a connection is, as one end sees it."""

    STARTING = "starting"
    """Nothing has been exchanged."""
    GREETED = "greeted"
    """The hello has gone (connecting end) or has come (accepting end); the welcome has not."""
    OPEN = "open"
    """Messages travel both ways."""
    LEAVING = "leaving"
    """This end has said goodbye: it begins nothing new, and waits for what is under way."""
    LEFT = "left"
    """The other end has said goodbye: this end finishes what is under way, then says goodbye too."""
    LOST = "lost"
    """The connection is lost, and the session kept: what is to be sent waits for another one."""
    RESUMING = "resuming"
    """At the connecting end: a hello has gone that goes on with the session; the welcome has not come."""
    CLOSED = "closed"
    """Over: both said goodbye, or the bytes ended."""
    FAILED = "failed"
    """Over: one end broke the protocol, refused the other, or let a deadline pass."""


class Step(Enum):
    """What moves a connection from state to state."""

    SEND_HELLO = "send hello"
    RECEIVE_HELLO = "receive hello"
    SEND_WELCOME = "send welcome"
    RECEIVE_WELCOME = "receive welcome"
    SEND_GOODBYE = "send goodbye"
    RECEIVE_GOODBYE = "receive goodbye"
    LOSE = "connection lost"
    RESUME = "resume"
    END_OF_INPUT = "end of input"
    FAIL = "violation or deadline"


FINAL: Final = frozenset({State.CLOSED, State.FAILED})

_ENDS: Final = {Step.END_OF_INPUT: State.CLOSED, Step.FAIL: State.FAILED}
_LOSES: Final = {Step.LOSE: State.LOST, **_ENDS}

_SHARED: Final[dict[State, dict[Step, State]]] = {
    State.OPEN: {Step.SEND_GOODBYE: State.LEAVING, Step.RECEIVE_GOODBYE: State.LEFT, **_LOSES},
    State.LEAVING: {Step.RECEIVE_GOODBYE: State.CLOSED, **_LOSES},
    State.LEFT: {Step.SEND_GOODBYE: State.CLOSED, **_LOSES},
    State.CLOSED: {},
    State.FAILED: {},
}

TRANSITIONS: Final[dict[Role, dict[State, dict[Step, State]]]] = {
    Role.CONNECTING: {
        State.STARTING: {Step.SEND_HELLO: State.GREETED, **_ENDS},
        # A goodbye in place of the welcome is a refusal: another version, wrong credentials.
        State.GREETED: {Step.RECEIVE_WELCOME: State.OPEN, Step.RECEIVE_GOODBYE: State.FAILED, **_ENDS},
        **_SHARED,
        State.LOST: {Step.SEND_HELLO: State.RESUMING, **_ENDS},
        # A goodbye of a server that has no room just now, or stops, is a lost connection: another may answer.
        State.RESUMING: {Step.RECEIVE_WELCOME: State.OPEN, Step.RECEIVE_GOODBYE: State.FAILED, **_LOSES},
    },
    Role.ACCEPTING: {
        State.STARTING: {Step.RECEIVE_HELLO: State.GREETED, **_ENDS},
        State.GREETED: {Step.SEND_WELCOME: State.OPEN, Step.SEND_GOODBYE: State.FAILED, **_ENDS},
        **_SHARED,
        State.LOST: {Step.RESUME: State.OPEN, **_ENDS},
    },
}

_ANSWERS: Final = frozenset(
    {
        Kind.REPLY,
        Kind.ERROR,
        Kind.ITEM,
        Kind.END,
        Kind.CANCEL,
        Kind.CREDIT,
        Kind.ACKNOWLEDGE,
        Kind.PING,
        Kind.PONG,
        Kind.DECLARE,
    }
)
_BEGINNINGS: Final = frozenset({Kind.SEND, Kind.ASK})

_CARRIED: Final[dict[State, frozenset[Kind]]] = {
    State.OPEN: _ANSWERS | _BEGINNINGS,
    # Requests may still be on their way while this end's goodbye is; they are answered like any other.
    State.LEAVING: _ANSWERS | _BEGINNINGS,
    # Who has said goodbye begins nothing new, but may give up what it asked before.
    State.LEFT: _ANSWERS,
}

_STEPS: Final = {
    Kind.HELLO: Step.RECEIVE_HELLO,
    Kind.WELCOME: Step.RECEIVE_WELCOME,
    Kind.GOODBYE: Step.RECEIVE_GOODBYE,
}

RECEIVABLE: Final[dict[Role, dict[State, frozenset[Kind]]]] = {
    role: {
        state: _CARRIED.get(state, frozenset()) | {kind for kind, step in _STEPS.items() if step in row}
        for state, row in table.items()
    }
    for role, table in TRANSITIONS.items()
}
"""The kinds that may come, by role and state."""


def drawing(role: Role) -> str:
    """The state diagram of one end, in Mermaid's language, drawn from `TRANSITIONS`.

    Steps that lead from a state to the same end share one arrow.
    """
    lines = ["stateDiagram-v2", f"    [*] --> {State.STARTING.value}"]
    for state, row in TRANSITIONS[role].items():
        arrows: dict[State, list[str]] = {}
        for step, target in row.items():
            arrows.setdefault(target, []).append(step.value)
        lines += [f"    {state.value} --> {target.value}: {', '.join(steps)}" for target, steps in arrows.items()]
    lines += [f"    {state.value} --> [*]" for state in State if state in FINAL]
    return "\n".join(lines) + "\n"
