"""Who is told of which events."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import tomada
from tomada import telemetry
from tomada.server.children.rehearsal import silence
from tomada.telemetry import ChildStarted, Event, ListenerClosed, ListenerOpened, RequestEnded, emit, subscribe, tally

HERE = ListenerOpened(address="tcp://127.0.0.1:4477")
GONE = ListenerClosed(address="tcp://127.0.0.1:4477")


def test_a_subscriber_is_told_of_the_kinds_that_it_wants_and_of_no_others() -> None:
    told: list[Event] = []
    with tomada.subscribe(told.append, ListenerOpened):
        emit(HERE)
        emit(GONE)
    emit(HERE)

    assert told == [HERE]


def test_a_base_class_and_no_class_at_all_stand_for_every_event() -> None:
    told: list[Event] = []
    with subscribe(told.append, Event), subscribe(told.append):
        emit(HERE)
        emit(GONE)

    assert told == [HERE, HERE, GONE, GONE]


def test_a_kind_that_is_named_twice_is_told_once_and_a_function_subscribed_twice_is_called_twice() -> None:
    told: list[Event] = []
    with subscribe(told.append, ListenerOpened, Event, ListenerOpened):
        emit(HERE)
        assert told == [HERE]
        with subscribe(told.append, ListenerOpened):
            emit(HERE)
        assert told == [HERE] * 3
        emit(HERE)
        assert told == [HERE] * 4


def test_who_subscribes_while_a_child_rehearses_is_told_afterwards() -> None:
    before: list[Event] = []
    told: list[Event] = []
    with subscribe(before.append, ListenerOpened, RequestEnded):
        with silence():
            subscription = subscribe(told.append, ListenerOpened, RequestEnded)
            emit(GONE)
        with subscription:
            emit(HERE)
            assert len(tally.subscribers) == len(RequestEnded.subscribers) == 2
        emit(HERE)

    assert told == [HERE]
    assert before == [HERE, HERE]
    assert not tally.is_wanted


def test_a_subclass_of_an_event_is_told_to_those_who_want_either() -> None:
    class Ours(ListenerOpened, frozen=True, kw_only=True):
        pass

    told: list[Event] = []
    with subscribe(told.append, ListenerOpened):
        emit(HERE)
        ours = Ours(address="x")
        emit(ours)

    assert told == [HERE, ours]
    assert vars(Ours)["subscribers"] == ()


def test_what_is_no_event_cannot_be_subscribed_to() -> None:
    with pytest.raises(TypeError, match="int is no class of events"):
        subscribe(print, int)  # type: ignore[type-var] # that is the mistake


def test_whoever_ends_is_not_told_any_more_not_even_in_the_middle_of_an_event() -> None:
    told: list[str] = []
    subscriptions: list[telemetry.Subscription] = []

    def first(_: Event) -> None:
        told.append("first")
        for one in subscriptions:
            one.end()
            one.end()

    def second(_: Event) -> None:
        told.append("second")

    before = ListenerOpened.subscribers
    subscriptions += [subscribe(first, ListenerOpened), subscribe(second, ListenerOpened)]
    emit(HERE)
    emit(HERE)

    assert told == ["first"]
    assert ListenerOpened.subscribers == before


def test_whoever_subscribes_in_the_middle_of_an_event_is_told_from_the_next_on() -> None:
    told: list[Event] = []
    with subscribe(lambda _: subscriptions.append(subscribe(told.append, ListenerOpened)), ListenerOpened):
        subscriptions: list[telemetry.Subscription] = []
        emit(HERE)
        assert told == []
        emit(HERE)
        assert told == [HERE]
    for one in subscriptions:
        one.end()


def test_a_subscriber_that_raises_disturbs_nobody_and_is_told_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Event] = []

    def wrong(_: Event) -> None:
        raise ZeroDivisionError("it was me")

    with subscribe(wrong, ListenerOpened), subscribe(told.append, ListenerOpened):
        emit(HERE)

    assert told == [HERE]
    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.getMessage() == "a subscriber to ListenerOpened raised"
    assert "it was me" in caplog.text


def test_threads_may_subscribe_and_end_at_once() -> None:
    before = ChildStarted.subscribers
    told: list[Any] = []
    wrong: list[BaseException] = []

    def come_and_go() -> None:
        try:
            for _ in range(200):
                with subscribe(told.append, ChildStarted):
                    emit(ChildStarted(pid=threading.get_ident()))
        except BaseException as error:  # noqa: BLE001 - told to the test
            wrong.append(error)

    threads = [threading.Thread(target=come_and_go) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []
    assert ChildStarted.subscribers == before
    assert len(told) >= 1_600, "each was told of its own, at least"


def test_events_do_not_change() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        HERE.address = "elsewhere"  # type: ignore[misc] # that is the mistake


def test_every_kind_of_event_says_what_it_is() -> None:
    kinds = [kind for kind in vars(telemetry).values() if isinstance(kind, type) and issubclass(kind, Event)]

    assert len(kinds) == 24
    assert all(kind.__doc__ and kind.__name__ in telemetry.__all__ for kind in kinds)
