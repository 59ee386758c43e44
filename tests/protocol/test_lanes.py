"""Two lanes in each direction: their order, their credit, what is kept of them, and what is acknowledged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol.lasting import SMALL, End, all_of, call, carry, close, ends, lose, resume, talk
from tests.protocol.pairs import begin_at, frame, heads
from tomada.errors import InvalidMessage, ProtocolError
from tomada.protocol import Engine, FailureCode, Kind, PeerLimits, Received, Role, State, Welcome
from tomada.protocol.continuity import Continuity
from tomada.protocol.frames import HEADER_BYTES, MORE, NORMAL, URGENT
from tomada.protocol.inbound import Inbound
from tomada.protocol.lanes import MOST_EXCEPTIONS, extended, is_after, split_frames
from tomada.protocol.outgoing import CHUNK_BYTES, Chunk, Outgoing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LARGE = PeerLimits()


def lanes_of(data: bytes) -> list[int]:
    """The lane of each frame."""
    return [head[2] & 3 for head in heads(data)]


def fill(end: Engine, size: int = 1_000) -> int:
    """Send until who sends has to wait; how many messages that were."""
    count = 0
    while not end.full:
        end.send(1, bytes(size))
        count += 1
    return count


def is_full(end: End) -> bool:
    """Whether it has to wait now."""
    return end.engine.full


def is_stuffed(end: End) -> bool:
    """Whether it may answer nothing now."""
    return end.engine.stuffed


class TestOrder:
    def test_what_is_urgent_overtakes_all_that_waits(self) -> None:
        client, _ = ends(LARGE)
        fill(client)
        client.send(1, b"now", True)
        client.ask(1, b"now", "tag", None, None, True)
        first = bytes(client.take())

        assert lanes_of(first) == [URGENT, URGENT]
        assert [head[-1] for head in heads(first)] == [1, 2]

    def test_control_frames_overtake_what_is_urgent(self) -> None:
        client, _ = ends(LARGE)
        client.send(1, b"n")
        client.send(1, b"u", True)
        client.ping(b"p")

        assert [head[1] for head in heads(bytes(client.take()))] == [Kind.PING, Kind.SEND]
        assert lanes_of(all_of(client)) == [NORMAL]

    def test_it_waits_for_one_piece_at_most_in_the_middle_of_a_long_message(self) -> None:
        client, server = ends(LARGE)
        client.send(1, bytes(10 * CHUNK_BYTES))
        begun = bytes(client.take())
        assert len(begun) <= CHUNK_BYTES + HEADER_BYTES + LARGE.frame_bytes
        client.send(1, b"u", True)
        assert server.receive(begun, 0.0) == []

        assert server.receive(bytes(client.take()), 0.0) == [Received(1, b"u", ~1)]
        (whole,) = server.receive(all_of(client), 0.0)
        assert isinstance(whole, Received)
        assert whole.origin == 10

    def test_the_normal_lane_does_not_starve(self) -> None:
        client, _ = ends(LARGE)
        fill(client, 60_000)
        order = []
        for _ in range(40):
            client.urgent.credit += CHUNK_BYTES
            client.send(1, bytes(CHUNK_BYTES), True)
            order.append(set(lanes_of(bytes(client.take()))).pop())

        assert order.count(NORMAL) == 5
        assert max(len(run) for run in bytes(order).split(bytes([NORMAL]))) == 7

    def test_nor_does_it_take_turns_that_nobody_else_wanted(self) -> None:
        client, _ = ends(LARGE)
        for _ in range(20):
            client.send(1, b"u", True)
            client.take()
        fill(client)
        client.send(1, b"u", True)

        assert lanes_of(bytes(client.take())) == [URGENT]

    def test_answers_go_in_the_lane_of_their_request(self) -> None:
        client, server = ends()
        for urgent in (False, True):
            client.ask(1, b"", urgent, None, None, urgent)
            client.ask(1, b"", urgent, None, None, urgent)
        client.cancel(1)
        client.cancel(5)
        carry(client, server)
        for id_ in (1, 5):
            server.reply(id_, 1, b"")
            server.fail(id_ + 2, 1, b"")
        said = all_of(server)

        assert sorted(lanes_of(said)) == [URGENT, URGENT, NORMAL, NORMAL]
        assert lanes_of(said)[:2] == [URGENT, URGENT]
        carry(client, server)
        client.receive(said, 0.0)
        assert client.idle
        assert server.idle
        assert (client._urgent_asked, server._urgent_open) == (set(), set())

    def test_an_answer_in_the_other_lane_leaves_nothing_behind(self) -> None:
        client, server = ends()
        client.ask(1, b"", "tag", None, None, True)
        carry(client, server)
        server._urgent_open.clear()
        server.reply(1, 1, b"")
        carry(client, server)

        assert client.idle
        assert client._urgent_asked == set()

    def test_the_end_forgets_what_was_open(self) -> None:
        client, server = ends(features=())
        client.ask(1, b"", "tag", None, None, True)
        carry(client, server)
        server.drop("")

        assert server._urgent_open == set()


class TestSequences:
    @pytest.mark.parametrize("before", [0, 1, 2, 5])
    def test_they_wrap_in_a_session_that_is_cut(self, before: int) -> None:
        client, server = ends()
        begin_at(client, server, 2**32 - before)
        for number in range(3):
            client.send(1, bytes([number]))
        server.receive(all_of(client), 0.0)
        for number in range(3, 6):
            client.send(1, bytes([number]))
        all_of(client)
        lose(client, server)
        resume(client, server)
        told = carry(client, server)[1]

        assert [event.payload for event in told if isinstance(event, Received)] == [b"\3", b"\4", b"\5"]
        assert server.duplicates == 0
        server.report(at_once=True)
        carry(client, server)
        assert client.normal.acknowledged == (2**32 - before + 5) % 2**32
        assert client.kept == 0

    def test_keys_go_on_where_they_wrap(self) -> None:
        client, server = (End(engine, answers=False) for engine in ends())
        begin_at(client.engine, server.engine, 2**32 - 1)
        for number in range(3):
            client.engine.send(1, bytes([number]))
        talk(client, server)

        numbers = [int(key.partition(".")[2]) for key in server.keys.values()]
        assert numbers == [2**32 - 1, 2**32, 2**32 + 1]
        client.engine.drop("the end")
        assert [lost.key for lost in client.engine.undelivered] == list(server.keys.values())

    def test_one_that_has_come_is_dropped_and_counted(self) -> None:
        client, server = ends()
        for payload in (b"a", b"b"):
            client.send(1, payload)
            client.send(1, payload, True)
        said = all_of(client)
        assert len(server.receive(said, 0.0)) == 4

        assert server.receive(said, 0.0) == []
        assert (server.duplicates, server.state) == (4, State.OPEN)
        received = server.normal_in.received
        client.send(1, b"c")
        assert len(server.receive(all_of(client), 0.0)) == 1
        assert server.normal_in.received == received + HEADER_BYTES + 1

    @given(st.integers(0, 2**32 - 1), st.integers(1, 2**31 - 1))
    def test_after(self, sequence: int, ahead: int) -> None:
        later = (sequence + ahead) % 2**32

        assert is_after(later, sequence)
        assert not is_after(sequence, later)
        assert not is_after(sequence, sequence)

    @given(st.integers(0, 2**40), st.integers(1 - 2**31, 2**31 - 1))
    def test_counted_on(self, near: int, away: int) -> None:
        if near + away >= 0:
            assert extended((near + away) % 2**32, near) == near + away


class TestCredit:
    @pytest.mark.parametrize("urgent", [False, True])
    def test_it_is_for_what_the_peer_has_not_handled(self, *, urgent: bool) -> None:
        client, server = (End(engine, answers=False) for engine in ends())
        sender = client.engine.urgent if urgent else client.engine.normal
        count = 0
        while not (client.engine.urgent_full if urgent else client.engine.full):
            client.engine.send(1, bytes(300), urgent)
            talk(client, server)
            count += 1
        window = SMALL.urgent_bytes if urgent else SMALL.buffer_bytes
        assert count == -(-window // 316)
        assert server.engine.held == count
        assert server.engine.held_bytes == count * 316
        server.engine.report(at_once=True)
        talk(client, server)
        assert client.engine.full is not urgent

        server.handle_all()
        server.engine.report(at_once=True)
        talk(client, server)
        assert not client.engine.urgent_full
        assert not client.engine.full
        assert sender.credit == sender.offset + window
        assert sender.kept == 0

    def test_small_steps_are_not_told(self) -> None:
        client, server = (End(engine) for engine in ends(LARGE))
        talk(client, server)
        client.engine.send(1, bytes(100))
        server.receive(all_of(client.engine))
        server.engine.report()
        assert server.engine.unsent == 0
        client.engine.send(1, bytes(LARGE.buffer_bytes // 4))
        server.receive(all_of(client.engine))
        server.engine.report()

        assert [head[1] for head in heads(all_of(server.engine))] == [Kind.CREDIT, Kind.ACKNOWLEDGE]
        server.engine.report(at_once=True)
        assert server.engine.unsent == 0

    def test_many_small_messages_are_acknowledged_before_they_use_it_up(self) -> None:
        client, server = (End(engine) for engine in ends(LARGE))
        for _ in range(1_100):
            client.engine.send(1, b"")
        server.receive(all_of(client.engine))
        server.engine.report()

        assert [head[1] for head in heads(all_of(server.engine))] == [Kind.ACKNOWLEDGE]

    def test_answers_need_none_and_count(self) -> None:
        client, server = (End(engine) for engine in ends())
        for _ in range(4):
            client.engine.ask(1, b"", "tag")
        server.answers = False
        talk(client, server, reports=False)
        for event in list(server.waiting):
            assert not isinstance(event, Received)
            server.engine.reply(event.id, 1, bytes(4_000))
        assert is_full(server)
        assert server.engine.credit_left == 0
        talk(client, server, reports=False)
        assert len(client.answered["tag"]) == 4
        assert is_full(server)
        client.engine.report()
        talk(client, server)
        assert not is_full(server)
        assert server.engine.credit_left > 0

    def test_one_message_may_go_beyond(self) -> None:
        client, server = (End(engine, answers=False) for engine in ends())
        client.engine.send(1, bytes(4_000))
        assert not is_full(client)
        client.engine.send(1, bytes(4_096))
        assert is_full(client)
        talk(client, server)

        assert server.engine.state is State.OPEN
        client.engine.send(1, b"")
        talk(client, server)
        assert server.engine.reason == "a message was begun at 8224 bytes, the credit is 4096"

    @pytest.mark.parametrize("reports", [False, True])
    def test_two_ends_that_only_send_do_not_block_each_other(self, *, reports: bool) -> None:
        client, server = (End(engine, answers=False) for engine in ends())
        for end in (client, server):
            end.engine.send(1, bytes(4_000))
            end.engine.send(1, bytes(4_096))
        talk(client, server, reports=reports)
        for end in (client, server):
            assert end.engine.full
            assert not end.engine.stuffed

    def test_answers_that_the_peer_does_not_take_are_bounded(self) -> None:
        for urgent in (False, True):
            client, server = (End(engine, answers=False) for engine in ends())
            kept = []
            for number in range(8):
                client.engine.ask(1, b"", number, None, None, urgent)
            server.receive(all_of(client.engine))
            while server.waiting and not server.engine.stuffed:
                server.waiting.pop()
                server.engine.reply(2 * len(server.waiting) + 1, 1, bytes(1_000))
                kept.append(server.engine.kept)

            assert is_stuffed(server)
            assert len(kept) == (2 if urgent else 5)
            client.receive(all_of(server.engine))
            assert not is_stuffed(server)
            client.engine.report(at_once=True)
            talk(client, server)
            assert server.engine.kept == 0

    def test_what_is_read_and_not_acknowledged_is_bounded_too(self) -> None:
        client, server = (End(engine, answers=False) for engine in ends())
        count = 0
        while not is_stuffed(server):
            client.engine.ask(1, bytes(500), "tag")
            talk(client, server, reports=False)
            server.handle_all()
            server.engine.report(at_once=True)
            talk(client, server, reports=False)
            count += 1

        assert count == -(-2 * SMALL.buffer_bytes // 516)
        client.engine.report(at_once=True)
        talk(client, server)
        assert not is_stuffed(server)

    def test_a_peer_whose_messages_are_refused_and_that_never_acknowledges_is_not_told_for_ever(self) -> None:
        client, server = (End(engine, answers=False) for engine in ends())
        while not is_stuffed(server):
            server.engine.refuse(0, FailureCode.INVALID, "", "x" * 1_000)
            talk(client, server, reports=False)
        kept = server.engine.kept
        server.engine.refuse(0, FailureCode.INVALID, "", "x" * 1_000)

        assert server.engine.kept == kept

    def test_a_peer_whose_requests_are_refused_and_that_never_acknowledges_breaks_the_protocol(self) -> None:
        client, server = (End(engine, answers=False) for engine in ends())
        while server.engine.state is State.OPEN:
            self.refuse_one(client, server)
            server.engine.report(at_once=True)
            talk(client, server, reports=False)

        assert "bytes of refused requests were not acknowledged" in client.engine.reason
        most = 3 * SMALL.buffer_bytes + CHUNK_BYTES + SMALL.requests * 1_024
        assert server.engine.kept < most + 2_000

    def test_a_peer_that_acknowledges_may_have_any_number_refused(self) -> None:
        client, server = (End(engine, answers=False) for engine in ends())
        while not is_stuffed(server):
            self.refuse_one(client, server)
            server.engine.report(at_once=True)
            talk(client, server, reports=False)
        # Something long is on its way in the other lane all the time.
        kept = server.engine.normal.retained_bytes
        for _ in range(500):
            self.refuse_one(client, server, urgent=True)
            server.engine.report(at_once=True)
            talk(client, server, reports=False)
            up_to = client.engine.urgent_in.expected - 1
            server.engine.receive(frame(Kind.ACKNOWLEDGE, msgspec.msgpack.encode([[0, []], [up_to, []]])), 0.0)
            assert is_stuffed(server)

        assert server.engine.kept == server.engine.normal.retained_bytes == kept
        assert server.engine.state is State.OPEN

    @staticmethod
    def refuse_one(client: End, server: End, *, urgent: bool = False) -> None:
        """The client asks, and is refused."""
        id_ = client.engine.ask(1, b"", "tag", None, None, urgent)
        server.engine.receive(all_of(client.engine), 0.0)
        server.engine.refuse(id_, FailureCode.INVALID, "", "x" * 1_000)
        server.engine.refuse(id_, FailureCode.INVALID, "", "a second time is without effect")

    def test_a_lane_that_was_taken_in_small_pieces_has_used_its_credit_as_well(self) -> None:
        client, server = (End(engine, answers=False) for engine in ends(LARGE))
        count = 0
        while not client.engine.urgent_full:
            client.engine.send(1, bytes(1_000), True)
            talk(client, server)
            count += 1

        assert count == -(-LARGE.urgent_bytes // 1_016)
        assert server.engine.state is State.OPEN

    def test_without_a_session_nothing_is_kept(self) -> None:
        client, server = (End(engine) for engine in ends(features=()))
        for _ in range(200):
            client.engine.send(1, bytes(1_500))
            client.engine.send(1, bytes(1_500), True)
            talk(client, server)
            server.engine.report(at_once=True)
            talk(client, server)
            assert client.engine.kept == 0
        assert server.engine.normal_in.spans == {}
        assert server.engine.key(3) == ".3"

    @given(
        st.lists(st.tuples(st.booleans(), st.integers(0, 2_500), st.booleans()), max_size=40),
        st.lists(st.integers(0, 39), max_size=5),
    )
    @settings(deadline=None)
    def test_both_ends_count_alike(self, messages: list[tuple[bool, int, bool]], cuts: list[int]) -> None:
        client, server = (End(engine, answers=False) for engine in ends())
        for number, (urgent, size, handles) in enumerate(messages):
            if not (client.engine.urgent_full if urgent else client.engine.full):
                client.engine.send(1, bytes(size), urgent)
            if number in cuts:
                all_of(client.engine)
                lose(client.engine, server.engine)
                resume(client.engine, server.engine)
            talk(client, server)
            if handles:
                server.handle_all()
            server.engine.report(at_once=True)
            talk(client, server)
            for lane, incoming in (
                (client.engine.normal, server.engine.normal_in),
                (client.engine.urgent, server.engine.urgent_in),
            ):
                assert lane.credit == incoming.granted
                assert lane.offset + len(lane.gathered) == incoming.received
                assert lane.kept <= incoming.window + 4_096 + 5 * HEADER_BYTES
            assert server.engine.held_bytes <= SMALL.buffer_bytes + SMALL.urgent_bytes + 2 * 4_200


class TestAcknowledgements:
    def test_what_is_held_is_excepted_and_all_else_let_go(self) -> None:
        client, server = (End(engine, answers=False) for engine in ends())
        for number in range(5):
            client.engine.send(1, bytes([number]) * 100)
        talk(client, server)
        server.handle(1)
        server.handle(2)
        server.engine.report(at_once=True)
        talk(client, server)

        assert server.engine.normal_in.reported == (5, [1, 3, 5])
        assert sorted(client.engine.normal.stragglers) == [1, 3, 5]
        assert client.engine.kept == 3 * 116
        assert client.engine.normal.oldest == 1
        server.handle_all()
        close(client, server)

    def test_a_message_in_fragments_is_excepted_in_whole(self) -> None:
        client, server = (End(engine, answers=False) for engine in ends())
        client.engine.send(1, bytes(2_500))
        client.engine.send(1, b"x")
        talk(client, server)
        server.engine.report(at_once=True)
        assert server.engine.normal_in.reported == (4, [1, 2, 3, 4])
        server.handle(1)
        server.engine.report(at_once=True)
        assert server.engine.normal_in.reported == (4, [1, 2, 3])
        talk(client, server)
        client.engine.drop("")
        assert [lost.payload for lost in client.engine.undelivered] == [bytes(2_500)]

    def test_one_under_way_is_not_acknowledged(self) -> None:
        client, server = ends()
        client.send(1, b"x")
        client.send(1, bytes(2_500))
        server.receive(all_of(client)[:-10], 0.0)
        server.report(at_once=True)

        assert server.normal_in.reported == (1, [])

    def test_more_exceptions_than_are_told_wait(self) -> None:
        limits = PeerLimits(requests=5_000)
        client, server = (End(engine, answers=False) for engine in ends(limits))
        begin_at(client.engine, server.engine, 100_000)
        for number in range(2 * MOST_EXCEPTIONS):
            client.engine.send(1, b"")
            if number % 2:
                client.engine.send(1, b"", True)
        talk(client, server)
        server.engine.report(at_once=True)
        said = all_of(server.engine)
        client.receive(said)

        assert client.engine.state is State.OPEN, client.engine.reason
        assert server.engine.normal_in.reported[0] == 100_000 + MOST_EXCEPTIONS - 1
        assert len(server.engine.normal_in.reported[1]) == MOST_EXCEPTIONS
        server.handle_all()
        close(client, server)

    def test_a_message_of_more_fragments_than_that_waits_for_its_handler(self) -> None:
        limits = PeerLimits(1_024, 2_000_000, 5)
        client, server = (End(engine, answers=False) for engine in ends(limits))
        client.engine.send(1, b"x")
        client.engine.send(1, bytes(1_024 * (MOST_EXCEPTIONS + 1)))
        talk(client, server)
        server.handle(0)
        server.engine.report(at_once=True)
        assert server.engine.normal_in.reported == (1, [])
        talk(client, server)
        server.handle_all()
        close(client, server)

    @pytest.mark.parametrize(
        ("normal", "reason"),
        [
            ([6, []], "sequence 6 was acknowledged, 5 is the last that was sent"),
            ([2**31 + 1, []], "2147483649 was acknowledged"),
            ([3, []], "sequence 3 was acknowledged after 4"),
            ([4, [5]], "an exception from an acknowledgement is later than what it acknowledges"),
            ([4], "cannot be read"),
            ([-1, []], "cannot be read"),
            ([2**32, []], "cannot be read"),
            ([4, "x"], "cannot be read"),
            ([4, list(range(MOST_EXCEPTIONS + 1))], "cannot be read"),
        ],
    )
    def test_what_cannot_be(self, normal: Sequence[Any], reason: str) -> None:
        client, _ = ends()
        for _ in range(5):
            client.send(1, b"")
        all_of(client)
        client.send(1, b"queued only")
        good = frame(Kind.ACKNOWLEDGE, msgspec.msgpack.encode([[4, []], [0, []]]))
        client.receive(good, 0.0)
        client.receive(frame(Kind.ACKNOWLEDGE, msgspec.msgpack.encode([normal, [0, []]])), 0.0)

        assert client.state is State.FAILED
        assert reason in client.reason

    def test_what_waits_to_go_again_cannot_be_acknowledged(self) -> None:
        client, server = ends()
        client.send(1, b"x")
        all_of(client)
        lose(client, server)
        resume(client, server)
        client.receive(all_of(server), 0.0)
        client.receive(frame(Kind.ACKNOWLEDGE, msgspec.msgpack.encode([[1, []], [0, []]])), 0.0)

        assert client.reason == "sequence 1 was acknowledged, 0 is the last that was sent"

    def test_there_are_none_without_a_session(self) -> None:
        client, server = ends(features=())
        client.send(1, b"x")
        carry(client, server)
        client.receive(frame(Kind.ACKNOWLEDGE, msgspec.msgpack.encode([[1, []], [0, []]])), 0.0)

        assert client.reason == "something is acknowledged in a connection without a session"


class TestWhatIsKept:
    """`Outgoing`, on its own: what a store of sessions may bring back is in another order than it was sent."""

    def sent(self, count: int, size: int = 5_000) -> Outgoing:
        """A lane that keeps so many frames, each in a piece of its own."""
        lane = Outgoing(NORMAL)
        lane.retains = True
        for sequence in range(1, count + 1):
            lane.gathered += frame(Kind.SEND, bytes(size), sequence=sequence)
            lane.sequence = sequence + 1
            lane.close()
            lane.take()
        return lane

    def sequences(self, lane: Outgoing) -> list[int]:
        said = bytearray()
        while lane.unsent:
            said += lane.take()
        return [head[-1] for head in heads(bytes(said))]

    def test_what_was_missing_goes_first_and_in_order(self) -> None:
        lane = self.sent(6)
        assert lane.covers(4, (3, 1))
        lane.rewind(4, (3, 1))

        assert self.sequences(lane) == [1, 3, 5, 6]
        assert (lane.taken, lane.kept) == (6, 6 * 5_016)

    def test_what_is_missing_twice(self) -> None:
        lane = self.sent(6, 100)
        lane.rewind(6, (2, 4))
        assert self.sequences(lane) == [2, 4]
        assert lane.covers(6, (2, 3, 4))
        lane.rewind(6, (2, 3, 4))

        assert self.sequences(lane) == [2, 3, 4]
        lane.acknowledge(6, [])
        assert lane.kept == 0

    def test_what_was_missing_and_did_not_go_again_is_still_there(self) -> None:
        lane = self.sent(6, 100)
        lane.rewind(6, (2, 4))
        assert lane.covers(6, (2, 4))
        lane.rewind(6, (2, 4))

        assert self.sequences(lane) == [2, 4]

    def test_an_exception_may_be_missing_later(self) -> None:
        lane = self.sent(4, 100)
        lane.acknowledge(4, [2, 3])
        assert lane.covers(4, (3,))
        assert not lane.covers(4, (1,))
        assert not lane.covers(3, ())
        lane.rewind(4, (3,))
        assert self.sequences(lane) == [3]
        assert lane.kept == 2 * 116
        lane.acknowledge(4, [])
        assert lane.kept == 0

    def test_small_ones_that_went_again_keep_later_ones(self) -> None:
        """An older frame that is joined to newer ones does not make them old."""
        lane = self.sent(10, 100)
        lane.rewind(10, (3,))
        self.sequences(lane)
        lane.gathered += frame(Kind.SEND, bytes(100), sequence=11)
        lane.sequence = 12
        lane.take()
        lane.acknowledge(5, [])

        assert {6, 7, 8, 9, 10, 11} <= {sequence for sequence, _ in lane.frames()}

    def test_an_older_frame_does_not_make_a_joined_piece_old(self) -> None:
        lane = Outgoing(NORMAL)
        lane.retains = True
        lane.retained.append(Chunk(bytearray(frame(Kind.SEND, sequence=10)), 10, is_copy=True))
        lane.closed.append(Chunk(bytearray(frame(Kind.SEND, sequence=3)), 3))
        lane.take()
        lane.taken = 10
        lane.acknowledge(3, [])
        assert {sequence for sequence, _ in lane.frames()} == {10}

    def test_much_that_is_missing_goes_in_pieces(self) -> None:
        lane = self.sent(40)
        lane.rewind(40, tuple(range(1, 41)))

        assert max(len(chunk.data) for chunk in lane.closed) < CHUNK_BYTES + 6_000
        assert self.sequences(lane) == list(range(1, 41))

    def test_a_piece_that_the_peer_has_in_part_is_split(self) -> None:
        lane = Outgoing(NORMAL)
        lane.retains = True
        for sequence in range(1, 6):
            lane.gathered += frame(Kind.SEND, bytes(2_000), sequence=sequence)
            lane.sequence = sequence + 1
        lane.take()
        lane.retained[0].number = 7
        lane.rewind(3, ())

        assert [chunk.number for chunk in lane.retained] == [7]
        assert self.sequences(lane) == [4, 5]
        lane.acknowledge(5, [])
        assert lane.gone == [7]

    @given(st.data())
    @settings(deadline=None)
    def test_whatever_is_lacked_goes_again_once_and_in_order(self, data: st.DataObject) -> None:
        lane = self.sent(data.draw(st.integers(1, 30)), data.draw(st.sampled_from([10, 3_000, 9_000])))
        count = lane.taken
        acknowledged = received = 0
        kept = set(range(1, count + 1))
        for _ in range(data.draw(st.integers(1, 5))):
            received = data.draw(st.integers(max(acknowledged, received), count))
            missing = {sequence for sequence in kept if sequence <= received and data.draw(st.booleans())}
            assert lane.covers(received, missing)
            lane.rewind(received, tuple(missing))
            expected = sorted(missing) + list(range(received + 1, count + 1))
            assert self.sequences(lane) == expected
            acknowledged = data.draw(st.integers(acknowledged, count))
            excepted = {sequence for sequence in kept if sequence <= acknowledged and data.draw(st.booleans())}
            kept = excepted | {sequence for sequence in kept if sequence > acknowledged}
            lane.acknowledge(acknowledged, excepted)
            held = {sequence for sequence, _ in lane.frames()}
            assert kept == held
            assert lane.kept >= sum(len(framed) for _, framed in lane.frames())
        lane.acknowledge(count, ())
        assert lane.kept == 0
        assert lane.oldest == count + 1


class TestAgain:
    """At the receiving end: a process that died asks again for what it was working on."""

    def server(self, missing: set[int], *, held: bool = True) -> Engine:
        _, server = ends()
        server.normal_in.expected = 10
        server.normal_in.missing = missing
        for sequence in missing if held else ():
            server.hold(sequence, 0)
        return server

    def test_it_is_taken_and_not_counted_twice(self) -> None:
        server = self.server({3, 4})
        received = server.normal_in.received
        said = frame(Kind.SEND, b"a", sequence=3) + frame(Kind.SEND, b"b", sequence=4)
        told = server.receive(said + frame(Kind.SEND, b"c", sequence=10), 0.0)

        assert [getattr(event, "payload", None) for event in told] == [b"a", b"b", b"c"]
        assert server.normal_in.received == received + HEADER_BYTES + 1
        assert server.held == 0
        assert server.positions().normal.missing == ()

    def test_in_fragments(self) -> None:
        server = self.server({3, 4, 5})
        parts = [
            frame(Kind.SEND, bytes(1_024), flags=NORMAL | MORE, sequence=3),
            frame(Kind.SEND, bytes(1_024), flags=NORMAL | MORE, sequence=4),
            frame(Kind.SEND, b"end", sequence=5),
        ]
        assert server.receive(parts[0] + parts[1], 0.0) == []
        server.report(at_once=True)
        assert server.normal_in.reported == (9, [3, 4, 5])
        (event,) = server.receive(parts[2], 0.0)
        assert getattr(event, "payload", None) == bytes(2_048) + b"end"
        assert server.held == 0
        assert server.receive(b"".join(parts), 0.0) == []
        assert server.duplicates == 3

    @pytest.mark.parametrize("then", [5, 10])
    def test_a_gap_in_it_is_a_violation(self, then: int) -> None:
        server = self.server({3, 4, 5})
        first = frame(Kind.SEND, bytes(1_024), flags=NORMAL | MORE, sequence=3)
        server.receive(first + frame(Kind.SEND, b"end", sequence=then), 0.0)

        assert server.reason == "a fragment of one message came in the middle of another"

    def test_urgent_ones_too(self) -> None:
        _, server = ends()
        server.urgent_in.expected = 10
        server.urgent_in.missing = {3}
        received = server.urgent_in.received
        (event,) = server.receive(frame(Kind.SEND, b"a", flags=URGENT, sequence=3), 0.0)

        assert getattr(event, "origin", None) == ~3
        assert server.urgent_in.received == received


class TestUndelivered:
    def test_what_was_not_acknowledged_by_its_key(self) -> None:
        client, server = (End(engine) for engine in ends())
        client.engine.send(1, b"handled")
        talk(client, server)
        server.engine.report(at_once=True)
        talk(client, server)
        client.engine.send(2, b"sent")
        client.engine.send(2, b"urgent", True)
        client.engine.ask(3, bytes(1_500), "tag", 2_000, "mine")
        all_of(client.engine)
        client.engine.ask(4, b"waits", "other", 5)
        client.engine.cancel(client.engine.ask(4, b"given up", "third"))
        lose(client.engine)
        assert client.engine.unsent_requests() == {3, 5}
        tags = client.engine.drop("the end")

        session = client.engine.session
        assert session is not None
        name = session.id.hex()
        assert tags == [(1, "tag"), (3, "other")]
        assert [(lost.key, lost.type, len(lost.payload)) for lost in client.engine.undelivered] == [
            (f"{name}.u1", 2, 6),
            (f"{name}.2", 2, 4),
            ("mine", 3, 1_500),
            (f"{name}.5", 4, 5),
            (f"{name}.6", 4, 8),
        ]
        assert client.engine.drop("again") == []
        assert len(client.engine.undelivered) == 5
        assert client.engine.kept == 0

    def test_what_was_answered_is_not_among_it(self) -> None:
        client, server = (End(engine) for engine in ends())
        client.engine.ask(1, b"x", "tag")
        talk(client, server, reports=False)
        client.engine.drop("")

        assert client.engine.undelivered == ()

    def test_half_a_message_is_not_among_it(self) -> None:
        """Where a peer has acknowledged the other half, which none should."""
        client, _ = ends()
        client.ask(1, bytes(1_100), "tag", 2_000)
        all_of(client)
        client.normal.acknowledge(1, [])
        client.normal.retained[0].data[:] = frame(Kind.ASK, b"\xff\xff", flags=NORMAL | 8, id_=1, sequence=2)
        client.drop("")

        assert client.undelivered == ()

    def test_without_a_session_it_is_not_known(self) -> None:
        client, _ = ends(features=())
        client.send(1, b"x")
        client.drop("")

        assert client.undelivered == ()


def test_a_second_resumption_of_the_same_attempt_is_seen_by_its_number() -> None:
    client, server = ends()
    lose(client, server)
    asked = call(client)
    assert asked.generation == 1
    server.resume(asked, 0.0)
    assert server.generation == asked.generation


def test_no_deadline_travels_where_it_makes_a_message_too_long_but_a_key_must() -> None:
    client, _ = ends()
    client.ask(1, bytes(4_096), "tag", 5)
    with pytest.raises(InvalidMessage):
        client.ask(1, bytes(4_096), "tag", 5, "a key")


def test_an_acknowledgement_is_no_longer_than_the_peer_takes() -> None:
    numbers = [2**32 - 1] * MOST_EXCEPTIONS
    assert len(msgspec.msgpack.encode([[2**32 - 1, numbers]] * 2)) <= 16_384


def test_errors_of_a_lane_are_those_of_the_protocol() -> None:
    with pytest.raises(ProtocolError):
        Outgoing(NORMAL).acknowledge(1, [])


@pytest.mark.parametrize("role", Role)
def test_both_roles_begin_sessions_alike(role: Role) -> None:
    end = dict(zip(Role, ends(), strict=True))[role]

    assert end.can_resume
    assert end.normal.retains
    assert end.urgent.retains


def test_a_chunk_that_goes_again_in_others_is_gone_from_its_store() -> None:
    lane = Outgoing(NORMAL)
    lane.retains = True
    lane.retained.append(Chunk(bytearray(frame(Kind.SEND, sequence=1)), 1, 7))
    lane.retained_bytes = HEADER_BYTES
    lane.taken = 1
    lane.rewind(1, (1,))

    assert lane.gone == [7]
    assert [(chunk.last, chunk.number) for chunk in lane.closed] == [(1, 0)]


def test_frames_that_a_store_has_twice_are_kept_once() -> None:
    lane = Outgoing(NORMAL)
    one, two = (frame(Kind.SEND, sequence=sequence) for sequence in (1, 2))
    lane.restore([(5, one + two), (6, two)], ())

    assert [sequence for sequence, _ in lane.frames()] == [1, 2]
    assert lane.kept == 2 * HEADER_BYTES


def test_an_empty_piece_is_none() -> None:
    lane = Outgoing(NORMAL)
    lane.close()

    assert not lane.closed
    assert lane.take() == b""


@pytest.mark.parametrize("call", [lambda end: end._restart(0.0), lambda end: end._forget_rest()])
def test_the_lower_parts_of_an_engine_are_none(call: Callable[[Continuity], None]) -> None:
    with pytest.raises(NotImplementedError):
        call(Continuity(Role.ACCEPTING, Welcome()))


def test_nor_are_those_that_read_frames() -> None:
    with pytest.raises(NotImplementedError):
        Inbound(Role.ACCEPTING, Welcome(), 0.0)._control_in(Kind.PING, 0, b"", print)


def test_a_message_under_way_is_not_handled_so_no_credit_is_granted_for_it() -> None:
    client, server = ends()
    client.send(1, bytes(3_000))
    frames = [bytes(each) for _, each in split_frames(all_of(client))]
    assert len(frames) > 2
    for part in frames[:-1]:
        server.receive(part, 0.0)
        server.report(at_once=True)
        assert server.normal_in.granted == server.normal_in.window
    (event,) = server.receive(frames[-1], 0.0)
    assert isinstance(event, Received)
    server.hold(event.origin, 3_000)
    server.report(at_once=True)
    assert server.normal_in.granted <= server.normal_in.window + HEADER_BYTES * (len(frames) - 1)
    server.release(event.origin)
    server.report(at_once=True)
    assert server.normal_in.granted == server.normal_in.window + 3_000 + HEADER_BYTES * len(frames)
