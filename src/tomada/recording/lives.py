"""The ends of sessions in a recording, and where each was in its life: by the table that the protocol runs on."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from tomada.diagrams import Mark, Place, Row, Span, StateDiagram, Timeline, Tone, Transition
from tomada.protocol.frames import Kind
from tomada.protocol.state import FINAL, TRANSITIONS, Role, State, Step

if TYPE_CHECKING:
    from tomada.recording.wires import Frame, Wire, Wires

_TONES: Final = {State.OPEN: Tone.PLAIN, State.LOST: Tone.FAILED, State.FAILED: Tone.FAILED}
_SENT: Final = {Kind.HELLO: Step.SEND_HELLO, Kind.WELCOME: Step.SEND_WELCOME, Kind.GOODBYE: Step.SEND_GOODBYE}
_RECEIVED: Final = {
    Kind.HELLO: Step.RECEIVE_HELLO,
    Kind.WELCOME: Step.RECEIVE_WELCOME,
    Kind.GOODBYE: Step.RECEIVE_GOODBYE,
}
_GONE: Final = {State.LOST.value: Step.LOSE, State.CLOSED.value: Step.END_OF_INPUT, State.FAILED.value: Step.FAIL}
_MOST_MARKS: Final = 200
NANO: Final = 1e-9


class End:
    """One end of a session, over however many transports; of a connection without one, over its only one.

    Attributes:
        number: From 1, in the order in which they began.
        path: When it took which step, and where that led.
        frames: How many there were.
    """

    def __init__(self, number: int, wire: Wire, process: str) -> None:
        self.number = number
        self.process = process
        self.wires = [wire]
        self.role = wire.role
        self.state = State.STARTING
        self.path: list[tuple[int, Step, State]] = []
        self.unknown_steps = 0
        self.frames = 0
        if not wire.begins and wire.line.state in _STATES:
            self.state = _STATES[wire.line.state]

    @property
    def title(self) -> str:
        """Where it is, and who the other one is."""
        line = self.wires[-1].line
        if self.role is Role.CONNECTING:
            return f"{line.here} to {line.there}" if line.here != line.there else f"to {line.there}"
        return f"{line.here} from {line.there}" if line.here != line.there else f"at {line.here}"

    @property
    def detail(self) -> str:
        """Its session, as far as it is told."""
        session = self.wires[-1].session
        often = f", {len(self.wires)} transports" if len(self.wires) > 1 else ""
        return f"{self.role.value}, session {session[:8]}{often}" if session else f"{self.role.value}{often}"

    def saw(self, at: int, frame: Frame) -> None:
        """A frame went or came."""
        self.frames += 1
        step = (_RECEIVED if frame.is_received else _SENT).get(Kind(frame.kind)) if frame.kind in _KINDS else None
        if step is None:
            return
        if self.role is Role.ACCEPTING and self.path:
            # The hello of who comes back is read by another link, and this one goes on.
            if step is Step.RECEIVE_HELLO:
                return
            if step is Step.SEND_WELCOME and self.state is not State.GREETED:
                if self.state is not State.LOST:
                    self._move(at, Step.LOSE)
                step = Step.RESUME
        self._move(at, step)

    def lost(self, at: int, state: str) -> None:
        """A transport is gone, and left the end in a state."""
        if state != self.state.value and state in _GONE and self.state not in FINAL:
            self._move(at, _GONE[state])

    def _move(self, at: int, step: Step) -> None:
        state = TRANSITIONS[self.role].get(self.state, {}).get(step)
        if state is None:
            self.unknown_steps += 1
            return
        self.state = state
        self.path.append((at, step, state))


_STATES: Final = {state.value: state for state in State}
_KINDS: Final = frozenset(map(int, Kind))


def ends_of(wires: Wires) -> dict[int, End]:
    """The ends in a recording, by the identity of each of their wires."""
    ends: dict[int, End] = {}
    sessions: dict[tuple[int, str, Role], End] = {}
    count = 0
    for (pid, _), wire in sorted(wires.wires.items(), key=lambda entry: (entry[1].begun, entry[0])):
        key = pid, wire.session, wire.role
        end = sessions.get(key) if wire.session else None
        if end is None:
            program = wires.processes.get(pid, "")
            count += 1
            end = End(count, wire, f"{program or 'process'} ({pid})")
            if wire.session:
                sessions[key] = end
        else:
            end.wires.append(wire)
        ends[id(wire)] = end
    for at, wire, frame in moments(wires):
        if frame is not None:
            ends[id(wire)].saw(at, frame)
            frame.state = ends[id(wire)].state.value
        elif wire.gone is not None:
            ends[id(wire)].lost(at, wire.gone.state)
    return ends


def in_order(ends: dict[int, End]) -> list[End]:
    """Each of them once, by their numbers."""
    return sorted({id(end): end for end in ends.values()}.values(), key=lambda end: end.number)


def moments(wires: Wires) -> list[tuple[int, Wire, Frame | None]]:
    """What happened on the wires, in order: frames, and None for the end of one."""
    found: list[tuple[int, Wire, Frame | None]] = [(frame.at, wire, frame) for wire, frame in wires.frames]
    found += [(wire.gone.at, wire, None) for wire in wires.wires.values() if wire.gone is not None]
    # What was sent comes first, should the clock not tell.
    found.sort(key=lambda moment: (moment[0], moment[2] is not None and moment[2].is_received))
    return found


def diagram_of(end: End) -> StateDiagram:
    """The life of one end: all that may happen, and what did."""
    table = TRANSITIONS[end.role]
    start = end.path[0][0] if end.path else 0
    source = State.STARTING
    taken: Counter[tuple[State, Step]] = Counter()
    first: dict[tuple[State, Step], int] = {}
    visits: Counter[State] = Counter([State.STARTING])
    for order, (_, step, state) in enumerate(end.path, 1):
        taken[source, step] += 1
        first.setdefault((source, step), order)
        visits[state] += 1
        source = state
    notes = [f"{step.value}: {(at - start) * NANO:.3f} s, {state.value}" for at, step, state in end.path[:50]]
    return StateDiagram(
        title=f"{end.process}: {end.title} ({end.detail})",
        start=State.STARTING.value,
        places=tuple(
            Place(name=state.value, visits=visits[state], is_final=state in FINAL) for state in State if state in table
        ),
        transitions=tuple(
            Transition(
                source=state.value,
                target=target.value,
                text=step.value,
                taken=taken[state, step],
                order=first.get((state, step), 0),
            )
            for state, row in table.items()
            for step, target in row.items()
        ),
        current=end.state.value,
        notes=tuple(notes),
    )


def timeline_of(title: str, wires: Wires, ends: dict[int, End], notes: tuple[str, ...]) -> Timeline:
    """All ends, one below the other."""
    begun = wires.begun or 0
    rows = [
        Row(
            group=end.process,
            title=end.title,
            spans=tuple(_spans(end, begun)),
            marks=tuple(_marks(end, begun)),
            sent=sum(wire.ways[0].bytes for wire in end.wires),
            received=sum(wire.ways[1].bytes for wire in end.wires),
        )
        for end in in_order(ends)
    ]
    return Timeline(title=title, ended=(wires.ended - begun) * NANO, rows=tuple(rows), notes=notes)


def _spans(end: End, begun: int) -> list[Span]:
    moments = [(end.wires[0].begun, State.STARTING), *((at, state) for at, _, state in end.path)]
    if not end.wires[0].begins:
        moments[0] = end.wires[0].begun, _STATES.get(end.wires[0].line.state, State.OPEN)
    spans = []
    for number, (at, state) in enumerate(moments):
        if state in FINAL and number == len(moments) - 1 and number:
            break
        until = moments[number + 1][0] if number + 1 < len(moments) else None
        span_end = None if until is None else (until - begun) * NANO
        tone = _TONES.get(state, Tone.BEGIN if state in _GREETING else Tone.END)
        spans.append(Span(begun=(at - begun) * NANO, ended=span_end, text=state.value, tone=tone))
    return spans


_GREETING: Final = frozenset({State.STARTING, State.GREETED, State.RESUMING})


def _marks(end: End, begun: int) -> list[Mark]:
    marks = []
    for at, step, state in end.path[:_MOST_MARKS]:
        if step in (Step.SEND_HELLO, Step.RECEIVE_HELLO):
            continue
        tone = Tone.FAILED if state in (State.LOST, State.FAILED) else Tone.END if state in FINAL else Tone.BEGIN
        marks.append(Mark(at=(at - begun) * NANO, text=step.value, tone=tone))
    return marks
