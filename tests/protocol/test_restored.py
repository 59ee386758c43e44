"""What is stored of a session, and what a process that begins with it knows."""

from __future__ import annotations

from tests.protocol.lasting import SMALL, accepting, all_of, call, carry, ends
from tomada.protocol import Answered, Engine, State
from tomada.protocol.frames import Kind


class Stored:
    """As a store has it."""

    def __init__(self) -> None:
        self.chunks: dict[int, object] = {}
        self.head = b""

    def commit(self, end: Engine) -> None:
        changes = end.changes()
        if changes.is_whole:
            self.chunks.clear()
        self.chunks |= {chunk.number: chunk for chunk in changes.added}
        for number in changes.dropped:
            self.chunks.pop(number, None)
        self.head = changes.head

    def successor(self) -> Engine:
        """A new process begins with it."""
        end = accepting(SMALL)
        assert end.restore(self.head, list(self.chunks.values()), b"") == ""  # type: ignore[arg-type] # of one class
        assert end.state is State.LOST
        return end


def test_a_stream_that_has_begun_is_ended_however_often_the_server_is_killed() -> None:
    client, server = ends()
    id_ = client.ask(1, b"", "stream")
    server.receive(all_of(client), 0.0)
    server.hold(1, 0)
    server.item(id_, 0, b"x")
    stored = Stored()
    stored.commit(server)
    second = stored.successor()
    stored.commit(second)  # before its caller has come back
    third = stored.successor()
    client.lose("cut")
    third.resume(call(client), 0.0)
    told, _ = carry(client, third)

    answers = [(event.tag, event.kind) for event in told if isinstance(event, Answered)]
    assert answers == [("stream", Kind.ERROR)]


def test_a_message_in_fragments_that_comes_again_is_counted_once() -> None:
    client, server = ends()
    client.send(1, bytes(3_000))
    carry(client, server)
    server.hold(3, 3_000)
    stored = Stored()
    stored.commit(server)
    second = stored.successor()
    before = second.received_messages
    client.lose("cut")
    second.resume(call(client), 0.0)
    _, told = carry(client, second)

    assert [len(event.payload) for event in told if hasattr(event, "payload")] == [3_000]
    assert second.received_messages == before


def test_a_server_that_is_killed_twice_in_a_message_in_fragments_goes_on_giving_credit() -> None:
    client, server = ends()
    client.send(1, bytes(4_000))
    carry(client, server)
    server.hold(4, 4_000)
    received = server.normal_in.received
    stored = Stored()
    stored.commit(server)
    second = stored.successor()
    client.lose("cut")
    second.resume(call(client), 0.0)
    client.receive(all_of(second), 0.0)
    second.receive(all_of(client)[:3_500], 0.0)  # it comes again, and not to its end
    assert second.normal_in.body
    stored.commit(second)
    third = stored.successor()
    assert third.normal_in.received == received

    client.lose("cut")
    third.resume(call(client), 0.0)
    carry(client, third)
    third.hold(4, 4_000)
    third.release(4)
    third.report(at_once=True)
    carry(client, third)
    assert client.normal.credit == client.normal.offset + SMALL.buffer_bytes
    assert not client.full


def test_what_has_come_of_a_message_for_the_first_time_is_counted_anew_when_it_comes_again() -> None:
    client, server = ends()
    client.send(1, b"whole")
    carry(client, server)
    before = server.normal_in.received
    client.send(1, bytes(4_000))
    server.receive(all_of(client)[:3_500], 0.0)
    stored = Stored()
    stored.commit(server)

    assert server.normal_in.received > before
    assert stored.successor().normal_in.received == before


def test_what_a_process_before_it_has_begun_keeps_no_handler_from_starting() -> None:
    """The peer's handler of it may wait for just such a handler: else the two would wait for each other for ever."""
    client, server = ends()
    server.ask(1, bytes(3_000), "long", None, None, True)
    carry(client, server)
    client.hold(~server.urgent.taken, 3_000)
    carry(client, server)
    assert not server.stuffed
    stored = Stored()
    stored.commit(server)
    second = stored.successor()
    assert second.kept > 3_000
    assert not second.stuffed
    client.lose("cut")
    second.resume(call(client), 0.0)
    carry(client, second)
    assert not second.stuffed
