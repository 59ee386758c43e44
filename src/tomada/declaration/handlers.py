"""The functions that handle messages, read and checked."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from typing import TYPE_CHECKING, Any, Final, Never, NoReturn, get_args, get_origin

from tomada.declaration.functions import (
    BY_PLACE,
    MISSING,
    Form,
    check_place,
    form_of,
    injected,
    is_given,
    name_of,
    signature_of,
    where_is,
)
from tomada.declaration.values import fits, is_message, items_of, parts_of, replies_of, text
from tomada.errors import DeclarationError
from tomada.message import PARAMETERS, AnyRequest, Message, item_type, part_type, reply_type

if TYPE_CHECKING:
    import inspect
    from collections.abc import Callable

_NO_KINDS: Final = (Message, AnyRequest, *PARAMETERS)
"""What handled types are subclasses of."""


class Handler:
    """A function that handles one message type.

    Attributes:
        kind: The type.
        asks_for: Name and type of each parameter after the first, but for the one that takes the parts.
        is_async: Whether it runs on the event loop, not in a thread.
        is_request: Whether who sent the message hears how it was handled.
        is_stream: Whether it is an async generator: what it returns is not to be awaited, but iterated over.
        items: For a request that a stream answers: what its items may be.
        parts: For a request that a stream follows: what its parts may be.
        parts_place: Where they are given to the function: their place after the first parameter; None where none are.
        replies: For a request that has one reply: how it may be answered.
        where: The function's name and place, for messages to people.
    """

    __slots__ = (
        "asks_for",
        "function",
        "is_async",
        "is_request",
        "is_stream",
        "items",
        "kind",
        "name",
        "parts",
        "parts_place",
        "replies",
        "where",
    )

    def __init__(self, function: Callable[..., Any], kind: type[Message], parameters: list[inspect.Parameter]) -> None:
        self.function = function
        self.kind = kind
        self.name = getattr(function, "__qualname__", repr(function))
        self.where = where_is(function)
        self.replies = replies_of(kind)
        self.items = items_of(kind)
        self.parts = parts_of(kind)
        self.is_request = issubclass(kind, AnyRequest)
        form = _checked_form(self)
        self.is_async = form is not Form.PLAIN
        self.is_stream = form is Form.STREAM
        self.parts_place = _parts_place(self, parameters)
        if self.parts_place is not None:
            parameters = [each for place, each in enumerate(parameters) if place != self.parts_place]
        self.asks_for = injected(self.where, parameters)


def declared_handler(function: Callable[..., Any]) -> Handler:
    """`function` as a handler. Raises `DeclarationError` with what to write where it is none."""
    where = where_is(function)
    signature = signature_of(function)
    parameters = list(signature.parameters.values())
    if not parameters or parameters[0].kind not in BY_PLACE:
        raise DeclarationError(f"{where} takes no message: write `async def {name_of(function)}(message: SomeMessage)`")
    first = parameters[0]
    if first.annotation is MISSING:
        raise DeclarationError(
            f"{where} does not say which messages it handles: write the type of its first parameter, "
            f"as in `async def {name_of(function)}({first.name}: SomeMessage)`"
        )
    if not isinstance(first.annotation, type) or not is_message(first.annotation) or first.annotation in _NO_KINDS:
        raise DeclarationError(
            f"{where}: {first.name} is {text(first.annotation)}, which is no message type: "
            "annotate it with a subclass of tomada.Message or tomada.Request[Reply]"
        )
    handler = Handler(function, first.annotation, parameters[1:])
    returned = signature.return_annotation
    if returned not in (Never, NoReturn):
        _check_yield(handler, returned) if handler.is_stream else _check_return(handler, returned)
    return handler


def _checked_form(handler: Handler) -> Form:
    """How the function is written, if what it handles can be handled so."""
    form = form_of(handler.function)
    where, name = handler.where, handler.kind.__name__
    if handler.items is None:
        if form in (Form.STREAM, Form.GENERATOR):
            raise DeclarationError(f"{where} yields, but {name} {_why_once(handler)}")
    elif form is Form.GENERATOR:
        raise DeclarationError(
            f"{where} is a plain `def` that yields: it would hold a thread for as long as its caller reads. "
            "Write it as an `async def`, and await what blocks: `await asyncio.to_thread(…)`"
        )
    elif form is not Form.STREAM:
        raise DeclarationError(
            f"{where} does not yield, but {name} is answered by a stream of {handler.items.text}: "
            "write it as an `async def`, with a `yield` for each item"
        )
    if handler.parts is not None and form is Form.PLAIN:
        raise DeclarationError(
            f"{where} is a plain `def`, which cannot wait for the parts of {name}: write it as an `async def`"
        )
    return form


def _why_once(handler: Handler) -> str:
    if not handler.is_request:
        return (
            "is a one-way message that nobody waits to hear about: write it without `yield`, "
            "or make it a tomada.StreamRequest[Item]"
        )
    stream = "StreamRequest[Item]" if handler.parts is None else f"DuplexRequest[{handler.parts.text}, Item]"
    return f"has one reply: write `return`, or make it a tomada.{stream}"


def _parts_place(handler: Handler, parameters: list[inspect.Parameter]) -> int | None:
    """The place of the one parameter that takes the parts, if any come."""
    where, name = handler.where, handler.kind.__name__
    found = [(place, each) for place, each in enumerate(parameters) if is_given(each) and _is_iterator(each.annotation)]
    if handler.parts is None:
        if found:
            upload = "UploadRequest[Part, Reply]"
            if handler.items is not None:
                upload = f"DuplexRequest[Part, {handler.items.text}]"
            raise DeclarationError(
                f"{where} takes parts as {found[0][1].name}, but none come with {name}: "
                f"leave the parameter out, or make {name} a tomada.{upload}"
            )
        return None
    right = f"AsyncIterator[{handler.parts.text}]"
    if not found:
        raise DeclarationError(f"{where} does not take the parts of {name}: give it a parameter `parts: {right}`")
    if len(found) > 1:
        names = " and ".join(each.name for _, each in found)
        raise DeclarationError(f"{where} takes the parts of {name} more than once, as {names}: once is enough")
    place, parameter = found[0]
    taken = get_args(parameter.annotation)
    if not taken or not fits(part_type(handler.kind), taken[0]):
        raise DeclarationError(
            f"{where}: {parameter.name} is {text(parameter.annotation)}, but the parts of {name} are "
            f"{handler.parts.text}: write `{parameter.name}: {right}`"
        )
    check_place(where, parameter)
    return place


def _is_iterator(annotation: Any) -> bool:
    return (get_origin(annotation) or annotation) in (AsyncIterator, AsyncIterable)


def _check_return(handler: Handler, returned: Any) -> None:
    name = handler.kind.__name__
    if handler.replies is None:
        if returned not in (None, MISSING):
            raise DeclarationError(
                f"{handler.where} returns {text(returned)}, but {name} is a one-way message that nobody waits to hear "
                f"about: write `-> None`, or make it a tomada.Request[{text(returned)}]"
            )
        return
    expected = reply_type(handler.kind)
    right = f"write `-> {text(expected)}`"
    if returned is MISSING:
        raise DeclarationError(f"{handler.where} does not say what it returns: {right}, the reply of {name}")
    if not fits(returned, expected):
        raise DeclarationError(
            f"{handler.where} returns {text(returned)}, but the reply of {name} is {text(expected)}: {right}"
        )


def _check_yield(handler: Handler, returned: Any) -> None:
    name = handler.kind.__name__
    expected = item_type(handler.kind)
    right = f"write `-> AsyncIterator[{text(expected)}]`"
    if returned is MISSING:
        raise DeclarationError(f"{handler.where} does not say what it yields: {right}, the items of {name}")
    is_stream = _is_iterator(returned) or (get_origin(returned) or returned) is AsyncGenerator
    items = get_args(returned)[:1] if is_stream else ()
    if not items:
        raise DeclarationError(f"{handler.where} is said to return {text(returned)}, but it yields: {right}")
    if not fits(items[0], expected):
        raise DeclarationError(
            f"{handler.where} yields {text(items[0])}, but the items of {name} are {text(expected)}: {right}"
        )
