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


step = st.tuples(st.sampled_from(["admit", "enter", "why not", "release", "rename"]), st.integers(0, 30))


@given(st.lists(step, max_size=80), st.randoms(use_true_random=False))
def test_the_counts_are_the_truth_whatever_happens_in_whatever_order(
    steps: list[tuple[str, int]], chance: random.Random
) -> None:
    admission = Admission(LIMITS, chance.random)
    tickets: list[Ticket] = []
    greeting: set[int] = set()
    is_open: dict[int, str] = {}
    for what, number in steps:
        at = number % len(tickets) if tickets else -1
        if what == "admit":
            ticket = admission.admit(HOSTS[number % len(HOSTS)])
            assert (ticket is not None) or len(greeting) >= LIMITS.handshakes_early
            if ticket is not None:
                assert len(greeting) < LIMITS.handshakes
                greeting.add(len(tickets))
                tickets.append(ticket)
        elif at < 0:
            continue
        elif what == "enter":
            hosts = Counter(is_open.values())
            has_room = len(is_open) < LIMITS.connections and hosts[tickets[at].host] < LIMITS.connections_per_host
            refusal = tickets[at].enter()
            if at in greeting:
                assert (refusal == "") is has_room
                if has_room:
                    greeting.remove(at)
                    is_open[at] = tickets[at].host
            else:
                assert refusal == "", "it is open, or over"
        elif what == "why not":
            tickets[at].why_not()
        elif what == "rename" and at in greeting:
            tickets[at].host = HOSTS[number % len(HOSTS)]
        elif what == "release":
            tickets[at].release()
            greeting.discard(at)
            is_open.pop(at, None)
        assert (admission.greeting, admission.open) == (len(greeting), len(is_open))
        hosts = Counter(is_open.values())
        assert all(admission.of_host(host) == hosts[host] for host in HOSTS)
    for ticket in tickets:
        ticket.release()
    assert (admission.greeting, admission.open, admission._hosts) == (0, 0, {})


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
    assert third.why_not() == third.enter() == ""


def test_connections_of_one_host(struck: list[LimitStruck]) -> None:
    admission = Admission(Limits(connections_per_host=1))
    opened(admission)
    assert admitted(admission).enter() == (
        "the server has 1 connections of 192.0.2.1, and takes no more of it; close one of them"
    )
    opened(admission, HOSTS[1])
    opened(admission, "")
    assert "connections of this host, and" in admitted(admission, "").enter()
    assert [event.limit for event in struck] == 2 * ["connections_per_host"]


def test_a_subscriber_may_end_connections_as_it_is_told() -> None:
    admission = Admission(Limits(connections=1))
    held = opened(admission)
    with subscribe(lambda _: held.release(), LimitStruck):
        assert admitted(admission).enter()
    assert admission.open == 0


def test_who_may_not_enter_does_not_whatever_room_there_is() -> None:
    admission = Admission(Limits())
    ticket = admitted(admission)
    ticket.refusal = "user 1001 may not connect"
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
