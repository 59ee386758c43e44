"""The sequence diagram of messages: a lane for each end, an arrow for each message from one to the other."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from tomada.diagrams import Arrow, Lane, Sequence, Step, Tone
from tomada.protocol.frames import ASK, CONTROL, ERROR, URGENT, Kind, kind_name
from tomada.protocol.state import Role
from tomada.recording.lives import NANO, End, moments
from tomada.recording.preview import preview, printable, short, words

if TYPE_CHECKING:
    from tomada.recording.lines import EventLine
    from tomada.recording.wires import Frame, Wire, Wires

NOT_RECORDED: Final = "not recorded"
_ANSWERS: Final = frozenset({int(Kind.REPLY), int(Kind.ERROR), int(Kind.END)})
_TOLD: Final = frozenset({"ConnectionOpened", "ConnectionEnded", "HandshakeEnded"})
"""Events that the frames tell as well."""
_BAD: Final = frozenset({"LimitStruck", "DeadlineStruck", "LoopBlocked", "ConnectionInterrupted", "SessionEnded"})
_MOST_NOTES: Final = 50


def pairs_of(wires: Wires) -> dict[int, Wire]:
    """For each wire, by identity, the one at the other end of its transport, where that was recorded, too."""
    waiting: dict[tuple[Any, ...], list[Wire]] = {}
    pairs: dict[int, Wire] = {}
    for wire in sorted(wires.wires.values(), key=lambda wire: wire.begun):
        line = wire.line
        key: tuple[Any, ...] = tuple(sorted((line.here, line.there)))
        if wire.session:
            key = wire.session, wire.generation
        others = waiting.get((*key, wire.role is not Role.ACCEPTING))
        if others:
            other = others.pop(0)
            pairs[id(wire)], pairs[id(other)] = other, wire
        else:
            waiting.setdefault((*key, wire.role is Role.ACCEPTING), []).append(wire)
    return pairs


class _Made:
    """A step in the making: one message, or what is about the connection."""

    __slots__ = ("frame", "frames", "is_whole", "partner", "payloads", "size", "step")

    def __init__(self, frame: Frame, step: Step) -> None:
        self.frame = frame
        self.step = step
        self.frames = 0
        self.size = 0
        self.payloads: list[bytes] = []
        self.is_whole = True
        self.partner: _Made | None = None
        """Of an ask: its answer. Of an answer: what it answers."""

    def add(self, frame: Frame, ended: float | None) -> None:
        """One more frame of it."""
        self.frames += 1
        self.size += frame.length
        self.payloads.append(frame.payload)
        self.is_whole = self.is_whole and len(frame.payload) == frame.length
        self.step = replace(self.step, ended=ended)

    def done(self) -> Step:
        """The step."""
        frame = self.frame
        text = self.step.text + (f" in {self.frames} frames" if self.frames > 1 else "")
        data = preview(frame, b"".join(self.payloads), is_whole=self.is_whole)
        answer = self.partner
        if frame.kind != ASK or answer is None:
            return replace(self.step, text=text, data=data, size=self.size)
        result = answer.frame.type.name or kind_name(answer.frame.kind)
        return replace(
            self.step,
            text=text,
            data=data,
            size=self.size,
            ended=answer.step.begun,
            is_blocked=True,
            result=printable(result),
        )


def _tone(frame: Frame) -> Tone:
    if frame.flags == CONTROL:
        if frame.kind in (Kind.HELLO, Kind.WELCOME):
            return Tone.BEGIN
        return Tone.END if frame.kind == Kind.GOODBYE else Tone.CONTROL
    if frame.kind == ERROR:
        return Tone.FAILED
    if frame.is_repeated:
        return Tone.REPEATED
    return Tone.URGENT if frame.lane == URGENT else Tone.PLAIN


def _text(frame: Frame) -> str:
    marks = [mark for mark, holds in (("urgent", frame.lane == URGENT), ("again", frame.is_repeated)) if holds]
    text = words(frame) + (f" ({', '.join(marks)})" if marks else "")
    return f"received {text}" if frame.is_received else text


def _identity(frame: Frame) -> tuple[int, ...]:
    """By which both ends of a transport know a frame."""
    return (frame.kind, frame.ordinal) if frame.flags == CONTROL else (-frame.lane, frame.sequence)


class Drawing:
    """Draws some ends of a recording.

    Args:
        wires: What was recorded.
        ends: All ends, by the identity of their wires.
        chosen: Those that are drawn.
    """

    def __init__(self, wires: Wires, ends: dict[int, End], chosen: list[End]) -> None:
        self._wires = wires
        self._ends = ends
        self._begun = wires.begun or 0
        self._pairs = pairs_of(wires)
        self._lanes: list[Lane] = []
        self._own: dict[int, int] = {}
        """The lane of each end that is drawn, by identity."""
        self._shadows: dict[int, int] = {}
        """For those whose peer was not recorded, or is not drawn, its lane."""
        self._steps: list[_Made | Step] = []
        self._arrows: list[Arrow] = []
        self._seen: dict[tuple[int, bool, tuple[int, ...]], int] = {}
        """The place of the step of a frame, by its wire and direction."""
        self._open: dict[tuple[int, bool, int], int] = {}
        """Messages in fragments under way."""
        self._asked: dict[tuple[int, bool, int], _Made] = {}
        self._lay_out(chosen)

    def draw(self, title: str, notes: tuple[str, ...]) -> Sequence:
        """The whole."""
        for at, wire, frame in moments(self._wires):
            if id(self._ends[id(wire)]) in self._own:
                if frame is None:
                    self._gone(wire)
                elif not self._goes_on(wire, frame):
                    self._message(at, wire, frame)
        self._join()
        further = self._events()
        steps = [made if isinstance(made, Step) else made.done() for made in self._steps]
        order = sorted(range(len(steps)), key=lambda place: (steps[place].begun, place))
        places = {old: new for new, old in enumerate(order)}
        if self._shadows:
            why = "what it sent and received is drawn at the time when the other end saw it"
            notes = (*notes, f"{len(self._shadows)} lanes are of ends that were not recorded: {why}")
        return Sequence(
            title=title,
            lanes=tuple(self._lanes),
            steps=tuple(steps[place] for place in order),
            arrows=tuple(
                replace(arrow, source=places[arrow.source], target=places[arrow.target]) for arrow in self._arrows
            ),
            notes=(*notes, *further),
        )

    # Lanes.

    def _lay_out(self, chosen: list[End]) -> None:
        drawn = {id(end) for end in chosen}
        lonely = [end for end in chosen if not self._has_peer(end, drawn)]
        for end in lonely:
            if end.role is Role.ACCEPTING:
                self._shadow(end)
        for process in dict.fromkeys(end.process for end in chosen):
            for end in chosen:
                if end.process == process:
                    self._own[id(end)] = len(self._lanes)
                    lane = Lane(group=printable(process), title=printable(end.title), detail=printable(end.detail))
                    self._lanes.append(lane)
        for end in lonely:
            if end.role is Role.CONNECTING:
                self._shadow(end)

    def _has_peer(self, end: End, drawn: set[int]) -> bool:
        peers = [self._pairs.get(id(wire)) for wire in end.wires]
        return any(peer is not None and id(self._ends[id(peer)]) in drawn for peer in peers)

    def _shadow(self, end: End) -> None:
        self._shadows[id(end)] = len(self._lanes)
        self._lanes.append(Lane(group=NOT_RECORDED, title=printable(end.wires[-1].line.there)))

    # Steps.

    def _seconds(self, at: int) -> float:
        return (at - self._begun) * NANO

    def _goes_on(self, wire: Wire, frame: Frame) -> bool:
        """Whether it is one more frame of a message that has begun."""
        key = id(wire), frame.is_received, frame.lane
        place = self._open.get(key) if frame.flags != CONTROL else None
        if place is None:
            return False
        made = self._steps[place]
        if isinstance(made, Step) or (made.frame.kind, made.frame.id) != (frame.kind, frame.id):
            del self._open[key]  # the rest of the other one was not recorded
            return False
        ended = None if frame.ended is None else self._seconds(frame.ended)
        made.add(frame, ended)
        self._seen[id(wire), frame.is_received, _identity(frame)] = place
        if not frame.has_more:
            del self._open[key]
        return True

    def _message(self, at: int, wire: Wire, frame: Frame) -> None:
        end = self._ends[id(wire)]
        ended = None if frame.ended is None else self._seconds(frame.ended)
        step = Step(
            lane=self._own[id(end)],
            begun=self._seconds(at),
            ended=ended,
            text=_text(frame),
            tone=_tone(frame),
            state=frame.state,
        )
        made = _Made(frame, step)
        made.add(frame, ended)
        place = len(self._steps)
        self._steps.append(made)
        self._seen[id(wire), frame.is_received, _identity(frame)] = place
        if frame.has_more and frame.flags != CONTROL:
            self._open[id(wire), frame.is_received, frame.lane] = place
        self._match_answer(end, made)

    def _match_answer(self, end: End, made: _Made) -> None:
        frame = made.frame
        if frame.kind == ASK:
            self._asked.setdefault((id(end), frame.is_received, frame.id), made)
        elif frame.kind in _ANSWERS and frame.id:
            asked = self._asked.pop((id(end), not frame.is_received, frame.id), None)
            if asked is not None:
                asked.partner, made.partner = made, asked

    def _gone(self, wire: Wire) -> None:
        gone = wire.gone
        assert gone is not None, "else there is no such moment"  # noqa: S101 - the house's own order
        at = self._seconds(gone.at)
        self._steps.append(
            Step(
                lane=self._own[id(self._ends[id(wire)])],
                begun=at,
                ended=at,
                text=f"connection {printable(gone.state)}",
                result=printable(gone.reason)[:200],
                tone=Tone.END if gone.state == "closed" else Tone.FAILED,
                state=printable(gone.state),
            )
        )

    # Arrows.

    def _join(self) -> None:
        by_id = {id(wire): wire for wire in self._wires.wires.values()}
        for (identity, is_received, name), place in tuple(self._seen.items()):
            wire = by_id[identity]
            made = self._steps[place]
            if isinstance(made, Step) or _identity(made.frame) != name:
                continue  # a further frame of its message
            shadow = self._shadows.get(id(self._ends[identity]))
            if shadow is not None:
                self._mirror(place, made, shadow)
            elif not is_received:
                self._join_pair(wire, place, made)

    def _join_pair(self, wire: Wire, place: int, made: _Made) -> None:
        peer = self._pairs.get(id(wire))
        if peer is None:
            return
        is_control = made.frame.flags == CONTROL
        target = self._seen.get((id(peer), True, _identity(made.frame)))
        if target is not None and (not is_control or (wire.begins and peer.begins)):
            self._arrow(place, target, made)
        elif target is None and peer.begins and (peer.gone is not None or wire.gone is not None):
            made.step = replace(made.step, result="did not arrive")

    def _mirror(self, place: int, made: _Made, lane: int) -> None:
        """The other end of a message, which was not recorded."""
        text = made.step.text
        text = text.removeprefix("received ") if made.frame.is_received else f"received {text}"
        step = replace(made.step, lane=lane, text=text, state="", ended=made.step.begun)
        other = len(self._steps)
        self._steps.append(replace(step, size=made.size))
        source, target = (other, place) if made.frame.is_received else (place, other)
        self._arrow(source, target, made)

    def _arrow(self, source: int, target: int, made: _Made) -> None:
        name = printable(made.frame.type.name) or kind_name(made.frame.kind)
        self._arrows.append(
            Arrow(source=source, target=target, text=name, size=made.size, tone=made.step.tone, at_begin=True)
        )

    # Events.

    def _events(self) -> tuple[str, ...]:
        """Steps for what happened to an end that is drawn; notes for the rest."""
        notes = []
        by_peer: dict[tuple[int, str], list[Wire]] = {}
        for (pid, _), wire in self._wires.wires.items():
            by_peer.setdefault((pid, wire.line.there), []).append(wire)
        for event in self._wires.events:
            if event.name in _TOLD:
                continue
            name = printable(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", event.name).lower())
            end = self._end_of(event, by_peer)
            if end is None:
                notes.append(f"{self._seconds(event.at):.3f} s: {name}: {_fields(event)}")
                continue
            at = self._seconds(event.at)
            lane = self._own.get(id(end))
            if lane is not None:
                tone = Tone.FAILED if event.name in _BAD else Tone.BEGIN
                self._steps.append(Step(lane=lane, begun=at, ended=at, text=name, result=_fields(event), tone=tone))
        if len(notes) > _MOST_NOTES:
            notes[_MOST_NOTES:] = [f"and {len(notes) - _MOST_NOTES:,} more events"]
        return tuple(notes)

    def _end_of(self, event: EventLine, by_peer: dict[tuple[int, str], list[Wire]]) -> End | None:
        """That of the last wire to the event's peer that had begun by then."""
        peer = event.fields.get("peer") or event.fields.get("where")
        wires = by_peer.get((event.pid, peer), []) if isinstance(peer, str) else []
        wire = next((wire for wire in reversed(wires) if wire.begun <= event.at), None)
        return None if wire is None else self._ends[id(wire)]


def _fields(event: EventLine) -> str:
    shown = {name: value for name, value in event.fields.items() if name not in ("peer", "where") and value != ""}
    return " ".join(f"{printable(name)}={short(value)}" for name, value in list(shown.items())[:8])[:300]
