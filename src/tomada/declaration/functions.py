"""The functions that users write: how they run, and what they ask for beside what they handle."""

from __future__ import annotations

import inspect
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from tomada.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MISSING: Final = inspect.Parameter.empty
BY_PLACE: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_CERTAIN: Final[dict[Any, type]] = {MISSING: object, Any: object, None: type(None)}


class Form(Enum):
    """How a function is written."""

    PLAIN = "def"
    """It runs in a thread."""
    COROUTINE = "async def"
    STREAM = "async def with yield"
    GENERATOR = "def with yield"


class Hook:
    """A function that is called at a point of the application's or a connection's life.

    Attributes:
        asks_for: Name and type of each parameter.
        returns: The annotation of what it returns, `object` where there is none; of interest in ``on_start``.
        where: The function's name and place, for messages to people.
    """

    __slots__ = ("asks_for", "function", "is_async", "returns", "where")

    def __init__(self, function: Callable[..., Any], event: str) -> None:
        signature = signature_of(function)
        form = form_of(function)
        self.function = function
        self.where = where_is(function)
        if form in (Form.STREAM, Form.GENERATOR):
            raise DeclarationError(f"{self.where} yields: write `return`, it is called once")
        self.is_async = form is Form.COROUTINE
        self.returns = _CERTAIN.get(signature.return_annotation, signature.return_annotation)
        self.asks_for = injected(self.where, signature.parameters.values())
        if event == "on_start" and self.asks_for:
            raise DeclarationError(f"{self.where} is called with nothing: write it without parameters")


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


def injected(where: str, parameters: Iterable[inspect.Parameter]) -> tuple[tuple[str, type], ...]:
    """Name and type of each parameter that is to be given something. Raises `DeclarationError` where nobody can."""
    asked = []
    for parameter in filter(is_given, parameters):
        if not isinstance(parameter.annotation, type) or parameter.annotation is MISSING:
            raise DeclarationError(
                f"{where}: nobody knows what to give its parameter {parameter.name}: annotate it with "
                "tomada.Connection, or with the class of what an @app.on_start function returns"
            )
        check_place(where, parameter)
        asked.append((parameter.name, parameter.annotation))
    return tuple(asked)


def is_given(parameter: inspect.Parameter) -> bool:
    """Whether something must be given to it: it has no default."""
    return parameter.default is MISSING and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)


def check_place(where: str, parameter: inspect.Parameter) -> None:
    """Raise `DeclarationError` unless it can be given by its place."""
    if parameter.kind not in BY_PLACE:
        raise DeclarationError(f"{where}: {parameter.name} is given by its place: write it before the `*`")


def form_of(function: Callable[..., Any]) -> Form:
    """How `function` is written. Raises `DeclarationError` where a decorator hides it."""
    called = (function, getattr(type(function), "__call__", None))  # noqa: B004 - of an object that is called as a function
    if any(map(inspect.iscoroutinefunction, called)):
        return Form.COROUTINE
    if any(map(inspect.isasyncgenfunction, called)):
        return Form.STREAM
    if any(map(inspect.isgeneratorfunction, called)):
        return Form.GENERATOR
    inner = inspect.unwrap(function)
    for is_hidden, right in (
        (inspect.iscoroutinefunction, "`async def`"),
        (inspect.isasyncgenfunction, "`async def` and `yield`"),
    ):
        if is_hidden(inner):
            raise DeclarationError(
                f"{where_is(function)} is an `async def` in a plain function, which its decorator makes: "
                f"write that one with {right}"
            )
    return Form.PLAIN


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """Its signature, with annotations resolved. Raises `DeclarationError`."""
    try:
        return inspect.signature(function, eval_str=True)
    except (NameError, TypeError, ValueError) as error:
        raise DeclarationError(
            f"{where_is(function)}: its annotations cannot be read: {error}. Define the types before the function"
        ) from error


def name_of(function: Callable[..., Any]) -> str:
    """Its name, for examples of how to write it."""
    return getattr(function, "__name__", "handler")


def where_is(function: Callable[..., Any]) -> str:
    """Its name and place, for messages to people."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    place = f" ({code.co_filename}:{code.co_firstlineno})" if code is not None else ""
    return f"{getattr(function, '__qualname__', repr(function))}(){place}"
