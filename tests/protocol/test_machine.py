"""Two ends, and whatever may happen between them in whatever order."""

from __future__ import annotations

from math import inf
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.protocol.pairs import engine, frame
from tomada.errors import ConnectionLost, InvalidMessage
from tomada.protocol import (
    Answered,
    Asked,
    Engine,
    Event,
    FailureCode,
    GoodbyeCode,
    Kind,
    PeerLimits,
    Received,
    Role,
    State,
    TypeEntry,
    TypeKind,
)
from tomada.protocol.state import FINAL, TRANSITIONS

LIMITS = PeerLimits(1_024, 3_000, 3)
ends = st.sampled_from(Role)
deadlines = st.none() | st.integers(0, 3_000) | st.just(2**32 - 1)
payloads = st.binary(max_size=20) | st.integers(1_000, 3_001).map(bytes)


def reachable(role: Role) -> dict[State, set[State]]:
    """The states that an end may come to from each, by any number of steps."""
    table = TRANSITIONS[role]
    found = {state: {state, *row.values()} for state, row in table.items()}
    for _ in State:
        for reached in found.values():
            reached.update(*[found[state] for state in reached])
    return found


REACHABLE = {role: reachable(role) for role in Role}


class Ends(RuleBasedStateMachine):
    """Legal commands only; bytes arrive late and in pieces."""

    @initialize()
    def begin(self) -> None:
        self.engines = {role: engine(role, LIMITS) for role in Role}
        self.way = {role: bytearray() for role in Role}
        self.sent: dict[Role, list[bytes]] = {role: [] for role in Role}
        self.received: dict[Role, list[bytes]] = {role: [] for role in Role}
        self.asked: dict[Role, set[int]] = {role: set() for role in Role}
        self.to_answer: dict[Role, list[int]] = {role: [] for role in Role}
        self.last = {role: end.state for role, end in self.engines.items()}
        self.tags = 0
        self.now = 0.0
        self.due: dict[Role, dict[int, float]] = {role: {} for role in Role}
        self.hostile = False

    def other(self, role: Role) -> Role:
        return Role.ACCEPTING if role is Role.CONNECTING else Role.CONNECTING

    def collect(self, role: Role) -> None:
        self.way[role] += self.engines[role].take()

    @rule(role=ends, payload=payloads, deadline=deadlines)
    def ask(self, role: Role, payload: bytes, deadline: int | None) -> None:
        end = self.engines[role]
        if end.state is not State.OPEN or end.room > 0:
            self.tags += 1
            if self.attempt(end, lambda: end.ask(1, payload, self.tags, deadline), payload):
                self.asked[role].add(self.tags)

    @rule(role=ends, payload=payloads)
    def send(self, role: Role, payload: bytes) -> None:
        end = self.engines[role]
        if self.attempt(end, lambda: end.send(1, payload), payload):
            self.sent[role].append(payload)

    def attempt(self, end: Engine, command: Any, payload: bytes) -> bool:
        try:
            command()
        except ConnectionLost:
            assert end.state is not State.OPEN
            return False
        except InvalidMessage:
            assert len(payload) > LIMITS.message_bytes
            return False
        return True

    @rule(role=ends, payload=payloads, how=st.integers(0, 2), place=st.integers(0, 9))
    def answer(self, role: Role, payload: bytes, how: int, place: int) -> None:
        end, open_ = self.engines[role], self.to_answer[role]
        if open_:
            id_ = open_[place % len(open_)]
            try:
                if how == 0:
                    end.reply(id_, 1, payload)
                elif how == 1:
                    end.fail(id_, 1, payload)
                else:
                    end.refuse(id_, FailureCode.RAISED, "", payload.hex())
            except InvalidMessage:
                assert len(payload) > LIMITS.message_bytes
            else:
                open_.remove(id_)
                self.due[role].pop(id_, None)

    @rule(role=ends, id_=st.integers(0, 8))
    def cancel(self, role: Role, id_: int) -> None:
        self.asked[role].discard(self.engines[role]._asked.get(id_))
        self.engines[role].cancel(id_)

    @rule(role=ends)
    def declare(self, role: Role) -> None:
        if self.engines[role].state not in (State.STARTING, State.GREETED):
            self.engines[role].declare((TypeEntry("Note", TypeKind.MESSAGE),))

    @rule(role=ends)
    def ping(self, role: Role) -> None:
        self.attempt(self.engines[role], lambda: self.engines[role].ping(b"p"), b"")

    @rule(role=ends)
    def leave(self, role: Role) -> None:
        self.engines[role].leave(GoodbyeCode.CLOSED, "")

    @rule(role=ends, size=st.integers(1, 1_200) | st.just(10**6))
    def deliver(self, role: Role, size: int) -> None:
        """Some bytes of `role` arrive at the other end."""
        self.collect(role)
        data = bytes(self.way[role][:size])
        del self.way[role][:size]
        other = self.other(role)
        for event in self.engines[other].receive(data, self.now):
            self.note(other, event)

    def note(self, role: Role, event: Event) -> None:
        if isinstance(event, Received):
            self.received[role].append(event.payload)
        elif isinstance(event, Asked):
            assert event.id not in self.to_answer[role]
            self.to_answer[role].append(event.id)
            if event.deadline is not None:
                self.due[role][event.id] = self.now + event.deadline / 1_000
        elif isinstance(event, Answered) and event.tag is not None:
            # An answer comes once: a second removal raises.
            self.asked[role].remove(event.tag)

    @rule(role=ends)
    def nothing_is_late(self, role: Role) -> None:
        assert not self.engines[role].expired(self.now, 1e9, 1e9)

    @rule(role=ends, seconds=st.floats(0, 4, width=16) | st.just(1e7))
    def time_passes(self, role: Role, seconds: float) -> None:
        """What is late is told once; what is answered, or ended, is not."""
        self.now += seconds
        end, due = self.engines[role], self.due[role]
        if end.state in FINAL:
            due.clear()
        late = {id_ for id_, at in due.items() if at <= self.now}
        assert {id_ for id_ in due if end.is_late(id_, self.now)} == late
        assert {id_ for id_, _ in end.late(self.now)} == late
        for id_ in late:
            del due[id_]
        assert end.answer_by == min(due.values(), default=inf) or end.answer_by > self.now
        assert end.late(self.now) == []

    @invariant()
    def states_follow_the_table(self) -> None:
        for role, end in self.engines.items():
            assert end.state in REACHABLE[role][self.last[role]]
            self.last[role] = end.state

    @invariant()
    def the_ends_agree(self) -> None:
        if self.hostile:
            return
        assert State.FAILED not in self.last.values(), [end.reason for end in self.engines.values()]
        for role in Role:
            sent = self.sent[role]
            received = self.received[self.other(role)]
            assert received == sent[: len(received)]

    def teardown(self) -> None:
        if not hasattr(self, "engines"):
            return
        for _ in range(4):
            for role in Role:
                self.deliver(role, 10**6)
        closing = any(end.state in (State.LEAVING, State.LEFT, State.CLOSED) for end in self.engines.values())
        if not closing:
            # All that was said has arrived, and what is open at one end is open at the other.
            for role in Role:
                other = self.other(role)
                assert self.received[other] == self.sent[role]
                assert set(self.engines[role]._asked) == set(self.to_answer[other])
        for role in Role:
            self.engines[role].leave(GoodbyeCode.CLOSED, "")
        for _ in range(2):
            for role in Role:
                self.deliver(role, 10**6)
        assert {end.state for end in self.engines.values()} == {State.CLOSED}
        for role in Role:
            self.asked[role] -= {tag for _, tag in self.engines[role].drop("")}
            assert not self.asked[role]


class HostileEnds(Ends):
    """One end may say anything: only documented errors are raised, and every change of state is in the table."""

    @rule(role=ends, data=st.binary(max_size=40))
    def say_anything(self, role: Role, data: bytes) -> None:
        self.inject(role, data)

    @rule(
        role=ends,
        kind=st.sampled_from(Kind),
        flags=st.sampled_from([None, None, 0, 1, 2, 3, 6]),
        id_=st.integers(0, 6),
        sequence=st.sampled_from([None, None, 0, 1, 2, 3]),
    )
    def say_a_frame(self, role: Role, kind: Kind, flags: int | None, id_: int, sequence: int | None) -> None:
        self.inject(role, frame(kind, b"\x92\xa6closed\xa0", flags=flags, id_=id_, sequence=sequence))

    def inject(self, role: Role, data: bytes) -> None:
        self.hostile = True
        self.collect(role)
        self.way[role] += data

    @rule(role=ends)
    def end_of_input(self, role: Role) -> None:
        self.hostile = True
        self.engines[role].receive_end()
        assert self.engines[role].state in FINAL

    @rule(role=ends)
    def be_late(self, role: Role) -> None:
        self.hostile = True
        self.engines[role].expired(self.now + 1e12, 1.0, 1.0)

    @rule(role=ends)
    def drop(self, role: Role) -> None:
        self.hostile = True
        self.engines[role].drop("dropped")

    @precondition(lambda self: self.hostile)
    @invariant()
    def what_has_ended_says_no_more(self) -> None:
        for role, end in self.engines.items():
            if end.state in FINAL:
                self.collect(role)
                end.refuse(0, FailureCode.INTERNAL, "", "")
                end.declare(())
                end.leave(GoodbyeCode.CLOSED, "")
                assert end.unsent == 0

    def note(self, role: Role, event: Event) -> None:
        if isinstance(event, Asked) and event.id not in self.to_answer[role]:
            self.to_answer[role].append(event.id)

    def time_passes(self, role: Role, seconds: float) -> None:
        self.now += seconds
        self.engines[role].late(self.now)

    def teardown(self) -> None:
        pass


Ends.TestCase.settings = settings(deadline=None, max_examples=400, stateful_step_count=40)
HostileEnds.TestCase.settings = settings(deadline=None, max_examples=400, stateful_step_count=30)
TestEnds = Ends.TestCase
TestHostileEnds = HostileEnds.TestCase
