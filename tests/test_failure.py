from __future__ import annotations

import msgspec
import pytest

from tests.ends import Outcome, greeted, said
from tests.every_answer import (
    Ping,
    app,
)
from tomada import (
    InternalError,
    InvalidMessage,
    RemoteError,
    TimedOut,
    TypeMismatch,
    UnknownType,
)
from tomada.catalogue import catalogue_of
from tomada.protocol import Failure, FailureCode, Field, TypeEntry, TypeKind


def failed(*catalogue: TypeEntry, type_: int, payload: bytes) -> BaseException:
    """What a request fails with, when the peer answers with such an error frame."""
    end, peer = greeted((*catalogue_of(Ping).entries, *catalogue), app)
    outcome = Outcome()
    end.messenger.ask(Ping(1), outcome)
    (asked,) = [event for event in peer.receive(bytes(end.engine.take()), 0) if hasattr(event, "id")]
    peer.fail(asked.id, type_, payload)
    end.receive(said(peer))
    assert outcome.error is not None
    return outcome.error


def error_entry(name: str, *fields: str) -> TypeEntry:
    return TypeEntry(name, TypeKind.ERROR, tuple(Field(field, "int") for field in fields))


def test_an_error_of_an_unknown_class_is_told_by_name_and_text() -> None:
    error = failed(error_entry("Overdrawn", "by", "since"), type_=3, payload=msgspec.msgpack.encode([5, 2020]))

    assert repr(error) == "RemoteError('Overdrawn', 'by=5, since=2020')"


def test_an_error_with_other_fields_than_here_is_told_by_name_and_text() -> None:
    error = failed(error_entry("Insufficient", "amount"), type_=3, payload=msgspec.msgpack.encode([5]))

    assert repr(error) == "RemoteError('Insufficient', 'amount=5')"


@pytest.mark.parametrize("name", ["InternalError", "RemoteError"])
def test_an_error_named_as_one_without_fields(name: str) -> None:
    error = failed(error_entry(name, "name"), type_=3, payload=msgspec.msgpack.encode([5]))

    assert repr(error) == f"RemoteError({name!r}, 'name=5')"
    assert InternalError.payload_type is None


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (FailureCode.UNKNOWN_TYPE, UnknownType),
        (FailureCode.MISMATCH, TypeMismatch),
        (FailureCode.INVALID, InvalidMessage),
        (FailureCode.INTERNAL, InternalError),
        (FailureCode.RAISED, RemoteError),
        (FailureCode.CANCELLED, RemoteError),
        (FailureCode.DEADLINE, TimedOut),
    ],
)
def test_failures_in_the_protocol_s_words(code: FailureCode, kind: type[Exception]) -> None:
    error = failed(type_=0, payload=msgspec.msgpack.encode(Failure(code, "", "the text")))

    assert type(error) is kind
    assert "the text" in str(error)


@pytest.mark.parametrize(
    ("type_", "payload"),
    [(0, b""), (0, b"\xc1"), (0, b"\x91\xa7unheard"), (3, b"\x01"), (3, b""), (3, b"\x91" * 100_000), (1, b"\x90")],
)
def test_a_failure_that_cannot_be_read(type_: int, payload: bytes) -> None:
    error = failed(error_entry("Insufficient", "balance"), type_=type_, payload=payload)

    assert isinstance(error, (InvalidMessage, RemoteError))


def test_a_failure_with_a_number_that_nobody_declared() -> None:
    error = failed(type_=99, payload=b"\x90")

    assert repr(error) == "UnknownType('the peer answered with type 99, which is not in its catalogue')"
