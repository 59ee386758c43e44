"""Typed messages over an engine, still without I/O: types in place of numbers, objects in place of payloads.

Both faces, the asynchronous `Connection` and the blocking one, drive a `Messenger`. What it cannot do itself it asks of
its `Driver`.
"""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from tomada import validation
from tomada.catalogue import catalogue_of, find, type_name
from tomada.compatibility import mismatch
from tomada.declaration import Replies
from tomada.errors import (
    DeclarationError,
    InvalidMessage,
    MessageError,
    RemoteError,
    TomadaError,
    TypeMismatch,
    UnknownType,
)
from tomada.failure import read_error
from tomada.generation import Generator
from tomada.message import Message, Request, mark, reply_type
from tomada.protocol import (
    Answered,
    Asked,
    Cancelled,
    Declared,
    Engine,
    FailureCode,
    Opened,
    Ponged,
    Received,
    Refused,
    Resumed,
    Resuming,
    TypeEntry,
    TypeKind,
)
from tomada.protocol.frames import ERROR
from tomada.repertoire import Answer, Driver, Repertoire, Route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["MISSED_TURN", "REMEMBERED_REFUSALS", "WRONG_REPLY", "Answer", "Driver", "Messenger", "Repertoire", "Route"]

_encode: Final = msgspec.msgpack.Encoder().encode
_MAXIMUM_TEXT: Final = 1_000
REMEMBERED_REFUSALS: Final = 100
MISSED_TURN: Final = "its deadline passed while it waited for its turn"
_TOO_LATE: Final = "its deadline had passed when it came"
WRONG_REPLY: Final = "the handler's answer does not fit its type; the log at that end says more"


class _Outgoing:
    """A type that this end sends over one connection."""

    __slots__ = ("kind", "number", "replies", "resolved")

    def __init__(self, kind: type[Message], number: int) -> None:
        self.kind = kind
        self.number = number
        self.replies: Replies | None = None
        self.resolved: dict[int, Callable[[bytes], Any]] = {}
        """The decoder for each number that a reply may have."""


class _Refusal:
    """Why an incoming type is refused."""

    __slots__ = ("code", "text")

    def __init__(self, code: FailureCode, text: str) -> None:
        self.code = code
        self.text = text


class _Inbox:
    """A type without a handler, for those who receive messages one by one."""

    __slots__ = ("decode", "kind")

    def __init__(self, kind: type[Message]) -> None:
        self.kind = kind
        self.decode = msgspec.msgpack.Decoder(kind).decode


class Messenger:
    """Typed messages over one engine.

    Args:
        engine: The engine; its driver may call everything of it but `receive`, `ask`, `send`, `reply` and `fail`.
        repertoire: This end's types and handlers.
        driver: Who runs handlers and takes messages.
    """

    __slots__ = (
        "_declared",
        "_driver",
        "_generator",
        "_incoming",
        "_key",
        "_numbers",
        "_outgoing",
        "_peer",
        "_peer_types",
        "_repertoire",
        "engine",
    )

    def __init__(self, engine: Engine, repertoire: Repertoire, driver: Driver) -> None:
        self.engine = engine
        self._repertoire = repertoire
        self._driver = driver
        self._key: Callable[[int], str] = engine.key
        """By which a handler recognises the request that came from there."""
        self._peer: list[TypeEntry] = []
        self._peer_types: dict[str, TypeEntry] = {}
        self._generator = Generator(self._peer_types)
        self._incoming: dict[int, Route | _Inbox | _Refusal] = {}
        self._outgoing: dict[type, _Outgoing] = {}
        self._declared: list[TypeEntry] = []
        """What has been added to the repertoire's catalogue on this connection."""
        self._numbers: dict[Any, int] = {}
        """The numbers of the classes that are not in it."""

    # Outgoing.

    def ask(
        self,
        request: Request[Any],
        answer: Answer,
        deadline: int | None = None,
        key: str | None = None,
        urgent: bool = False,  # noqa: FBT001, FBT002 - a keyword costs, for every message
    ) -> int:
        """Queue a request; its reply goes to `answer`. Returns its id, for `Engine.cancel`.

        See `Engine.ask` for the further arguments.
        """
        kind = request.__class__
        outgoing = self._outgoing.get(kind) or self._prepare(kind)
        if key is not None:
            mark(request, key)
        return self.engine.ask(outgoing.number, _encoded(request), (outgoing, answer), deadline, key, urgent)

    def send(self, message: Message, urgent: bool = False) -> None:  # noqa: FBT001, FBT002 - as of `ask`
        """Queue a one-way message."""
        kind = message.__class__
        outgoing = self._outgoing.get(kind) or self._prepare(kind)
        self.engine.send(outgoing.number, _encoded(message), urgent)

    def reply(self, id_: int, route: Route, value: Any) -> None:
        """Queue the reply to the peer's request.

        Raises `InvalidMessage` when the handler built it wrongly; the request is then still to be answered.
        """
        replies = route.replies
        if replies is None:
            raise InvalidMessage(f"{route.name} is a one-way message, which has no reply")
        kind = value.__class__
        decode: Any = replies.decoders.get(kind)
        number = 0
        if decode is not None:
            number = self._repertoire.catalogue.numbers[kind]
        else:
            decode = replies.plain
            if decode is None:
                raise InvalidMessage(f"{kind.__name__} is no reply of {route.name}: that is {replies.text}")
        payload = _encoded(value)
        try:
            decode(payload)
        except Exception as error:
            raise InvalidMessage(validation.explain(decode.__self__.type, error)) from error
        self.engine.reply(id_, number, payload)

    def fail(self, id_: int, error: BaseException) -> None:
        """Queue the failure of the peer's request: a typed error as itself, any other by name and text.

        Raises `MessageError` or `DeclarationError` when it cannot travel; the request is then still to be answered.
        """
        if not isinstance(error, RemoteError):
            self.engine.refuse(id_, FailureCode.RAISED, type(error).__name__, _text(error))
        elif error.payload_type is None:
            self.engine.refuse(id_, FailureCode.RAISED, error.name, error.message)
        else:
            payload = _encoded(error.payload())
            try:
                msgspec.msgpack.decode(payload, type=error.payload_type)
            except Exception as wrong:
                raise InvalidMessage(validation.explain(error.payload_type, wrong)) from wrong
            self.engine.fail(id_, self._number(type(error)), payload)

    def own(self, type_: int, payload: bytes) -> Message:
        """A message of this end, of which the engine has number and payload."""
        kinds = {number: kind for kind, number in (*self._repertoire.catalogue.numbers.items(), *self._numbers.items())}
        return cast("Message", msgspec.msgpack.decode(payload, type=kinds[type_]))

    def _prepare(self, kind: type[Message]) -> _Outgoing:
        if not issubclass(kind, Message):
            raise TypeError(f"only messages can be sent: {kind.__name__} is no subclass of tomada.Message")
        outgoing = _Outgoing(kind, self._number(kind))
        if issubclass(kind, Request):
            outgoing.replies = Replies(reply_type(kind))
        self._outgoing[kind] = outgoing
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
    def peer_types(self) -> dict[str, TypeEntry]:
        """The peer's catalogue, by name."""
        return dict(self._peer_types)

    def generated(self, name: str) -> Any:
        """A class for the peer's type `name`, made from its catalogue. Raises `UnknownType`, `TypeMismatch`."""
        if name not in self._peer_types:
            raise UnknownType(f"the peer has no type {name}")
        return self._generator.generate(name)

    def restored(self) -> None:
        """The engine has become a session that was stored."""
        self._learn(self.engine.peer_entries)
        self._declared = list(self.engine.declared)

    def _learn(self, entries: Iterable[TypeEntry]) -> None:
        for entry in entries:
            self._peer.append(entry)
            self._peer_types[entry.name] = entry

    # Incoming.

    def receive(self, data: bytes, now: float) -> None:
        """Act on the bytes received at `now`: answer what can be answered here, hand the rest to the driver."""
        event: Any  # its class is looked at once
        engine = self.engine
        due = engine.answer_by
        for event in engine.receive(data, now):
            kind = event.__class__
            if kind is Answered:
                if event.tag is not None:
                    self._answered(event)
            elif kind is Asked:
                if event.deadline == 0:
                    engine.refuse(event.id, FailureCode.DEADLINE, "", _TOO_LATE)
                else:
                    self._asked(event.id, event.type, event.payload, event.origin, event.key)
            elif kind is Received:
                self._asked(0, event.type, event.payload, event.origin)
            else:
                self._other(event)
        if engine.answer_by < due:
            self._driver.due(engine.answer_by)

    def _answered(self, event: Answered) -> None:
        outgoing, answer = event.tag
        if answer.done():
            return
        if event.kind == ERROR:
            answer.set_exception(self._error(event.type, event.payload))
            return
        try:
            decode: Any = outgoing.resolved.get(event.type) or self._reply_decoder(outgoing, event.type)
        except MessageError as error:
            answer.set_exception(error)
            return
        try:
            value = decode(event.payload)
        except Exception as error:  # noqa: BLE001 - whatever a decoder or a class's own check raises
            text = validation.explain(decode.__self__.type, error)
            answer.set_exception(InvalidMessage(f"the reply to {type_name(outgoing.kind)} does not fit: {text}"))
        else:
            answer.set_result(value)

    def _asked(self, id_: int, type_: int, payload: bytes, origin: int, key: str | None = None) -> None:
        route: Any = self._incoming.get(type_) or self._resolve(type_)
        if route.__class__ is _Refusal:
            self.engine.refuse(id_, route.code, "", route.text)
            return
        try:
            message = route.decode(payload)
        except Exception as error:  # noqa: BLE001 - whatever a decoder or a class's own check raises
            self.engine.refuse(id_, FailureCode.INVALID, route.kind.__name__, validation.explain(route.kind, error))
            return
        if route.__class__ is Route:
            if (route.replies is None) is (id_ == 0):
                if id_:
                    mark(message, (self._key, origin) if key is None else key)
                if self._driver.handle(route, message, id_, origin):
                    self.engine.hold(origin, len(payload))
            else:
                asked = "was asked, but is a one-way message" if id_ else "was sent one-way, but is a request"
                self.engine.refuse(id_, FailureCode.INVALID, route.name, f"{route.name} {asked}")
        elif id_ or not self._driver.deliver(message, origin):
            self.engine.refuse(id_, FailureCode.UNKNOWN_TYPE, "", f"nobody handles {route.kind.__name__} here")
        else:
            self.engine.hold(origin, len(payload))

    def _other(self, event: Any) -> None:
        match event:
            case Opened():
                self._learn(event.peer.catalogue)
                if self.engine.session is None:
                    # Nobody asks again what was asked without one: any key will do that no other request has.
                    connection = token_hex(16)
                    self._key = lambda origin: connection + self.engine.key(origin)
                self._driver.opened_by(event.peer)
            case Resuming():
                self._driver.resuming(event.hello)
            case Resumed():
                self._driver.resumed()
            case Declared():
                self._learn(event.types)
            case Cancelled():
                self._driver.cancelled(event.id)
            case Ponged():
                self._driver.ponged(event.payload)
            case Refused():
                self._driver.refused(self._error(event.type, event.payload))
            case _:  # Left
                self._driver.left()

    def _resolve(self, type_: int) -> Route | _Inbox | _Refusal:
        """Find what an incoming number means, once per connection and type."""
        if not 0 < type_ <= len(self._peer):
            return _Refusal(FailureCode.UNKNOWN_TYPE, f"type {type_} is not in the catalogue of its sender")
        resolved = self._incoming[type_] = self._find(self._peer[type_ - 1])
        return resolved

    def _find(self, entry: TypeEntry) -> Route | _Inbox | _Refusal:
        route = self._repertoire.routes.get(entry.name)
        if route is not None:
            reason = mismatch(entry.name, route.entries, self._peer_types)
            return route if reason is None else _Refusal(FailureCode.MISMATCH, reason)
        if entry.kind is not TypeKind.MESSAGE:
            known = ", ".join(sorted(self._repertoire.routes)) or "nothing"
            return _Refusal(
                FailureCode.UNKNOWN_TYPE, f"nobody handles {entry.name} here; known: {known}"[:_MAXIMUM_TEXT]
            )
        try:
            return _Inbox(self._local(entry))
        except MessageError as error:
            return _Refusal(FailureCode.MISMATCH, str(error))

    def _local(self, entry: TypeEntry) -> Any:
        """This program's class for a peer's type, or one made from its description."""
        kind = find(entry)
        if kind is None:
            return self.generated(entry.name)
        reason = mismatch(entry.name, catalogue_of(kind).by_name, self._peer_types)
        if reason is not None:
            raise TypeMismatch(reason)
        return kind

    def _reply_decoder(self, outgoing: _Outgoing, type_: int) -> Callable[[bytes], Any]:
        """The decoder for a reply of the peer's type number `type_`, once per connection and type."""
        name = type_name(outgoing.kind)
        replies = outgoing.replies
        if replies is None:
            raise TypeMismatch(f"{name} is a one-way message, and was answered")
        decode = replies.plain
        if type_:
            entry = self._entry(type_)
            kind = next((kind for kind in replies.decoders if type_name(kind) == entry.name), None)
            if kind is None:
                raise TypeMismatch(f"{name} was answered with {entry.name}, not with {replies.text}")
            reason = None
            if self._generator.made.get(entry.name) is not kind:
                reason = mismatch(entry.name, catalogue_of(kind).by_name, self._peer_types)
            if reason is not None:
                raise TypeMismatch(reason)
            decode = replies.decoders[kind]
        elif decode is None:
            raise TypeMismatch(f"{name} was answered with a plain value, not with {replies.text}")
        outgoing.resolved[type_] = decode
        return decode

    def _error(self, type_: int, payload: bytes) -> TomadaError:
        try:
            return read_error(self._entry(type_) if type_ else None, payload, self._peer_types)
        except MessageError as error:
            return error

    def _entry(self, type_: int) -> TypeEntry:
        if not 0 < type_ <= len(self._peer):
            raise UnknownType(f"the peer answered with type {type_}, which is not in its catalogue")
        return self._peer[type_ - 1]


def _encoded(value: Any) -> bytes:
    try:
        return _encode(value)
    except Exception as error:
        raise InvalidMessage(f"{type_name(value.__class__)} cannot be encoded: {error}") from error


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as fault:  # noqa: BLE001 - an application's own exception, which must not cost the answer
        return f"its text cannot be told: {type(fault).__name__}"
