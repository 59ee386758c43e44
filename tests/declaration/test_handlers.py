from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.routed import Box, Ledger, Note, Ping, Pong, Silent, Unanswerable
from tomada import App, DeclarationError, Message, Request

if TYPE_CHECKING:
    from decimal import Decimal


def no_parameter() -> None: ...


def only_keywords(*, message: Note) -> None: ...


def only_many(*messages: Note) -> None: ...


def no_annotation(message) -> None: ...  # type: ignore[no-untyped-def] # noqa: ANN001


def no_message(message: int) -> None: ...


def no_class(message: list[Note]) -> None: ...


def any_message(message: Message) -> None: ...


def any_request(message: Request[Any]) -> None: ...


def bare_request(message: Request) -> None: ...  # type: ignore[type-arg]


def parametrised(message: Box[int]) -> None: ...


def union(message: Note | Ping) -> None: ...


def silent(request: Silent) -> None: ...


def unanswerable(request: Unanswerable) -> list[Pong]: ...  # type: ignore[empty-body]


def no_return(request: Ping): ...  # type: ignore[no-untyped-def] # noqa: ANN201


def wrong_return(request: Ping) -> int: ...  # type: ignore[empty-body]


def too_wide_return(request: Ping) -> Pong | None: ...


def returns_anyway(message: Note) -> int: ...  # type: ignore[empty-body]


def unannotated_second(message: Note, ledger) -> None: ...  # type: ignore[no-untyped-def] # noqa: ANN001


def parametrised_second(message: Note, ledger: list[Ledger]) -> None: ...


def keyword_second(message: Note, *, ledger: Ledger) -> None: ...


def unresolvable(message: NoSuchType) -> None: ...  # type: ignore[name-defined] # noqa: F821


def only_for_type_checkers(message: Note, amount: Decimal) -> None: ...


def generator(_: Note) -> Iterator[int]:
    yield 1


async def async_generator(request: Ping) -> AsyncIterator[Pong]:
    yield Pong(request.number)


def plain(function: Callable[[Ping], Awaitable[Pong]]) -> Callable[[Ping], Awaitable[Pong]]:
    @functools.wraps(function)
    def wrapper(request: Ping) -> Awaitable[Pong]:
        return function(request)

    return wrapper


@plain
async def wrapped(request: Ping) -> Pong:
    return Pong(request.number)


WRONG: list[tuple[Any, str]] = [
    (no_parameter, "takes no message: write `async def no_parameter(message: SomeMessage)`"),
    (only_keywords, "takes no message: write `async def only_keywords(message: SomeMessage)`"),
    (only_many, "takes no message: write `async def only_many(message: SomeMessage)`"),
    (no_annotation, "write the type of its first parameter, as in `async def no_annotation(message: SomeMessage)`"),
    (no_message, "message is int, which is no message type: annotate it with a subclass of tomada.Message or"),
    (no_class, "message is list[tests.routed.Note], which is no message type: annotate it"),
    (any_message, "message is Message, which is no message type: annotate it"),
    (any_request, "message is tomada.message.Request[typing.Any], which is no message type: annotate it"),
    (bare_request, "message is Request, which is no message type: annotate it"),
    (parametrised, "message is tests.routed.Box[int], which is no message type: annotate it"),
    (
        union,
        "message is tests.routed.Note | tests.routed.Ping, which is no message type: annotate it",
    ),
    (silent, "Silent does not name its reply: write `class Silent(tomada.Request[SomeReply])`"),
    (unanswerable, "cannot travel: If a type union contains multiple Struct types"),
    (no_return, "does not say what it returns: write `-> Pong`, the reply of Ping"),
    (wrong_return, "returns int, but the reply of Ping is Pong: write `-> Pong`"),
    (too_wide_return, "returns tests.routed.Pong | None, but the reply of Ping is Pong: write `-> Pong`"),
    (returns_anyway, "returns int, but Note is a one-way message that nobody waits to hear about: write `-> None`, or"),
    (unannotated_second, "nobody knows what to give its parameter ledger: annotate it with tomada.Connection, or"),
    (parametrised_second, "nobody knows what to give its parameter ledger: annotate it with tomada.Connection, or"),
    (keyword_second, "ledger is given by its place: write it before the `*`"),
    (unresolvable, "its annotations cannot be read: name 'NoSuchType' is not defined. Define the types before"),
    (only_for_type_checkers, "its annotations cannot be read: name 'Decimal' is not defined. Define the types before"),
    (generator, "yields, but Note is a one-way message that nobody waits to hear about: write it without `yield`, or"),
    (async_generator, "yields, but Ping has one reply: write `return`, or make it a tomada.StreamRequest[Item]"),
    (wrapped, "is an `async def` in a plain function, which its decorator makes: write that one with `async def`"),
]


@pytest.mark.parametrize(("function", "text"), WRONG, ids=[function.__name__ for function, _ in WRONG])
def test_what_is_no_handler(function: Any, text: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        App().on(function)
    assert text in str(caught.value)
    if function not in (silent, unanswerable):
        assert str(caught.value).startswith(f"{function.__name__}()")
        assert "test_handlers.py:" in str(caught.value)
