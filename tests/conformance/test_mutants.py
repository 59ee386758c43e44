"""The suite finds what is wrong: transports that are broken in one way each, and the test that says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tomada.address import Address
from tomada.errors import TomadaError
from tomada.testing.transport_conformance import TransportConformance
from tomada.transports import memory
from tomada.transports.memory_transport import MemoryTransport, _Rest

Mutation = Callable[[pytest.MonkeyPatch], None]
WRITE = MemoryTransport.write
END = MemoryTransport._end


class Broken(TransportConformance):
    """The transport in memory, with what a test has done to it."""

    longest = 0.5
    in_flight = 2_000_000
    large = 500_000

    def address(self) -> str:
        return "memory://broken"


def method(name: str, instead: Callable[..., Any]) -> Mutation:
    return lambda monkeypatch: monkeypatch.setattr(MemoryTransport, name, instead)


def nothing(*_: Any) -> None:
    pass


def lose_some(self: MemoryTransport, data: bytes) -> None:
    WRITE(self, data[:-1] if len(data) > 1 else data)


def double_some(self: MemoryTransport, data: bytes) -> None:
    WRITE(self, data + data[-1:] if len(data) > 1 else data)


def swap_halves(self: MemoryTransport, data: bytes) -> None:
    WRITE(self, data[len(data) // 2 :] + data[: len(data) // 2])


def write_bit_by_bit(self: MemoryTransport, data: bytes) -> None:
    """What several senders write in one turn comes mixed."""
    WRITE(self, data[:1_000])
    if len(data) > 1_000:
        self._loop.call_soon(write_bit_by_bit, self, data[1_000:])


def write_late(self: MemoryTransport, data: bytes) -> None:
    """What is closed in the same turn has not been written."""
    self._loop.call_soon(self._loop.call_soon, WRITE, self, data)


def deliver_at_once(self: MemoryTransport) -> None:
    """All that has come, whether the protocol reads or not."""
    if self._inbox and self._started and not self._closing:
        self._tell(self._protocol.data_received, bytes(self._take(self._inbox_size)))
    self._reading = True
    self._scheduled = self._scheduled or bool(self._inbox)
    if self._rest is not _Rest.MORE:
        self._loop.call_soon(self._read)


def without_end(self: MemoryTransport, rest: _Rest) -> None:
    if rest is not _Rest.END:
        END(self, rest)


def drop_what_waits(self: MemoryTransport) -> None:
    self._lose(None)


def close_both(self: MemoryTransport) -> None:
    MemoryTransport.close(self)


def die_in_silence(self: MemoryTransport, error: Exception | None) -> None:
    self._protocol.connection_lost(error)


def end_in_order(self: MemoryTransport) -> None:
    self._lose(None)


def listen_anyway(monkeypatch: pytest.MonkeyPatch) -> None:
    listen = memory.listen

    async def instead(address: Address, accepting: Any) -> Any:
        memory._listening.pop(address.host, None)
        return await listen(address, accepting)

    monkeypatch.setattr(memory, "listen", instead)


def connect_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = memory.connect

    async def instead(address: Address, factory: Any, timeout: float) -> Any:
        loop = asyncio.get_running_loop()
        memory._listening.setdefault(address.host, memory._Acceptor(address.host, asyncio.Protocol))
        assert loop.is_running()
        return await connect(address, factory, timeout)

    monkeypatch.setattr(memory, "connect", instead)


def forget_the_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever gives up takes the listener with it."""
    connect = memory.connect

    async def instead(address: Address, factory: Any, timeout: float) -> Any:
        try:
            return await connect(address, factory, timeout)
        except asyncio.CancelledError:
            memory._listening.pop(address.host)
            raise

    monkeypatch.setattr(memory, "connect", instead)


def close_with_the_listener(monkeypatch: pytest.MonkeyPatch) -> None:
    accept, close = memory._Acceptor.accept, memory._Acceptor.close
    ends: list[MemoryTransport] = []

    def remember(self: Any, end: MemoryTransport) -> None:
        ends.append(end)
        accept(self, end)

    def close_all(self: Any) -> None:
        close(self)
        for end in ends:
            end.abort()

    monkeypatch.setattr(memory._Acceptor, "accept", remember)
    monkeypatch.setattr(memory._Acceptor, "close", close_all)


def cross_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent to one of them comes to the other."""
    accept = memory._Acceptor.accept
    ends: list[MemoryTransport] = []

    def instead(self: Any, end: MemoryTransport) -> None:
        ends.append(end)
        accept(self, end)
        if len(ends) % 3 == 0:
            ends[-1]._peer._peer, ends[-2]._peer._peer = ends[-2], ends[-1]

    monkeypatch.setattr(memory._Acceptor, "accept", instead)


MUTANTS: list[tuple[str, Mutation, str]] = [
    ("loses bytes", method("write", lose_some), "test_bytes_arrive_in_order_both_ways"),
    ("loses bytes of small sends", method("write", lose_some), "test_many_small_sends_arrive_in_order"),
    ("doubles bytes", method("write", double_some), "test_many_small_sends_arrive_in_order"),
    ("reorders", method("write", swap_halves), "test_bytes_arrive_in_order_both_ways"),
    ("reorders large sends", method("write", swap_halves), "test_a_large_transfer_arrives_whole"),
    ("mixes senders", method("write", write_bit_by_bit), "test_senders_at_once_do_not_mix_what_each_sends"),
    ("mixes streams", cross_two, "test_streams_at_once_are_kept_apart"),
    ("ignores that reading pauses", method("_wake", deliver_at_once), "test_a_sender_waits_for_a_receiver_that"),
    ("never tells a writer to pause", method("_pause_writing", nothing), "test_a_sender_waits_for_a_receiver_that"),
    ("never lets a writer go on", method("_resume_writing", nothing), "test_a_receiver_that_falls_behind_for_a_while"),
    ("never reads again", method("resume_reading", nothing), "test_a_receiver_that_falls_behind_for_a_while"),
    ("does not tell the end", method("_end", without_end), "test_the_connecting_end_may_end_its_sending"),
    ("ends both halves", method("write_eof", close_both), "test_the_accepting_end_may_end_its_sending"),
    ("closes before all is sent", method("close", drop_what_waits), "test_the_transport_by_itself_sends_what_waits"),
    ("ends before all is written", method("write", write_late), "test_closing_sends_what_waits"),
    ("takes an abort for an end", method("abort", end_in_order), "test_an_abort_is_told_to_the_other_end"),
    ("tells nobody of an abort", method("_finish", die_in_silence), "test_an_abort_is_told_to_the_other_end"),
    ("lets a sender wait for the dead", method("_finish", die_in_silence), "test_a_sender_that_waits_learns"),
    ("does not abort", method("abort", nothing), "test_an_abort_ends_every_wait_at_its_own_end"),
    ("lets two listen", listen_anyway, "test_an_address_is_listened_on_once"),
    ("connects to nobody", connect_to_nobody, "test_where_nobody_listens_connecting_fails"),
    ("cannot stand who gives up", forget_the_cancelled, "test_connecting_may_be_cancelled_at_any_moment"),
    ("closes streams with their listener", close_with_the_listener, "test_closing_a_listener_leaves_its_streams"),
]


@pytest.mark.parametrize(("mutation", "test"), [mutant[1:] for mutant in MUTANTS], ids=[name for name, *_ in MUTANTS])
def test_a_broken_transport_fails(mutation: Mutation, test: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (name,) = [name for name in dir(Broken) if name.startswith(test)]
    mutation(monkeypatch)
    with pytest.raises((AssertionError, TomadaError)) as caught:
        getattr(Broken(), name)()
    assert str(caught.value)
    memory._listening.clear()


def test_what_is_not_given_is_told() -> None:
    with pytest.raises(NotImplementedError, match=r"such as tcp://127\.0\.0\.1:0"):
        TransportConformance().test_streams_at_once_are_kept_apart()


@pytest.mark.parametrize("what", ["a task", "a complaint"])
def test_what_a_test_leaves_behind_is_told(what: str) -> None:
    async def leave() -> None:
        loop = asyncio.get_running_loop()
        if what == "a task":
            left.append(loop.create_task(asyncio.sleep(30)))
        else:
            loop.call_exception_handler({"message": "something went wrong"})

    left: list[asyncio.Task[None]] = []
    with pytest.raises(AssertionError, match=r"tasks were left behind|something went wrong"):
        Broken().run(leave())
