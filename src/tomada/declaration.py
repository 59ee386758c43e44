"""What users write, read and checked: handlers, hooks, and the replies of requests."""

from __future__ import annotations

import inspect
from types import UnionType
from typing import TYPE_CHECKING, Any, Final, Never, NoReturn, Union, get_args, get_origin

import msgspec

from tomada.errors import DeclarationError
from tomada.message import Message, Request, reply_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_MISSING: Final = inspect.Parameter.empty
_CERTAIN: Final[dict[Any, type]] = {_MISSING: object, Any: object, None: type(None)}
_BY_PLACE: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Replies:
    """How a request may be answered: by messages of some classes, by a plain value, or either."""

    __slots__ = ("decoders", "plain", "text")

    def __init__(self, kind: Any) -> None:
        members = get_args(kind) if is_union(kind) else (kind,)
        self.text = getattr(kind, "__name__", str(kind))
        messages = [member for member in members if is_message(member)]
        plain = [member for member in members if not is_message(member)]
        self.decoders: dict[Any, Callable[[bytes], Any]] = {kind: _decoder(kind) for kind in messages}
        self.plain: Callable[[bytes], Any] | None = None
        if plain:
            self.plain = _decoder(Union[tuple(plain)])  # noqa: UP007 - built at run time


class Handler:
    """A function that handles one message type.

    Attributes:
        kind: The type.
        asks_for: Name and type of each parameter after the first.
        replies: For a request: how it may be answered.
        where: The function's name and place, for messages to people.
    """

    __slots__ = ("asks_for", "function", "is_async", "kind", "name", "replies", "where")

    def __init__(
        self, function: Callable[..., Any], kind: type[Message], asks_for: tuple[tuple[str, type], ...]
    ) -> None:
        self.function = function
        self.kind = kind
        self.asks_for = asks_for
        self.name = getattr(function, "__qualname__", repr(function))
        self.where = _where(function)
        self.is_async = _is_async(function)
        self.replies = Replies(reply_type(kind)) if issubclass(kind, Request) else None


class Hook:
    """A function that is called at a point of the application's or a connection's life.

    Attributes:
        asks_for: Name and type of each parameter.
        returns: The annotation of what it returns, `object` where there is none; of interest in ``on_start``.
        where: The function's name and place, for messages to people.
    """

    __slots__ = ("asks_for", "function", "is_async", "returns", "where")

    def __init__(self, function: Callable[..., Any], event: str) -> None:
        signature = _signature(function)
        self.function = function
        self.where = _where(function)
        self.is_async = _is_async(function)
        self.returns = _CERTAIN.get(signature.return_annotation, signature.return_annotation)
        self.asks_for = _injected(self.where, signature.parameters.values())
        if event == "on_start" and self.asks_for:
            raise DeclarationError(f"{self.where} is called with nothing: write it without parameters")


def _decoder(kind: Any) -> Callable[[bytes], Any]:
    try:
        return msgspec.msgpack.Decoder(kind).decode
    except (TypeError, NameError) as error:
        raise DeclarationError(f"a reply of type {_text(kind)} cannot travel: {error}") from error


def is_message(kind: Any) -> bool:
    """Whether `kind` is a class of messages, parametrised or not."""
    kind = get_origin(kind) or kind
    return isinstance(kind, type) and issubclass(kind, Message)


def is_union(kind: Any) -> bool:
    """Whether `kind` is a union of types, however written."""
    return get_origin(kind) in (Union, UnionType)


def declared_handler(function: Callable[..., Any]) -> Handler:
    """`function` as a handler. Raises `DeclarationError` with what to write where it is none."""
    where = _where(function)
    signature = _signature(function)
    parameters = list(signature.parameters.values())
    if not parameters or parameters[0].kind not in _BY_PLACE:
        raise DeclarationError(f"{where} takes no message: write `async def {_name(function)}(message: SomeMessage)`")
    first = parameters[0]
    if first.annotation is _MISSING:
        raise DeclarationError(
            f"{where} does not say which messages it handles: write the type of its first parameter, "
            f"as in `async def {_name(function)}({first.name}: SomeMessage)`"
        )
    if (
        not isinstance(first.annotation, type)
        or not is_message(first.annotation)
        or first.annotation in (Message, Request)
    ):
        raise DeclarationError(
            f"{where}: {first.name} is {_text(first.annotation)}, which is no message type: "
            "annotate it with a subclass of tomada.Message or tomada.Request[Reply]"
        )
    handler = Handler(function, first.annotation, _injected(where, parameters[1:]))
    _check_return(handler, signature.return_annotation)
    return handler


def _check_return(handler: Handler, returned: Any) -> None:
    if returned in (Never, NoReturn):
        return
    name = handler.kind.__name__
    if handler.replies is None:
        if returned not in (None, _MISSING):
            raise DeclarationError(
                f"{handler.where} returns {_text(returned)}, but {name} is a one-way message that nobody waits to hear "
                f"about: write `-> None`, or make it a tomada.Request[{_text(returned)}]"
            )
        return
    expected = reply_type(handler.kind)
    right = f"write `-> {_text(expected)}`"
    if returned is _MISSING:
        raise DeclarationError(f"{handler.where} does not say what it returns: {right}, the reply of {name}")
    if not _fits(returned, expected):
        raise DeclarationError(
            f"{handler.where} returns {_text(returned)}, but the reply of {name} is {_text(expected)}: {right}"
        )


def _fits(returned: Any, expected: Any) -> bool:
    return returned == expected or expected is Any or _members(returned) <= _members(expected)


def _members(kind: Any) -> set[Any]:
    members = get_args(kind) if is_union(kind) else (kind,)
    return {type(None) if member is None else member for member in members}


def check_given(asks: str, kind: type, given: list[Any], *, sure: bool) -> None:
    """Raise `DeclarationError` unless exactly one of the classes in `given` is a `kind`; or might be, if not `sure`."""
    try:
        fitting = [each for each in given if not isinstance(each, type) or issubclass(each, kind)]
        possible = [each for each in given if isinstance(each, type) and issubclass(kind, each)]
    except TypeError as error:
        raise DeclarationError(f"{asks}, by which nothing can be recognised: {error}") from error
    if not fitting and (sure or not possible):
        raise DeclarationError(
            f"{asks}, which no @app.on_start function returns: "
            f"write `@app.on_start` above a function that returns one {kind.__name__}"
        )
    if sure and len(fitting) > 1:
        raise DeclarationError(
            f"{asks}, which {len(fitting)} @app.on_start functions return: give each a class of its own"
        )


def _injected(where: str, parameters: Iterable[inspect.Parameter]) -> tuple[tuple[str, type], ...]:
    asked = []
    for parameter in parameters:
        if parameter.default is not _MISSING or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if not isinstance(parameter.annotation, type) or parameter.annotation is _MISSING:
            raise DeclarationError(
                f"{where}: nobody knows what to give its parameter {parameter.name}: annotate it with "
                "tomada.Connection, or with the class of what an @app.on_start function returns"
            )
        if parameter.kind not in _BY_PLACE:
            raise DeclarationError(f"{where}: {parameter.name} is given by its place: write it before the `*`")
        asked.append((parameter.name, parameter.annotation))
    return tuple(asked)


def _is_async(function: Callable[..., Any]) -> bool:
    """Whether to await what `function` returns."""
    called = (function, getattr(type(function), "__call__", None))  # noqa: B004 - of an object that is called as a function
    if any(map(inspect.iscoroutinefunction, called)):
        return True
    where = _where(function)
    if any(inspect.isasyncgenfunction(each) or inspect.isgeneratorfunction(each) for each in called):
        raise DeclarationError(f"{where} yields: write `return`, a request has one reply")
    if inspect.iscoroutinefunction(inspect.unwrap(function)):
        raise DeclarationError(
            f"{where} is an `async def` in a plain function, which its decorator makes: write that one with `async def`"
        )
    return False


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function, eval_str=True)
    except (NameError, TypeError, ValueError) as error:
        raise DeclarationError(
            f"{_where(function)}: its annotations cannot be read: {error}. Define the types before the function"
        ) from error


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", "handler")


def _where(function: Callable[..., Any]) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    place = f" ({code.co_filename}:{code.co_firstlineno})" if code is not None else ""
    return f"{getattr(function, '__qualname__', repr(function))}(){place}"


def _text(kind: UnionType | type | object) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind)
