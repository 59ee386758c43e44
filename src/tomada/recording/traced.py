"""A recording of socket calls as diagrams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tomada.diagrams import (
    Arrow,
    Mark,
    Place,
    Row,
    Sequence,
    Span,
    StateDiagram,
    Step,
    Timeline,
    Tone,
    Transition,
)
from tomada.diagrams import Lane as DrawnLane
from tomada.errors import RecordingError
from tomada.recording.calls import call_record
from tomada.recording.pairing import Link, links
from tomada.recording.socket_state import DATAGRAM, MEANINGS, STREAM, SocketState
from tomada.recording.story import Story
from tomada.recording.telling import WOULD_BLOCK, data_of, detail_of, result_of, text_of, title_of, tone_of

if TYPE_CHECKING:
    from tomada.recording.file import Record
    from tomada.recording.story import Event, Lane, Running

_TONES: Final = {"connection": Tone.BEGIN, "end": Tone.END, "bytes": Tone.PLAIN}
_SPANS: Final = {
    SocketState.LISTENING: Tone.BEGIN,
    SocketState.CONNECTING: Tone.BEGIN,
    SocketState.FAILED: Tone.FAILED,
    SocketState.CREATED: Tone.CONTROL,
    SocketState.BOUND: Tone.CONTROL,
}
_SECONDS: Final = 1e-9
MOST_RECORDS: Final = 1_000_000
"""So many are drawn of a recording that was given more room than it has by default: each takes 1 KB of memory."""


class Traced:
    """Understands records of socket calls, and draws what they tell, also while more come."""

    def __init__(self) -> None:
        self._story = Story()
        self._taken = self._left_out = 0
        self.passed_over = 0
        """Records that were of these kinds, and not as they should be."""

    def add(self, record: Record) -> bool:
        """Take the next record; False if it is of another kind."""
        try:
            structure = call_record(record)
        except msgspec.ValidationError:
            self.passed_over += 1
            return True
        if structure is None:
            return False
        if self._taken < MOST_RECORDS:
            self._taken += 1
            self._story.add(structure)
        else:
            self._left_out += 1
        return True

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know."""
        notes = list(self._story.notes)
        if any(lane.is_own_of_asyncio for lane in self._story.lanes):
            notes.append("left out: the pair of sockets by which asyncio wakes its own loop")
        if self._left_out:
            notes.append(f"what follows is left out: {self._left_out:,} records more than {MOST_RECORDS:,}")
        return tuple(notes)

    def events(self) -> list[Event]:
        """The calls, by the time they began."""
        return self._story.told()

    def sequence(self) -> Sequence:
        """Who called what, on which socket, and which send was met by which receive."""
        events = self._story.told()
        return _Drawing(events).sequence(self.notes)

    def timeline(self) -> Timeline:
        """Each socket from its begin to its end."""
        events = self._story.told()
        return _timeline(self._story.lanes, events, self.notes)

    def states(self, socket: int | None = None) -> StateDiagram:
        """The life of one socket, by its place among all sockets, from 1; without one, that of all stream sockets.

        Raises:
            RecordingError: There is no such socket.
        """
        self._story.told()
        lanes = [lane for lane in self._story.lanes if not lane.is_own_of_asyncio]
        if socket is not None:
            if not 1 <= socket <= len(lanes):
                raise RecordingError(f"there is no socket {socket}: the recording has {len(lanes)}, from 1")
            lane = lanes[socket - 1]
            return _states([lane], f"socket {socket}: {title_of(lane)}, {lane.running.name}", self.notes)
        streams = [lane for lane in lanes if lane.end.is_stream]
        chosen = streams or lanes
        kind = "stream" if streams else "datagram"
        return _states(chosen, f"{len(chosen)} {kind} socket{'s' * (len(chosen) != 1)}", self.notes)


class _Drawing:
    """One sequence diagram being made."""

    def __init__(self, events: list[Event]) -> None:
        self._events = events
        self._origin = _origin(events)
        self._lanes: list[tuple[Running, Lane | None]] = []

    def sequence(self, notes: tuple[str, ...]) -> Sequence:
        shown = [event for event in self._events if not (event.lane is not None and event.lane.is_own_of_asyncio)]
        numbers = self._number_lanes(shown)
        steps = tuple(self._step(event, numbers[event.running, event.lane]) for event in shown)
        places = {id(event): place for place, event in enumerate(shown)}
        arrows = []
        for link in links(self._events):
            ends = [places.get(id(self._events[index])) for index in (link.source, link.target)]
            if ends[0] is not None and ends[1] is not None:
                arrows.append(_arrow(link, ends[0], ends[1]))
        lanes = tuple(_drawn(running, lane) for running, lane in self._lanes)
        return Sequence(title=_title(self._lanes), lanes=lanes, steps=steps, arrows=tuple(arrows), notes=notes)

    def _number_lanes(self, shown: list[Event]) -> dict[tuple[Running, Lane | None], int]:
        """Lanes by process, processes and lanes by their first call, but children behind their parents."""
        found: dict[Running, dict[Lane | None, None]] = {}
        for event in shown:
            found.setdefault(event.running, {})[event.lane] = None
        self._lanes = [(running, lane) for running in _by_family(list(found)) for lane in found[running]]
        return {key: number for number, key in enumerate(self._lanes)}

    def _step(self, event: Event, lane: int) -> Step:
        call = event.call
        return Step(
            lane=lane,
            begun=(call.at - self._origin) * _SECONDS,
            ended=None if call.took is None else (call.ended - self._origin) * _SECONDS,
            text=text_of(call),
            result=result_of(event),
            data=data_of(call),
            size=call.size,
            is_blocked=call.blocked or call.took is None,
            tone=tone_of(call),
            state=event.state.value if event.state is not None else "",
        )


def _by_family(found: list[Running]) -> list[Running]:
    """Processes in the same order, but children right behind their parents."""
    children: dict[int, list[Running]] = {}
    pids = {running.record.pid for running in found}
    for running in found:
        parent = running.record.parent
        children.setdefault(parent if parent in pids else 0, []).append(running)
    ordered: dict[Running, None] = {}
    waiting = children.get(0, [])[::-1]
    while waiting:
        running = waiting.pop()
        if running not in ordered:
            ordered[running] = None
            waiting += children.get(running.record.pid, [])[::-1]
    return [*ordered, *(running for running in found if running not in ordered)]


def _origin(events: list[Event]) -> int:
    return events[0].call.at if events else 0


def _drawn(running: Running, lane: Lane | None) -> DrawnLane:
    if lane is None:
        return DrawnLane(group=running.name, title="names and waits", detail="of no one socket")
    return DrawnLane(group=running.name, title=title_of(lane), detail=detail_of(lane))


def _title(lanes: list[tuple[Running, Lane | None]]) -> str:
    names = dict.fromkeys(running.name.rpartition(" (")[0] for running, _ in lanes)
    return "sockets of " + " and ".join(names) if names else "no sockets"


def _arrow(link: Link, source: int, target: int) -> Arrow:
    text = "" if link.what == "bytes" else link.what
    return Arrow(source=source, target=target, text=text, size=link.size, tone=_TONES[link.what])


def _timeline(lanes: list[Lane], events: list[Event], notes: tuple[str, ...]) -> Timeline:
    origin = _origin(events)
    ended = max((event.call.ended for event in events), default=origin)
    marks: dict[Lane, list[Mark]] = {}
    for event in events:
        if event.lane is not None and event.call.error and event.call.error not in WOULD_BLOCK:
            at = (event.call.ended - origin) * _SECONDS
            marks.setdefault(event.lane, []).append(Mark(at=at, text=result_of(event), tone=Tone.FAILED))
    rows = tuple(
        Row(
            group=lane.running.name,
            title=f"{title_of(lane)} {detail_of(lane)}".strip(),
            spans=_spans(lane, origin),
            marks=tuple(marks.get(lane, ())),
            sent=lane.sent,
            received=lane.received,
        )
        for lane in lanes
        if not lane.is_own_of_asyncio
    )
    return Timeline(
        title=_title([(lane.running, lane) for lane in lanes]),
        ended=(ended - origin) * _SECONDS,
        rows=rows,
        notes=notes,
    )


def _spans(lane: Lane, origin: int) -> tuple[Span, ...]:
    spans = []
    begun, state = lane.record.at, lane.start
    for at, _, _, target in lane.path:
        spans.append(_span(begun, at, state, origin))
        begun, state = at, target
    if state is not SocketState.CLOSED:
        spans.append(_span(begun, None, state, origin))
    return tuple(spans)


def _span(begun: int, ended: int | None, state: SocketState, origin: int) -> Span:
    return Span(
        begun=max(0, begun - origin) * _SECONDS,
        ended=None if ended is None else max(0, ended - origin) * _SECONDS,
        text=state.value,
        tone=_SPANS.get(state, Tone.PLAIN),
    )


def _states(lanes: list[Lane], title: str, notes: tuple[str, ...]) -> StateDiagram:
    is_stream = not lanes or lanes[0].end.is_stream
    table = STREAM if is_stream else DATAGRAM
    taken: dict[tuple[SocketState, str], int] = {}
    order: dict[tuple[SocketState, str], int] = {}
    visits: dict[SocketState, int] = {}
    for lane in lanes:
        visits[lane.start] = visits.get(lane.start, 0) + 1
        for _, step, source, target in lane.path:
            key = (source, step.value)
            taken[key] = taken.get(key, 0) + 1
            order.setdefault(key, len(order) + 1)
            visits[target] = visits.get(target, 0) + 1
    return StateDiagram(
        title=title,
        start=lanes[0].start.value if len(lanes) == 1 else SocketState.CREATED.value,
        places=tuple(
            Place(name=state.value, meaning=MEANINGS[state], visits=visits.get(state, 0), is_final=not row)
            for state, row in table.items()
        ),
        transitions=tuple(
            Transition(
                source=state.value,
                target=target.value,
                text=step.value,
                taken=taken.get((state, step.value), 0),
                order=order.get((state, step.value), 0),
            )
            for state, row in table.items()
            for step, target in row.items()
        ),
        current=lanes[0].state.value if len(lanes) == 1 else "",
        notes=notes,
    )
