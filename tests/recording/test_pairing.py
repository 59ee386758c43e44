"""Which send was met by which receive: from records made up for it, with every way to cut and to name."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tomada.recording.pairing import links, plain
from tomada.recording.traced import Traced

KINDS = {"tcp": ("AF_INET", "SOCK_STREAM"), "udp": ("AF_INET", "SOCK_DGRAM"), "unix": ("AF_UNIX", "SOCK_STREAM")}
KINDS |= {"unixgram": ("AF_UNIX", "SOCK_DGRAM"), "packets": ("AF_UNIX", "SOCK_SEQPACKET")}


class Made:
    """A recording that is made up, of one process."""

    def __init__(self) -> None:
        self.traced = Traced()
        self.times = count(1000, 1000)
        self.numbers = count(1)
        self.sockets = count(1)

    def socket(self, kind: str, local: str = "", peer: str = "", **fields: Any) -> int:
        number = next(self.sockets)
        family, type_ = KINDS[kind]
        self.traced.add(
            {"kind": "socket", "pid": 1, "socket": number, "at": next(self.times), "inode": number + 100}
            | {"family": family, "type": type_, "origin": "created", "local": local, "peer": peer}
            | fields
        )
        return number

    def call(self, number: int, name: str, size: int = 0, **fields: Any) -> None:
        self.traced.add(
            {"kind": "call", "pid": 1, "n": next(self.numbers), "socket": number, "call": name, "size": size}
            | {"at": next(self.times), "took": 100}
            | fields
        )

    def connection(self, kind: str, local: str = "127.0.0.1:50000", peer: str = "127.0.0.1:80") -> tuple[int, int]:
        """Both ends of a connection, and the listener."""
        listener = self.socket(kind, peer)
        caller = self.socket(kind)
        self.call(caller, "connect", local=local if kind == "tcp" else "", peer=peer)
        accepted = self.socket(kind, peer, local if kind == "tcp" else "", origin="accepted", source=listener)
        self.call(listener, "accept", new=accepted)
        return caller, accepted

    def links(self) -> list[tuple[str, str, str, int]]:
        events = self.traced.events()
        names = [f"{event.call.socket}.{event.call.call}" for event in events]
        return [(names[link.source], names[link.target], link.what, link.size) for link in links(events)]

    def bytes(self) -> list[tuple[str, str, int]]:
        return [(source, target, size) for source, target, what, size in self.links() if what == "bytes"]


@pytest.fixture
def made() -> Made:
    return Made()


def test_one_send_is_met_by_several_receives(made: Made) -> None:
    caller, accepted = made.connection("tcp")
    made.call(caller, "sendall", 10)
    for size in (4, 4, 2):
        made.call(accepted, "recv", size)

    assert made.bytes() == [("2.sendall", "3.recv", size) for size in (4, 4, 2)]


def test_several_sends_are_met_by_one_receive(made: Made) -> None:
    caller, accepted = made.connection("tcp")
    for size in (4, 4, 2):
        made.call(accepted, "send", size)
    made.call(caller, "recv", 10)

    assert made.bytes() == [("3.send", "2.recv", size) for size in (4, 4, 2)]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.lists(st.integers(1, 50), max_size=20),
    st.lists(st.integers(1, 50), max_size=20),
)
def test_every_byte_goes_from_the_send_it_was_in_to_the_receive_it_came_in(sends: list[int], pieces: list[int]) -> None:
    made = Made()
    caller, accepted = made.connection("tcp")
    owners = [place for place, size in enumerate(sends) for _ in range(size)]
    for size in sends:
        made.call(caller, "sendall", size)
    expected: dict[tuple[int, int], int] = {}
    position = 0
    for receives, size in enumerate(pieces):
        taken = owners[position : position + size]
        if not taken:
            break
        made.call(accepted, "recv", len(taken))
        for owner in taken:
            expected[owner, receives] = expected.get((owner, receives), 0) + 1
        position += len(taken)

    events = made.traced.events()
    first_send = next((place for place, event in enumerate(events) if event.call.call == "sendall"), 0)
    first_receive = next((place for place, event in enumerate(events) if event.call.call == "recv"), 0)
    found = {
        (link.source - first_send, link.target - first_receive): link.size
        for link in links(events)
        if link.what == "bytes"
    }
    assert found == expected


def test_looking_at_bytes_takes_none(made: Made) -> None:
    caller, accepted = made.connection("tcp")
    made.call(caller, "sendall", 10)
    made.call(accepted, "recv", 10, peek=True)
    made.call(accepted, "recv", 10)

    assert made.bytes() == [("2.sendall", "3.recv", 10)]


def test_begin_and_end(made: Made) -> None:
    caller, accepted = made.connection("tcp")
    made.call(caller, "shutdown", args="SHUT_WR")
    made.call(accepted, "recv", 0)
    made.call(accepted, "close")
    made.call(caller, "recv", 0)
    made.call(caller, "close")

    assert made.links() == [
        ("2.connect", "1.accept", "connection", 0),
        ("2.shutdown", "3.recv", "end", 0),
        ("3.close", "2.recv", "end", 0),
    ]


def test_the_same_port_is_used_again(made: Made) -> None:
    for size in (1, 2, 3):
        caller, accepted = made.connection("tcp")
        made.call(caller, "sendall", size)
        made.call(accepted, "recv", size)
        made.call(caller, "close")
        made.call(accepted, "close")

    assert [(source.split(".")[0], target.split(".")[0], size) for source, target, size in made.bytes()] == [
        ("2", "3", 1),
        ("5", "6", 2),
        ("8", "9", 3),
    ]


def test_unix_sockets_are_accepted_in_the_order_of_their_connects(made: Made) -> None:
    listener = made.socket("unix", "/run/x")
    callers = [made.socket("unix") for _ in range(3)]
    for caller in callers:
        made.call(caller, "connect", peer="/run/x")
    for caller in callers:
        accepted = made.socket("unix", "/run/x", origin="accepted")
        made.call(listener, "accept", new=accepted)
        made.call(caller, "send", caller)
        made.call(accepted, "recv", caller)

    assert [size for _, _, size in made.bytes()] == callers


def test_ipv4_as_ipv6_writes_it(made: Made) -> None:
    assert plain("[::ffff:127.0.0.1]:80") == "127.0.0.1:80"
    assert plain("[::1]:80") == "[::1]:80"
    listener = made.socket("tcp", "[::]:80")
    caller = made.socket("tcp")
    made.call(caller, "connect", local="127.0.0.1:50000", peer="127.0.0.1:80")
    accepted = made.socket("tcp", "[::ffff:127.0.0.1]:80", "[::ffff:127.0.0.1]:50000", origin="accepted")
    made.call(listener, "accept", new=accepted)

    assert made.links() == [("2.connect", "1.accept", "connection", 0)]


def test_ends_whose_begin_was_dropped(made: Made) -> None:
    first = made.socket("tcp", "127.0.0.1:50000", "127.0.0.1:80", sent=1000, received=77)
    second = made.socket("tcp", "127.0.0.1:80", "127.0.0.1:50000", sent=77, received=990)
    made.call(first, "send", 5)
    made.call(second, "recv", 10)
    made.call(second, "recv", 5)

    assert made.bytes() == [("1.send", "2.recv", 5)], "the first ten bytes were sent before"


class TestDatagrams:
    def test_a_lost_one_is_met_by_nothing(self, made: Made) -> None:
        server, client = made.socket("udp", "0.0.0.0:53"), made.socket("udp", "0.0.0.0:50000")
        for data in ("one", "two", "three"):
            made.call(client, "sendto", len(data), data=data, address="127.0.0.1:53")
        for data in ("one", "three"):
            made.call(server, "recvfrom", len(data), data=data, address="127.0.0.1:50000")

        assert [size for _, _, size in made.bytes()] == [3, 5]

    def test_a_receiver_that_takes_less(self, made: Made) -> None:
        server, client = made.socket("udp", "127.0.0.1:53"), made.socket("udp", "127.0.0.1:50000", "127.0.0.1:53")
        made.call(client, "send", 500, data="long")
        made.call(server, "recvfrom", 2, data="lo", address="127.0.0.1:50000")

        assert made.bytes() == [("2.send", "1.recvfrom", 2)]

    def test_names_of_hosts(self, made: Made) -> None:
        server, client = made.socket("udp", "127.0.0.1:53"), made.socket("udp", "0.0.0.0:50000")
        made.call(client, "sendto", 3, address="localhost:53")
        made.call(server, "recvfrom", 3, address="127.0.0.1:50000")

        assert made.bytes() == [("2.sendto", "1.recvfrom", 3)]

    def test_another_machine_with_the_same_port(self, made: Made) -> None:
        server, client = made.socket("udp", "127.0.0.1:53"), made.socket("udp", "127.0.0.1:50000")
        made.call(client, "sendto", 3, address="192.0.2.1:53")
        made.call(server, "recvfrom", 3, address="127.0.0.1:50000")

        assert made.bytes() == []

    def test_many_that_are_lost_do_not_take_long(self, made: Made) -> None:
        server, client = made.socket("udp", "127.0.0.1:53"), made.socket("udp", "127.0.0.1:50000")
        for _ in range(3_000):
            made.call(client, "sendto", 3, data="old", address="127.0.0.1:53")
        for _ in range(1_000):
            made.call(server, "recvfrom", 3, data="new", address="127.0.0.1:50000")

        assert made.bytes() == []

    def test_a_receive_that_does_not_ask_from_whom(self, made: Made) -> None:
        server = made.socket("unixgram", "/server")
        one, other = made.socket("unixgram", "/one", "/server"), made.socket("unixgram", "", "/server")
        made.call(other, "send", 3, data="two")
        made.call(one, "send", 3, data="one")
        made.call(one, "send", 3, data="two")
        for data in ("two", "one", "two"):
            made.call(server, "recv", 3, data=data)

        assert made.bytes() == [("3.send", "1.recv", 3), ("2.send", "1.recv", 3), ("2.send", "1.recv", 3)]

    def test_however_many_are_lost_in_the_end_others_arrive(self, made: Made) -> None:
        server, client = made.socket("udp", "127.0.0.1:53"), made.socket("udp", "127.0.0.1:50000")
        for number in range(900):
            made.call(client, "sendto", 3, data=str(100 + number), address="127.0.0.1:53")
            if number % 3 == 0:
                made.call(server, "recvfrom", 3, data=str(100 + number), address="127.0.0.1:50000")

        assert len(made.bytes()) == 300


def test_messages_whose_bounds_are_kept(made: Made) -> None:
    """A receiver that takes less than there is gets nothing of the rest."""
    one, other = made.socket("packets"), made.socket("packets")
    made.call(one, "socketpair", new=other)
    for data in ("long one", "", "short"):
        made.call(one, "send", len(data), data=data)
    for data in ("long", "", "short"):
        made.call(other, "recv", len(data), data=data)

    assert made.bytes() == [("1.send", "2.recv", 4), ("1.send", "2.recv", 5)]


def test_who_asks_for_nothing_is_not_told_of_an_end(made: Made) -> None:
    caller, accepted = made.connection("tcp")
    made.call(accepted, "recv", args="0")
    made.call(caller, "shutdown", args="SHUT_WR")
    made.call(accepted, "recv_into", args="0 bytes")
    made.call(accepted, "recv", args="10")

    assert [step.result for step in made.traced.sequence().steps if step.text.startswith("recv")] == [
        "0 bytes",
        "0 bytes",
        "0 bytes: the other end sends no more",
    ]
    assert [step.state for step in made.traced.sequence().steps][-3:] == ["sending ended", "connected", "peer ended"]
    assert made.links()[-1] == ("2.shutdown", "3.recv", "end", 0)
