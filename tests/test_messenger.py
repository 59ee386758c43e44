from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.ends import Outcome, Pair, greeted
from tests.every_answer import (
    Either,
    Insufficient,
    Loose,
    Many,
    Note,
    Nothing,
    Ping,
    Pong,
    Unwritable,
    app,
    notes,
)
from tomada import (
    DeclarationError,
    InternalError,
    InvalidMessage,
    Message,
    MessageError,
    RemoteError,
    Request,
    TimedOut,
    UnknownType,
)
from tomada.catalogue import catalogue_of
from tomada.messenger import Repertoire
from tomada.protocol import Failure, FailureCode, Field, GoodbyeCode, State, TypeEntry, TypeKind


@pytest.fixture
def pair() -> Pair:
    return Pair(None, app)


# Replies.


def test_replies_of_every_form(pair: Pair) -> None:
    assert pair.ask(Ping(7)) == Pong(7, "pong")
    assert [pair.ask(Either(number)) for number in range(3)] == [None, 5, Pong(3)]
    assert pair.ask(Many(2)) == [Pong(0), Pong(1)]
    assert pair.ask(Nothing(1)) is None


def test_replies_find_their_requests_whatever_their_order(pair: Pair) -> None:
    pair.server.holds = True
    outcomes = [Outcome() for _ in range(5)]
    for number, outcome in enumerate(outcomes):
        pair.client.messenger.ask(Ping(number), outcome)
    pair.exchange()

    for place in (3, 0, 4, 2, 1):
        pair.server.run(*pair.server.held[place])
        pair.exchange()
        assert outcomes[place].result() == Pong(place, "pong")


def test_an_answer_that_nobody_waits_for_is_dropped(pair: Pair) -> None:
    outcome = Outcome()
    pair.client.messenger.ask(Ping(1), outcome)
    outcome.is_done = True
    pair.exchange()

    assert outcome.value is None


def test_the_driver_is_told_when_something_is_due_and_not_more_often(pair: Pair) -> None:
    pair.server.holds = True
    for deadline in (None, 3_000, 2_000, 5_000):
        pair.client.messenger.ask(Ping(1), Outcome(), deadline)
    pair.exchange()
    assert pair.server.dues == [2.0]
    pair.client.messenger.ask(Ping(1), Outcome(), 2_000)
    pair.client.messenger.ask(Ping(1), Outcome())
    pair.exchange()
    assert pair.server.dues == [2.0]
    pair.client.messenger.ask(Ping(1), Outcome(), 1_000)
    pair.exchange()
    assert pair.server.dues == [2.0, 1.0]
    assert len(pair.server.held) == 7


def test_a_request_that_is_late_when_it_comes_is_not_handled(pair: Pair) -> None:
    outcome = Outcome()
    pair.client.messenger.ask(Ping(1), outcome, 0)
    pair.server.holds = True
    pair.exchange()

    assert pair.server.held == []
    assert isinstance(outcome.error, TimedOut)
    assert str(outcome.error) == "its deadline had passed when it came"


def test_a_request_that_was_given_up_is_not_delivered(pair: Pair) -> None:
    pair.server.holds = True
    outcome = Outcome()
    id_ = pair.client.messenger.ask(Ping(1), outcome)
    pair.client.engine.cancel(id_)
    pair.exchange()
    assert pair.server.cancellations == [id_]
    pair.server.run(*pair.server.held[0])
    pair.exchange()

    assert not outcome.is_done


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("wrong reply", "Pong.number: expected `int`, got `str`"),
        ("other reply", "Note is no reply of Ping: that is Pong"),
        ("unwritable reply", "Pong cannot be encoded: Encoding objects of type object is unsupported"),
    ],
)
def test_a_reply_that_was_built_wrongly(pair: Pair, how: str, reason: str) -> None:
    with pytest.raises(InternalError) as caught:
        pair.ask(Ping(1, how))

    assert caught.value.name == "InternalError"
    assert caught.value.message.startswith("ping() (")
    assert caught.value.message.endswith(f": {reason}")


def test_a_plain_reply_that_was_built_wrongly(pair: Pair) -> None:
    with pytest.raises(InternalError, match=r"expected `int \| null`, got `str`$"):
        pair.ask(Either(-1))


def test_a_one_way_message_has_no_reply(pair: Pair) -> None:
    pair.server.holds = True
    pair.send(Note("x"))
    (route, _, _) = pair.server.held[0]

    with pytest.raises(InvalidMessage, match=r"^Note is a one-way message, which has no reply$"):
        pair.server.messenger.reply(1, route, None)


# Failures.


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("error", RemoteError("LookupError", "no such account")),
        ("typed", Insufficient(5)),
        ("by name", RemoteError("Own", "word")),
        ("no text", RemoteError("WrongText", "its text cannot be told: RuntimeError")),
    ],
)
def test_what_a_handler_raises(pair: Pair, how: str, expected: RemoteError) -> None:
    with pytest.raises(RemoteError) as caught:
        pair.ask(Ping(1, how))

    assert type(caught.value) is type(expected)
    assert vars(caught.value) == vars(expected)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Insufficient("much"), "Insufficient.balance: expected `int`, got `str`"),  # type: ignore[arg-type]
        (Unwritable(object()), "Unwritable cannot be encoded: "),
    ],
)
def test_an_error_that_was_built_wrongly(pair: Pair, error: RemoteError, reason: str) -> None:
    pair.server.holds = True
    outcome = Outcome()
    id_ = pair.client.messenger.ask(Ping(1), outcome)
    pair.exchange()

    with pytest.raises(InvalidMessage, match=rf"^{reason}"):
        pair.server.messenger.fail(id_, error)
    assert not pair.server.engine.idle
    pair.server.messenger.fail(id_, LookupError("told instead"))
    pair.exchange()
    with pytest.raises(RemoteError, match=r"^LookupError: told instead$"):
        outcome.result()


# Answers that are not what was asked for.


def answered(request: Message, type_: int, payload: bytes, *catalogue: TypeEntry) -> Outcome:
    end, peer = greeted((*catalogue_of(Ping).entries, *catalogue_of(Note).entries, *catalogue), app)
    outcome = Outcome()
    end.messenger.ask(request, outcome)  # type: ignore[arg-type] # a request, but for one case
    (asked,) = [event for event in peer.receive(bytes(end.engine.take()), 0) if hasattr(event, "id")]
    peer.reply(asked.id, type_, payload)
    end.receive(bytes(peer.take()))
    return outcome


def test_the_right_answer() -> None:
    assert answered(Ping(1), 1, b"\x91\x05").result() == Pong(5)


@pytest.mark.parametrize(
    ("request_", "type_", "payload", "reason"),
    [
        (Ping(1), 3, b"\x91\xa0", "Ping was answered with Note, not with Pong"),
        (Ping(1), 0, b"\x05", "Ping was answered with a plain value, not with Pong"),
        (Ping(1), 77, b"\x90", "the peer answered with type 77, which is not in its catalogue"),
        (Ping(1), 65_535, b"\x90", "the peer answered with type 65535, which is not in its catalogue"),
        (Ping(1), 1, b"\x90", "the reply to Ping does not fit: Pong.number is missing"),
        (Ping(1), 1, b"\x91\xa1x", "the reply to Ping does not fit: Pong.number: expected `int`, got `str`"),
        (Ping(1), 1, b"\x92\x01\x01", "the reply to Ping does not fit: Pong.text: expected `str`, got `int`"),
        (Ping(1), 1, b"", "the reply to Ping does not fit: Pong: input data was truncated"),
        (Ping(1), 1, b"\xc1", "the reply to Ping does not fit: Pong: messagePack data is malformed"),
        (Nothing(1), 0, b"\x05", "the reply to Nothing does not fit: NoneType: expected `null`, got `int`"),
        (Many(1), 0, b"\x91\x90", "the reply to Many does not fit: list[tests.every_answer.Pong][0].number is missi"),
        (Note("x"), 0, b"\xc0", "Note is a one-way message, and was answered"),
    ],
)
def test_an_answer_that_does_not_fit(request_: Message, type_: int, payload: bytes, reason: str) -> None:
    outcome = answered(request_, type_, payload)

    assert isinstance(outcome.error, MessageError)
    assert str(outcome.error).startswith(reason)


def test_an_answer_with_other_fields_than_here() -> None:
    entry = TypeEntry("Pong", TypeKind.MESSAGE, (Field("number", "str"),))
    outcome = answered(Ping(1), 4, b"\x91\xa1x", entry)

    assert repr(outcome.error) == "TypeMismatch('Pong.number is int here and str at the peer')"


# What is refused.


def test_a_wrong_way_is_refused(pair: Pair) -> None:
    notes.clear()
    pair.send(Ping(1))
    with pytest.raises(InvalidMessage, match=r"^Note was asked, but is a one-way message$"):
        pair.ask(Note("x"))  # type: ignore[arg-type] # which is the case

    (refusal,) = pair.client.refusals
    assert repr(refusal) == "InvalidMessage('Ping was sent one-way, but is a request')"
    assert not notes


def test_a_type_that_nobody_handles(pair: Pair) -> None:
    class Strange(Request[int]):
        pass

    with pytest.raises(UnknownType, match=r"^nobody handles Strange here; known: Either, Many, Note, Nothing, Ping$"):
        pair.ask(Strange())
    with pytest.raises(UnknownType, match=r"^nobody handles Strange here; known: nothing$"):
        Pair().ask(Strange())


def test_a_one_way_message_that_nobody_handles(pair: Pair) -> None:
    pair.send(Loose("1"))
    assert pair.server.inbox == [Loose("1")]

    pair.server.takes = False
    pair.send(Loose("2"))
    assert [repr(error) for error in pair.client.refusals] == ["UnknownType('nobody handles Loose here')"]
    with pytest.raises(UnknownType, match=r"^nobody handles Loose here$"):
        pair.ask(Loose("3"))  # type: ignore[arg-type] # which is the case


def test_a_refused_one_way_message_is_reported(pair: Pair) -> None:
    pair.send(Note(5))  # type: ignore[arg-type] # which is the case

    assert [repr(error) for error in pair.client.refusals] == ["InvalidMessage('Note.text: expected `str`, got `int`')"]


def test_only_messages_are_sent(pair: Pair) -> None:
    with pytest.raises(TypeError, match=r"^only messages can be sent: str is no subclass of tomada.Message$"):
        pair.send("text")  # type: ignore[arg-type] # which is the case


@pytest.mark.parametrize("type_", [0, 3, 65_535])
def test_a_number_that_is_not_in_the_catalogue(type_: int) -> None:
    end, peer = greeted(tuple(catalogue_of(Ping).entries), app)
    peer.send(type_, b"\x90")
    peer.ask(type_, b"\x90", "tag")
    end.receive(bytes(peer.take()))
    refused, answer = peer.receive(bytes(end.engine.take()), 0)

    for event in (refused, answer):
        failure = msgspec.msgpack.decode(event.payload, type=Failure)  # type: ignore[union-attr]
        assert failure == Failure(FailureCode.UNKNOWN_TYPE, "", f"type {type_} is not in the catalogue of its sender")
    assert end.engine.state is State.OPEN


def test_a_number_means_something_once_it_is_declared() -> None:
    end, peer = greeted(())
    peer.send(1, b"\x91\xa1a")
    end.receive(bytes(peer.take()))
    peer.declare(tuple(catalogue_of(Loose).entries))
    peer.send(1, b"\x91\xa1b")
    end.receive(bytes(peer.take()))

    assert end.inbox == [Loose("b")]


def test_a_one_way_message_with_other_fields_than_here() -> None:
    end, peer = greeted((TypeEntry("Loose", TypeKind.MESSAGE, (Field("text", "int"),)),))
    peer.send(1, b"\x91\x05")
    end.receive(bytes(peer.take()))
    (refused,) = peer.receive(bytes(end.engine.take()), 0)

    failure = msgspec.msgpack.decode(refused.payload, type=Failure)  # type: ignore[union-attr]
    assert failure == Failure(FailureCode.MISMATCH, "", "Loose.text is str here and int at the peer")


def test_a_one_way_message_of_a_class_that_is_not_here() -> None:
    end, peer = greeted((TypeEntry("Elsewhere", TypeKind.MESSAGE, (Field("text", "str"),)),))
    peer.send(1, b"\x91\xa1x")
    end.receive(bytes(peer.take()))

    (message,) = end.inbox
    assert type(message).__name__ == "Elsewhere"
    assert message.text == "x"  # type: ignore[attr-defined] # made here


# This end's types.


def test_types_are_declared_when_they_are_first_needed(pair: Pair) -> None:
    assert not pair.server.messenger.peer_types
    pair.ask(Ping(1))
    assert list(pair.server.messenger.peer_types) == ["Pong", "Ping"]
    pair.ask(Ping(1))
    pair.send(Note("x"))
    assert list(pair.server.messenger.peer_types) == ["Pong", "Ping", "Note"]


def test_what_is_known_already_is_not_declared_again(pair: Pair) -> None:
    pair.send(Pong(1))
    pair.ask(Ping(2))

    assert list(pair.server.messenger.peer_types) == ["Pong", "Ping"]
    assert pair.server.inbox == [Pong(1)]


def test_two_classes_with_the_same_fields_are_one_type(pair: Pair) -> None:
    other: Any = msgspec.defstruct("Loose", [("text", str)], bases=(Message,), module="elsewhere")
    pair.send(Loose("1"))
    pair.send(other("2"))

    assert list(pair.server.messenger.peer_types) == ["Loose"]
    assert [message.text for message in pair.server.inbox] == ["1", "2"]  # type: ignore[attr-defined]


def test_two_classes_of_one_name_with_other_fields_are_refused(pair: Pair) -> None:
    other: Any = msgspec.defstruct("Loose", [("text", int)], bases=(Message,), module="elsewhere")
    pair.send(Loose("1"))

    with pytest.raises(
        DeclarationError, match=r"^two types with different fields are named Loose; rename one of them$"
    ):
        pair.send(other(1))


def test_the_peer_s_types_are_a_copy(pair: Pair) -> None:
    pair.client.messenger.peer_types.clear()

    assert "Ping" in pair.client.messenger.peer_types


def test_calls_without_an_application_lead_nowhere() -> None:
    assert not Repertoire(None, {Ping: print}).routes


# The rest of what may come.


def test_the_driver_is_told_of_the_rest(pair: Pair) -> None:
    pair.client.engine.ping(b"12345678")
    pair.exchange()
    pair.client.engine.leave(GoodbyeCode.CLOSED, "")
    pair.exchange()

    assert pair.client.pongs == [b"12345678"]
    assert pair.server.has_left
    assert pair.server.greeting is not None
    assert pair.server.greeting.software == ""
