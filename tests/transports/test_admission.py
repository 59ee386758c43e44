from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tomada.settings import Limits
from tomada.telemetry import LimitStruck, Outcome, subscribe
from tomada.transports import Admission, Ticket

HOSTS = ["192.0.2.1", "192.0.2.2", "user 1000", ""]
LIMITS = Limits(connections=5, connections_per_host=2, handshakes=6, handshakes_early=3)


@pytest.fixture
def struck() -> Iterator[list[LimitStruck]]:
    found: list[LimitStruck] = []
    with subscribe(found.append, LimitStruck):
        yield found


def admitted(admission: Admission, host: str = HOSTS[0]) -> Ticket:
    ticket = admission.admit(host)
    assert ticket is not None
    return ticket


def opened(admission: Admission, host: str = HOSTS[0]) -> Ticket:
    ticket = admitted(admission, host)
    assert ticket.enter() == ""
    return ticket


class Model:
    """What must be true of an admission, counted in the plainest way."""

    def __init__(self, chance: random.Random) -> None:
        self.admission = Admission(LIMITS, chance.random)
        self.tickets: list[Ticket] = []
        self.greeting: set[Ticket] = set()
        self.refused: set[Ticket] = set()
        self.open: dict[Ticket, str] = {}

    def admit(self, host: str) -> None:
        ticket = self.admission.admit(host)
        if ticket is None:
            assert len(self.greeting) >= LIMITS.handshakes_early
        else:
            assert len(self.greeting) < LIMITS.handshakes
            self.greeting.add(ticket)
            self.tickets.append(ticket)

    def has_room(self, ticket: Ticket) -> bool:
        same = sum(host == ticket.host != "" for host in self.open.values())
        return ticket not in self.refused and len(self.open) < LIMITS.connections and same < LIMITS.connections_per_host

    def enter(self, ticket: Ticket, host: str) -> None:
        is_new, has_room = ticket in self.greeting, self.has_room(ticket)
        assert (ticket.why_not() == "") is (has_room or not is_new)
        assert (ticket.enter() == "") is (has_room or not is_new)
        if is_new and has_room:
            self.greeting.remove(ticket)
            self.open[ticket] = host
        elif is_new:
            self.refused.add(ticket)

    def release(self, ticket: Ticket) -> None:
        ticket.release()
        self.greeting.discard(ticket)
        self.refused.discard(ticket)
        self.open.pop(ticket, None)

    def check(self) -> None:
        assert (self.admission.greeting, self.admission.open) == (len(self.greeting), len(self.open))
        hosts = Counter(self.open.values())
        assert all(self.admission._hosts.get(host, 0) == hosts[host] for host in HOSTS if host)


step = st.tuples(st.sampled_from(["admit", "enter", "release", "called"]), st.integers(0, 30), st.sampled_from(HOSTS))


@given(st.lists(step, max_size=80), st.randoms(use_true_random=False))
def test_the_counts_are_the_truth_whatever_happens_in_whatever_order(
    steps: list[tuple[str, int, str]], chance: random.Random
) -> None:
    model = Model(chance)
    for what, number, host in steps:
        ticket = model.tickets[number % len(model.tickets)] if model.tickets else None
        if what == "admit":
            model.admit(host)
        elif ticket is None:
            continue
        elif what == "enter" and (ticket in model.greeting or ticket in model.open):
            model.enter(ticket, ticket.host)
        elif what == "release":
            model.release(ticket)
        elif what == "called" and ticket not in model.refused:
            ticket.called(host)
        model.check()
    for ticket in model.tickets:
        ticket.release()
    assert (model.admission.greeting, model.admission.open, model.admission._hosts) == (0, 0, {})


def test_threads_do_not_lose_count() -> None:
    admission = Admission(Limits(connections=4))

    def come_and_go() -> None:
        for _ in range(2_000):
            ticket = admitted(admission)
            ticket.enter()
            ticket.release()

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (admission.greeting, admission.open, admission._hosts) == (0, 0, {})


def test_connections_in_all(struck: list[LimitStruck]) -> None:
    admission = Admission(Limits(connections=2))
    first, _ = opened(admission), opened(admission, HOSTS[1])
    third = admitted(admission)
    text = "the server has 2 connections, and takes no more; try again later"
    assert third.why_not() == text
    assert third.enter() == text
    assert [(event.limit, event.allowed, event.outcome, event.where) for event in struck] == 2 * [
        ("connections", 2, Outcome.REFUSED, HOSTS[0])
    ]
    first.release()
    assert third.enter() == text, "it has been told"
    assert opened(admission).why_not() == ""


def test_connections_of_one_host(struck: list[LimitStruck]) -> None:
    admission = Admission(Limits(connections_per_host=1))
    opened(admission)
    assert admitted(admission).why_not() == (
        "the server has 1 connection of 192.0.2.1, and takes no more of it; close one of them"
    )
    opened(admission, HOSTS[1])
    called = admitted(admission)
    called.called("192.0.2.3")
    assert called.enter() == ""
    called.called(HOSTS[0])
    assert (admission._hosts.get("192.0.2.3", 0), admission._hosts.get(HOSTS[0], 0)) == (1, 1)
    for _ in range(3):
        opened(admission, "").release()  # nobody knows whose they are
        opened(admission, "")
    assert [event.limit for event in struck] == ["connections_per_host"]


def test_a_subscriber_may_end_connections_as_it_is_told() -> None:
    admission = Admission(Limits(connections=1))
    held = opened(admission)
    with subscribe(lambda _: held.release(), LimitStruck):
        assert admitted(admission).enter()
    assert admission.open == 0


def test_who_may_not_enter_does_not_whatever_room_there_is() -> None:
    admission = Admission(Limits())
    ticket = admitted(admission)
    ticket.refuse("user 1001 may not connect")
    assert ticket.enter() == ticket.why_not() == "user 1001 may not connect"
    assert (admission.greeting, admission.open) == (1, 0)
    ticket.release()
    assert admission.greeting == 0
    assert Ticket(None, "", "no").enter() == "no"
    assert Ticket(None, "").enter() == ""


class TestHandshakes:
    LIMITS = Limits(handshakes=10, handshakes_early=5)

    def at(self, count: int, chance: float) -> Admission:
        admission = Admission(self.LIMITS, lambda: chance)
        admission.greeting = count
        return admission

    def test_below_the_first_mark_nobody_is_dropped(self) -> None:
        assert self.at(4, 0.0).admit("") is not None

    @pytest.mark.parametrize(("count", "share"), [(5, 0.3), (6, 0.44), (7, 0.58), (8, 0.72), (9, 0.86)])
    def test_between_the_marks_ever_more_are_dropped_by_chance(self, count: int, share: float) -> None:
        assert self.at(count, share - 0.001).admit("") is None
        assert self.at(count, share + 0.001).admit("") is not None

    def test_at_the_second_mark_all_are(self, struck: list[LimitStruck]) -> None:
        assert self.at(10, 1.0).admit("192.0.2.9") is None
        assert self.at(9, 0.0).admit("") is None
        assert [(event.limit, event.allowed, event.outcome, event.where) for event in struck] == [
            ("handshakes", 10, Outcome.DROPPED, "192.0.2.9"),
            ("handshakes_early", 5, Outcome.DROPPED, ""),
        ]

    def test_marks_that_are_the_same_are_one_hard_limit(self) -> None:
        admission = Admission(Limits(handshakes=2, handshakes_early=2), lambda: 0.0)
        assert admission.admit("") is not None
        assert admission.admit("") is not None
        assert admission.admit("") is None
