"""Typed messages over an engine, still without I/O: types in place of numbers, objects in place of payloads.

Both faces, the asynchronous `Connection` and the blocking one, drive a `Messenger`. What it cannot do itself it asks of
its `Driver`.
"""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tomada import validation
from tomada.errors import InvalidMessage, MessageError, RemoteError, TypeMismatch
from tomada.message import mark
from tomada.protocol import (
    HEADER_BYTES,
    Answered,
    Asked,
    Cancelled,
    Credited,
    Declared,
    Ended,
    Engine,
    FailureCode,
    Item,
    Opened,
    Ponged,
    Received,
    Refused,
    Resumed,
    Resuming,
    Trace,
)
from tomada.protocol.frames import END, ERROR
from tomada.repertoire import Answer, Driver, Repertoire, Route
from tomada.telemetry.tracer import Tracer
from tomada.vocabulary import Refusal, Vocabulary, encoded

if TYPE_CHECKING:
    from collections.abc import Callable

    from tomada.declaration import Items
    from tomada.message import AnyRequest, Message
    from tomada.telemetry.tracer import Carried

__all__ = ["MISSED_TURN", "REMEMBERED_REFUSALS", "WRONG_REPLY", "Answer", "Driver", "Messenger", "Repertoire", "Route"]

REMEMBERED_REFUSALS: Final = 100
MISSED_TURN: Final = "its deadline passed while it waited for its turn"
_TOO_LATE: Final = "its deadline had passed when it came"
_ONCE: Final = "has one reply, and was answered by a stream"
WRONG_REPLY: Final = "the handler's answer does not fit its type; the log at that end says more"


class Messenger(Vocabulary):
    """Typed messages over one engine.

    Args:
        engine: The engine; its driver may call everything of it but `receive`, `ask`, `send`, `reply`, `fail` and
            `item`.
        repertoire: This end's types and handlers.
        driver: Who runs handlers and takes messages.
    """

    __slots__ = ("_driver", "_key")

    def __init__(self, engine: Engine, repertoire: Repertoire, driver: Driver) -> None:
        super().__init__(engine, repertoire)
        self._driver = driver
        self._key: Callable[[int], str] = engine.key
        """By which a handler recognises the request that came from there."""

    # Outgoing.

    def ask(
        self,
        request: AnyRequest,
        answer: Answer,
        deadline: int | None = None,
        key: str | None = None,
        urgent: bool = False,  # noqa: FBT001, FBT002 - a keyword costs, for every message
    ) -> int:
        """Queue a request; its reply goes to `answer`. Returns its id, for `Engine.cancel`.

        See `Engine.ask` for the further arguments. Raises `TypeError` for a request with a stream: `open` asks those.
        """
        kind = request.__class__
        outgoing = self._askable.get(kind) or self._prepare_ask(kind)
        trace = None if Tracer.active is None else _trace(Tracer.active.carried())
        id_ = self.engine.ask(outgoing.number, encoded(request), (outgoing, answer), deadline, key, urgent, trace)
        if key is not None:
            mark(request, key)
        return id_

    def open(
        self,
        request: AnyRequest,
        answer: Answer,
        deadline: int | None = None,
        key: str | None = None,
        *,
        urgent: bool = False,
    ) -> int:
        """As `ask`, for a request with a stream: its items go to `answer`, too (`Taker`), and its parts by `item`."""
        kind = request.__class__
        outgoing = self._outgoing.get(kind) or self._prepare(kind)
        trace = None if Tracer.active is None else _trace(Tracer.active.carried())
        id_ = self.engine.ask(outgoing.number, encoded(request), (outgoing, answer), deadline, key, urgent, trace)
        if key is not None:
            mark(request, key)
        return id_

    def parts_of(self, request: AnyRequest) -> Items | None:
        """What the parts of this end's request may be."""
        kind = request.__class__
        return (self._outgoing.get(kind) or self._prepare(kind)).parts

    def item_decoders(self, request: AnyRequest) -> Callable[[int], Callable[[bytes], Any]]:
        """What finds the decoder for an item of that number in the peer's catalogue; which raises `MessageError`."""
        kind = request.__class__
        outgoing = self._outgoing.get(kind) or self._prepare(kind)
        return lambda type_: self.item_decoder(outgoing, type_)

    def item(self, id_: int, items: Items, value: Any) -> int:
        """Queue an item of a request, its own or the peer's; how many bytes it is on the way.

        Bytes travel as they are. The driver minds `Engine.has_stream_room`. Raises `InvalidMessage` where the value is
        none of `items`, or longer than the peer takes.
        """
        kind = value.__class__
        number = 0
        if items.is_raw:
            decode: Any = items.plain
            payload = value
        else:
            decode = items.decoders.get(kind)
            if decode is not None:
                number = self._number(kind)
            else:
                decode = items.plain
                if decode is None:
                    raise InvalidMessage(f"{kind.__name__} is none of the items, which are {items.text}")
            payload = encoded(value)
        try:
            decode(payload)
        except Exception as error:
            raise InvalidMessage(validation.explain(decode.__self__.type, error)) from error
        if payload.__class__ is not bytes:
            payload = bytes(payload)
        self.engine.item(id_, number, payload)
        return len(payload) + HEADER_BYTES

    def send(self, message: Message, urgent: bool = False) -> None:  # noqa: FBT001, FBT002 - as of `ask`
        """Queue a one-way message."""
        kind = message.__class__
        outgoing = self._outgoing.get(kind) or self._prepare(kind)
        payload = encoded(message)
        trace = None if Tracer.active is None else _trace(Tracer.active.sending(self._driver, outgoing.name))
        self.engine.send(outgoing.number, payload, urgent, trace)

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
        payload = encoded(value)
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
            payload = encoded(error.payload())
            try:
                msgspec.msgpack.decode(payload, type=error.payload_type)
            except Exception as wrong:
                raise InvalidMessage(validation.explain(error.payload_type, wrong)) from wrong
            self.engine.fail(id_, self._number(type(error)), payload)

    def restored(self) -> None:
        """The engine has become a session that was stored."""
        self._learn(self.engine.peer_entries)
        self._declared = list(self.engine.declared)

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
                    self._asked(event.id, event.type, event.payload, event.origin, event.key, event.trace)
            elif kind is Received:
                self._asked(0, event.type, event.payload, event.origin, None, event.trace)
            elif kind is Item:
                self._item(event)
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
        if event.kind == END:
            if outgoing.items is not None:
                answer.end()
            else:
                answer.set_exception(TypeMismatch(f"{outgoing.name} {_ONCE}"))
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
            answer.set_exception(InvalidMessage(f"the reply to {outgoing.name} does not fit: {text}"))
        else:
            answer.set_result(value)

    def _item(self, event: Item) -> None:
        if event.tag is None:
            self._driver.part(event.id, event.type, event.payload)
            return
        outgoing, answer = event.tag
        if outgoing.items is not None:
            answer.item(event.type, event.payload)
        elif not answer.done():
            answer.set_exception(TypeMismatch(f"{outgoing.name} {_ONCE}"))
            self.engine.cancel(event.id)

    def _asked(self, id_: int, type_: int, payload: bytes, origin: int, key: str | None, trace: Trace | None) -> None:
        route: Any = self._incoming.get(type_) or self._resolve(type_)
        if route.__class__ is Refusal:
            self.engine.refuse(id_, route.code, "", route.text)
            return
        try:
            message = route.decode(payload)
        except Exception as error:  # noqa: BLE001 - whatever a decoder or a class's own check raises
            self.engine.refuse(id_, FailureCode.INVALID, route.kind.__name__, validation.explain(route.kind, error))
            return
        if route.__class__ is Route:
            if route.is_request is (id_ != 0):
                if id_:
                    mark(message, (self._key, origin) if key is None else key)
                if Tracer.active is not None:
                    route = self._traced(Tracer.active, route, trace)
                if self._driver.handle(route, message, id_, origin):
                    self.engine.hold(origin, len(payload))
            else:
                asked = "was asked, but is a one-way message" if id_ else "was sent one-way, but is a request"
                self.engine.refuse(id_, FailureCode.INVALID, route.name, f"{route.name} {asked}")
        elif id_ or not self._driver.deliver(message, origin):
            self.engine.refuse(id_, FailureCode.UNKNOWN_TYPE, "", f"nobody handles {route.kind.__name__} here")
        else:
            self.engine.hold(origin, len(payload))

    def _traced(self, tracer: Tracer, route: Route, trace: Trace | None) -> Route:
        carried = None if trace is None else (trace.parent, trace.state)
        service, is_request = self._repertoire.service, route.is_request
        return route.within(lambda: tracer.handling(self._driver, route.name, service, carried, is_request=is_request))

    def _other(self, event: Any) -> None:
        match event:
            case Opened():
                self._opened(event)
            case Credited():
                self._driver.credited(event.id)
            case Ended():
                self._driver.parts_ended(event.id)
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

    def _opened(self, event: Opened) -> None:
        self._learn(event.peer.catalogue)
        if self.engine.session is None:
            # Nobody asks again what was asked without one: any key will do that no other request has.
            connection = token_hex(16)
            self._key = lambda origin: connection + self.engine.key(origin)
        self._driver.opened_by(event.peer)


def _trace(carried: Carried | None) -> Trace | None:
    return None if carried is None else Trace(*carried)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as fault:  # noqa: BLE001 - an application's own exception, which must not cost the answer
        return f"its text cannot be told: {type(fault).__name__}"
