"""What each number means, in either direction: the types that this end sends, and what it makes of the peer's.

The lower half of a `Messenger`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from tomada.catalogue import catalogue_of, find, type_name
from tomada.compatibility import mismatch
from tomada.declaration import items_of, parts_of, replies_of
from tomada.errors import DeclarationError, InvalidMessage, MessageError, TypeMismatch, UnknownType
from tomada.failure import read_error
from tomada.generation import Generator
from tomada.message import PARAMETERS, AnyRequest, Message, Request, UploadRequest
from tomada.protocol import FailureCode, TypeEntry, TypeKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tomada.declaration import Replies
    from tomada.errors import TomadaError
    from tomada.protocol import Engine
    from tomada.repertoire import Repertoire, Route

_encode: Final = msgspec.msgpack.Encoder().encode
_MAXIMUM_TEXT: Final = 1_000


class Outgoing:
    """A type that this end sends over one connection."""

    __slots__ = ("items", "items_resolved", "kind", "name", "number", "parts", "replies", "resolved")

    def __init__(self, kind: type[Message], number: int) -> None:
        self.kind = kind
        self.name = type_name(kind)
        self.number = number
        self.replies = replies_of(kind)
        self.items = items_of(kind)
        self.parts = parts_of(kind)
        self.resolved: dict[int, Callable[[bytes], Any]] = {}
        """The decoder for each number that a reply may have."""
        self.items_resolved: dict[int, Callable[[bytes], Any]] = {}
        """The same, of an item."""


class Refusal:
    """Why an incoming type is refused."""

    __slots__ = ("code", "text")

    def __init__(self, code: FailureCode, text: str) -> None:
        self.code = code
        self.text = text


class Inbox:
    """A type without a handler, for those who receive messages one by one."""

    __slots__ = ("decode", "kind")

    def __init__(self, kind: type[Message]) -> None:
        self.kind = kind
        self.decode = msgspec.msgpack.Decoder(kind).decode


class Vocabulary:
    """The types of both ends of one connection.

    Args:
        engine: Which tells the peer of new types.
        repertoire: This end's types and handlers.
    """

    __slots__ = (
        "_askable",
        "_declared",
        "_generator",
        "_incoming",
        "_numbers",
        "_outgoing",
        "_parts_resolved",
        "_peer",
        "_peer_types",
        "_repertoire",
        "engine",
    )

    def __init__(self, engine: Engine, repertoire: Repertoire) -> None:
        self.engine = engine
        self._repertoire = repertoire
        self._peer: list[TypeEntry] = []
        self._peer_types: dict[str, TypeEntry] = {}
        self._generator = Generator(self._peer_types)
        self._incoming: dict[int, Route | Inbox | Refusal] = {}
        self._outgoing: dict[type, Outgoing] = {}
        self._askable: dict[type, Outgoing] = {}
        """Those of them that have one reply and no stream."""
        self._parts_resolved: dict[str, dict[int, Callable[[bytes], Any]]] = {}
        """For each request that parts follow: the decoder for each number that a part may have."""
        self._declared: list[TypeEntry] = []
        """What has been added to the repertoire's catalogue on this connection."""
        self._numbers: dict[Any, int] = {}
        """The numbers of the classes that are not in it."""

    # What this end sends.

    def own(self, type_: int, payload: bytes) -> Message:
        """A message of this end, of which the engine has number and payload."""
        kinds = {number: kind for kind, number in (*self._repertoire.catalogue.numbers.items(), *self._numbers.items())}
        return cast("Message", msgspec.msgpack.decode(payload, type=kinds[type_]))

    def _prepare(self, kind: type[Message]) -> Outgoing:
        if not issubclass(kind, Message):
            raise TypeError(f"only messages can be sent: {kind.__name__} is no subclass of tomada.Message")
        outgoing = self._outgoing[kind] = Outgoing(kind, self._number(kind))
        return outgoing

    def _prepare_ask(self, kind: type[Message]) -> Outgoing:
        if issubclass(kind, AnyRequest) and not issubclass(kind, Request):
            right = "ask(request, upload=parts)" if issubclass(kind, UploadRequest) else "stream(request)"
            raise TypeError(f"{kind.__name__} is a tomada.{_root(kind)}: write `{right}`")
        outgoing = self._askable[kind] = self._outgoing.get(kind) or self._prepare(kind)
        return outgoing

    def _number(self, kind: type) -> int:
        """The number of a type in this end's catalogue, where it is declared if need be."""
        number = self._repertoire.catalogue.numbers.get(kind) or self._numbers.get(kind)
        if number is None:
            number = self._numbers[kind] = self._declare(kind)
        return number

    def _declare(self, kind: type) -> int:
        name = type_name(kind)
        if self._generator.made.get(name) is kind:
            # Made from the peer's own description, which is said back word for word.
            return self._append([self._peer_types[name]])
        mine = [*self._repertoire.catalogue.entries, *self._declared]
        numbers = {entry.name: number for number, entry in enumerate(mine, 1)}
        entries = catalogue_of(kind).entries
        for entry in entries:
            number = numbers.get(entry.name)
            if number is not None and mine[number - 1].digest != entry.digest:
                raise DeclarationError(f"two types with different fields are named {entry.name}; rename one of them")
        new = [entry for entry in entries if entry.name not in numbers]
        return numbers[name] if name in numbers else self._append(new)

    def _append(self, entries: list[TypeEntry]) -> int:
        """Declare types; the number of the last."""
        self.engine.declare(tuple(entries))
        self._declared += entries
        return len(self._repertoire.catalogue.entries) + len(self._declared)

    # The peer's types.

    @property
    def own_entries(self) -> list[TypeEntry]:
        """What this end may send, in the order of its numbers."""
        return [*self._repertoire.catalogue.entries, *self._declared]

    @property
    def peer_entries(self) -> list[TypeEntry]:
        """What the peer may send, in the order of its numbers."""
        return self._peer

    @property
    def peer_types(self) -> dict[str, TypeEntry]:
        """The peer's catalogue, by name."""
        return dict(self._peer_types)

    def generated(self, name: str) -> Any:
        """A class for the peer's type `name`, made from its catalogue. Raises `UnknownType`, `TypeMismatch`."""
        if name not in self._peer_types:
            raise UnknownType(f"the peer has no type {name}")
        return self._generator.generate(name)

    def _learn(self, entries: Iterable[TypeEntry]) -> None:
        for entry in entries:
            self._peer.append(entry)
            self._peer_types[entry.name] = entry

    # What the peer sends.

    def _resolve(self, type_: int) -> Route | Inbox | Refusal:
        """Find what an incoming number means, once per connection and type."""
        if not 0 < type_ <= len(self._peer):
            return Refusal(FailureCode.UNKNOWN_TYPE, f"type {type_} is not in the catalogue of its sender")
        resolved = self._incoming[type_] = self._find(self._peer[type_ - 1])
        return resolved

    def _find(self, entry: TypeEntry) -> Route | Inbox | Refusal:
        route = self._repertoire.routes.get(entry.name)
        if route is not None:
            reason = mismatch(entry.name, route.entries, self._peer_types)
            return route if reason is None else Refusal(FailureCode.MISMATCH, reason)
        if entry.kind is not TypeKind.MESSAGE:
            known = ", ".join(sorted(self._repertoire.routes)) or "nothing"
            return Refusal(
                FailureCode.UNKNOWN_TYPE, f"nobody handles {entry.name} here; known: {known}"[:_MAXIMUM_TEXT]
            )
        try:
            return Inbox(self._local(entry))
        except MessageError as error:
            return Refusal(FailureCode.MISMATCH, str(error))

    def _local(self, entry: TypeEntry) -> Any:
        """This program's class for a peer's type, or one made from its description."""
        kind = find(entry)
        if kind is None:
            return self.generated(entry.name)
        reason = mismatch(entry.name, catalogue_of(kind).by_name, self._peer_types)
        if reason is not None:
            raise TypeMismatch(reason)
        return kind

    def _reply_decoder(self, outgoing: Outgoing, type_: int) -> Callable[[bytes], Any]:
        """The decoder for a reply of the peer's type number `type_`, once per connection and type."""
        if outgoing.replies is None:
            what = "a one-way message" if outgoing.items is None else f"answered by a stream of {outgoing.items.text}"
            raise TypeMismatch(f"{outgoing.name} is {what}, and was answered with one reply")
        decode = outgoing.resolved[type_] = self._decoder(f"{outgoing.name} was answered", outgoing.replies, type_)
        return decode

    def item_decoder(self, outgoing: Outgoing, type_: int) -> Callable[[bytes], Any]:
        """The decoder for an item of the peer's type number `type_`. Raises `TypeMismatch`, `UnknownType`."""
        decode = outgoing.items_resolved.get(type_)
        if decode is None:
            assert outgoing.items is not None, "only a stream has items"  # noqa: S101 - the house's own order
            decode = self._decoder(f"{outgoing.name} was answered", outgoing.items, type_)
            outgoing.items_resolved[type_] = decode
        return decode

    def part_decoder(self, route: Route, type_: int) -> Callable[[bytes], Any]:
        """The decoder for a part of the peer's type number `type_`. Raises `TypeMismatch`, `UnknownType`."""
        resolved = self._parts_resolved.setdefault(route.name, {})
        decode = resolved.get(type_)
        if decode is None:
            assert route.parts is not None, "parts follow it"  # noqa: S101 - the house's own order
            decode = resolved[type_] = self._decoder(f"{route.name} was followed", route.parts, type_)
        return decode

    def _decoder(self, what: str, replies: Replies, type_: int) -> Callable[[bytes], Any]:
        if not type_:
            if replies.plain is None:
                raise TypeMismatch(f"{what} with a plain value, not with {replies.text}")
            return replies.plain
        entry = self._entry(type_)
        kind = next((kind for kind in replies.decoders if type_name(kind) == entry.name), None)
        if kind is None:
            raise TypeMismatch(f"{what} with {entry.name}, not with {replies.text}")
        if self._generator.made.get(entry.name) is not kind:
            reason = mismatch(entry.name, catalogue_of(kind).by_name, self._peer_types)
            if reason is not None:
                raise TypeMismatch(reason)
        return replies.decoders[kind]

    def _error(self, type_: int, payload: bytes) -> TomadaError:
        try:
            return read_error(self._entry(type_) if type_ else None, payload, self._peer_types)
        except MessageError as error:
            return error

    def _entry(self, type_: int) -> TypeEntry:
        if not 0 < type_ <= len(self._peer):
            raise UnknownType(f"the peer answered with type {type_}, which is not in its catalogue")
        return self._peer[type_ - 1]


def encoded(value: Any) -> bytes:
    """`value` as a payload. Raises `InvalidMessage` where a field has a value that cannot travel."""
    try:
        return _encode(value)
    except Exception as error:
        raise InvalidMessage(f"{type_name(value.__class__)} cannot be encoded: {error}") from error


def _root(kind: type) -> str:
    """Which of the kinds of requests it is."""
    return next(root.__name__ for root in PARAMETERS if issubclass(kind, root))
