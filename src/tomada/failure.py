"""How the failure of a request becomes an exception at the end that asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tomada.catalogue import catalogue_of, find
from tomada.compatibility import mismatch
from tomada.errors import (
    InternalError,
    InvalidMessage,
    MessageError,
    OutcomeUnknown,
    RemoteError,
    TimedOut,
    TypeMismatch,
    UnknownType,
)
from tomada.protocol import Failure, FailureCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tomada.protocol import TypeEntry

_KINDS: Final[dict[FailureCode, type[MessageError | TimedOut | OutcomeUnknown]]] = {
    FailureCode.UNKNOWN_TYPE: UnknownType,
    FailureCode.MISMATCH: TypeMismatch,
    FailureCode.INVALID: InvalidMessage,
    FailureCode.DEADLINE: TimedOut,
    FailureCode.LOST: OutcomeUnknown,
}
_failure: Final = msgspec.msgpack.Decoder(Failure).decode


def read_error(
    entry: TypeEntry | None, payload: bytes, peer_types: Mapping[str, TypeEntry]
) -> RemoteError | MessageError | TimedOut | OutcomeUnknown:
    """The exception that an error frame means.

    Args:
        entry: The peer's type of the error; None for one in the protocol's own words.
        payload: Its fields.
        peer_types: The peer's catalogue by name.
    """
    try:
        return _untyped(payload) if entry is None else _typed(entry, payload, peer_types)
    except Exception as error:  # noqa: BLE001 - whatever a decoder, or a class's own check, raises
        return InvalidMessage(f"the peer's error cannot be read: {error}")


def _untyped(payload: bytes) -> RemoteError | MessageError | TimedOut | OutcomeUnknown:
    failure = _failure(payload)
    match failure.code:
        case FailureCode.INTERNAL:
            return InternalError(failure.name, failure.message)
        case code if code in _KINDS:
            return _KINDS[code](failure.message)
        case _:
            return RemoteError(failure.name or failure.code.value, failure.message)


def _typed(entry: TypeEntry, payload: bytes, peer_types: Mapping[str, TypeEntry]) -> RemoteError:
    kind = find(entry)
    known = kind is not None and mismatch(entry.name, catalogue_of(kind).by_name, peer_types) is None
    if known and kind is not None and issubclass(kind, RemoteError):
        values = msgspec.msgpack.decode(payload, type=kind.payload_class())
        return kind(**msgspec.structs.asdict(values))
    values = msgspec.msgpack.decode(payload)
    text = ", ".join(f"{field.name}={value!r}" for field, value in zip(entry.fields, values, strict=False))
    return RemoteError(entry.name, text)
