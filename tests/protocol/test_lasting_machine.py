"""Two ends of a session, and whatever may happen between them, over however many connections."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.protocol.lasting import SMALL, End, accepting, all_of, close, ends, lose, talk
from tests.protocol.pairs import begin_at
from tomada.protocol import Engine, Resuming, Role, State

roles = st.sampled_from(Role)
sizes = st.integers(4, 60) | st.integers(1_000, 4_000)
OTHER = {Role.CONNECTING: Role.ACCEPTING, Role.ACCEPTING: Role.CONNECTING}


class Lasting(RuleBasedStateMachine):
    """Nothing is lost, doubled or put in another order; what is held stays within its bounds."""

    @initialize(start=st.just(1) | st.integers(2**32 - 20, 2**32 - 1))
    def begin(self, start: int) -> None:
        client, server = ends()
        begin_at(client, server, start)
        begin_at(server, client, start)
        self.ends = {Role.CONNECTING: End(client, answers=False), Role.ACCEPTING: End(server, answers=False)}
        self.way = {role: bytearray() for role in Role}
        self.sent: dict[Role, dict[bool, list[bytes]]] = {role: {False: [], True: []} for role in Role}
        self.asked: dict[Role, set[int]] = {role: set() for role in Role}
        self.open: dict[Role, list[int]] = {role: [] for role in Role}
        self.parts: dict[Role, dict[int, list[bytes]]] = {role: {} for role in Role}
        self.count = 0

    def payload(self, size: int) -> bytes:
        self.count += 1
        return self.count.to_bytes(4, "big") + bytes(size - 4)

    def may_begin(self, role: Role, *, urgent: bool) -> bool:
        engine = self.ends[role].engine
        return not (engine.urgent_full if urgent else engine.full)

    @rule(role=roles, size=sizes, urgent=st.booleans())
    def send(self, role: Role, size: int, *, urgent: bool) -> None:
        if self.may_begin(role, urgent=urgent):
            payload = self.payload(size)
            self.ends[role].engine.send(1, payload, urgent)
            self.sent[role][urgent].append(payload)

    @rule(role=roles, size=sizes, urgent=st.booleans())
    def ask(self, role: Role, size: int, *, urgent: bool) -> None:
        engine = self.ends[role].engine
        if self.may_begin(role, urgent=urgent) and engine.room > 0:
            payload = self.payload(size)
            id_ = engine.ask(1, payload, self.count, None, None, urgent)
            self.asked[role].add(self.count)
            self.open[role].append(id_)
            self.sent[role][urgent].append(payload)

    @rule(role=roles, size=sizes, place=st.integers(0, 9), ends=st.booleans())
    def say_a_part(self, role: Role, size: int, place: int, *, ends: bool) -> None:
        """Of a request of this end."""
        engine = self.ends[role].engine
        open_ = [id_ for id_ in self.open[role] if engine._asked.get(id_) is not None]
        if open_:
            id_ = open_[place % len(open_)]
            if ends:
                engine.end(id_)
            elif engine.has_stream_room(id_) and not engine.stuffed:
                payload = self.payload(size)
                if not engine._outflow(id_).is_ended:
                    self.parts[role].setdefault(id_, []).append(payload)
                engine.item(id_, 0, payload)

    @rule(role=roles, place=st.integers(0, 9))
    def cancel(self, role: Role, place: int) -> None:
        engine = self.ends[role].engine
        if self.open[role]:
            id_ = self.open[role][place % len(self.open[role])]
            self.asked[role].discard(engine._asked.get(id_) or 0)
            engine.cancel(id_)

    @rule(role=roles, place=st.integers(0, 9))
    def handle(self, role: Role, place: int) -> None:
        """In whatever order handlers end."""
        end = self.ends[role]
        if end.waiting and not end.engine.stuffed:
            end.handle(place % len(end.waiting))

    @rule(role=roles, at_once=st.booleans())
    def report(self, role: Role, *, at_once: bool) -> None:
        self.ends[role].engine.report(at_once=at_once)

    @rule(role=roles, size=st.integers(1, 1_200) | st.just(10**6))
    def deliver(self, role: Role, size: int) -> None:
        """Some bytes of `role` arrive."""
        self.way[role] += self.ends[role].engine.take()
        data = bytes(self.way[role][:size])
        del self.way[role][:size]
        self.ends[OTHER[role]].receive(data)

    @rule(seen_by=st.sampled_from(["both", "client"]))
    def lose(self, seen_by: str) -> None:
        """All that is under way is gone; the accepting end may not have noticed when the other comes back."""
        client, server = (end.engine for end in self.ends.values())
        lose(client, *([server] if seen_by == "both" else []))
        for role in Role:
            self.way[role].clear()

    @rule(hello_arrives=st.booleans(), welcome=st.integers(0, 300) | st.just(10**6))
    def resume(self, *, hello_arrives: bool, welcome: int) -> None:
        client, server = (end.engine for end in self.ends.values())
        if client.state is not State.LOST:
            return
        client.hello(0.0)
        hello = all_of(client)
        if hello_arrives:
            (event,) = accepting().receive(hello, 0.0)
            assert isinstance(event, Resuming)
            assert event.hello.session is not None
            assert event.hello.session.generation > server.generation
            assert event.hello.session.epoch <= server.epoch
            assert server.disagreement(event.hello.session.positions) == ""
            server.resume(event.hello.session, 0.0)
            for way in self.way.values():
                way.clear()  # it was the older connection's
            self.deliver(Role.ACCEPTING, welcome)
        if self.is_resuming:
            self.lose("client")

    @property
    def is_resuming(self) -> bool:
        return self.ends[Role.CONNECTING].engine.state is State.RESUMING

    @invariant()
    def each_message_comes_once_and_in_order(self) -> None:
        for role in Role:
            for urgent in (False, True):
                received = self.ends[OTHER[role]].received[urgent]
                assert received == self.sent[role][urgent][: len(received)]

    @invariant()
    def each_part_comes_once_and_in_order(self) -> None:
        for role in Role:
            for id_, items in self.ends[OTHER[role]].items.items():
                assert items == self.parts[role][id_][: len(items)]

    @invariant()
    def nothing_is_wrong(self) -> None:
        for end in self.ends.values():
            assert end.engine.state in {State.OPEN, State.LOST, State.RESUMING}, end.engine.reason
            assert end.engine.duplicates == 0

    @invariant()
    def what_is_held_is_bounded(self) -> None:
        message = SMALL.message_bytes + 100
        for end in self.ends.values():
            engine = end.engine
            assert engine.held_bytes <= SMALL.buffer_bytes + SMALL.urgent_bytes + 2 * message
            assert engine.normal.kept <= 2 * SMALL.buffer_bytes + 3 * message + 8 * message
            assert engine.unfinished <= 3 * message

    @invariant()
    def nobody_believes_to_have_more_credit_than_was_granted(self) -> None:
        for role in Role:
            sender, receiver = self.ends[role].engine, self.ends[OTHER[role]].engine
            for lane, incoming in ((sender.normal, receiver.normal_in), (sender.urgent, receiver.urgent_in)):
                assert lane.credit <= incoming.granted
                assert incoming.received <= lane.offset + len(lane.gathered)
            for id_, flow in sender._outflows.items():
                if id_ in receiver._inflows:
                    assert flow.credit <= receiver._inflows[id_].credit
                    assert receiver._inflows[id_].offset <= flow.offset

    def teardown(self) -> None:
        if not hasattr(self, "ends"):
            return
        client, server = self.ends.values()
        if self.is_resuming:
            self.lose("client")
        self.resume(hello_arrives=True, welcome=10**6)
        for role in Role:
            self.deliver(role, 10**6)
        for _ in range(20):
            talk(client, server)
            for end in (client, server):
                while end.waiting and not end.engine.stuffed:
                    end.handle(0)
                end.engine.report(at_once=True)
        self.nothing_is_wrong()
        for role in Role:
            self.all_has_arrived_from(role)
            self.both_count_alike(self.ends[role].engine, self.ends[OTHER[role]].engine)
        close(client, server)
        for end in self.ends.values():
            assert end.engine.kept == end.engine.held == 0

    def all_has_arrived_from(self, role: Role) -> None:
        sender, receiver = self.ends[role], self.ends[OTHER[role]]
        assert not receiver.waiting
        assert receiver.received == self.sent[role]
        assert {tag for tag in sender.answered if tag is not None} == self.asked[role]
        assert all(len(answers) == 1 for tag, answers in sender.answered.items() if tag is not None)
        keys = list(receiver.keys.values())
        assert len(set(keys)) == len(keys)

    def both_count_alike(self, sender: Engine, receiver: Engine) -> None:
        for lane, incoming in ((sender.normal, receiver.normal_in), (sender.urgent, receiver.urgent_in)):
            assert lane.credit == incoming.granted
            assert lane.offset + len(lane.gathered) == incoming.received
        for id_, flow in sender._outflows.items():
            inflow = receiver._inflows.get(id_)
            assert inflow is None or (flow.credit, flow.offset) == (inflow.credit, inflow.offset)


Lasting.TestCase.settings = settings(deadline=None, max_examples=400, stateful_step_count=50)
TestLasting = Lasting.TestCase
