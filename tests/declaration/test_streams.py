"""Handlers of requests with streams, right and wrong."""

from __future__ import annotations

import asyncio
import functools
import typing
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Never

import pytest

from tests.routed import Ledger, Note, Ping, Pong
from tomada import App, Connection, DeclarationError, DuplexRequest, Message, StreamRequest, UploadRequest
from tomada.app import Handler


class Tick(Message):
    price: int


class Watch(StreamRequest[Tick]):
    symbol: str


class Count(StreamRequest[int | str]):
    pass


class Store(UploadRequest[bytes, Pong]):
    name: str


class Talk(DuplexRequest[Tick, str]):
    pass


class Unnamed(StreamRequest):  # type: ignore[type-arg] # which is the case
    pass


def handler_of(function: Any) -> Handler:
    app = App()
    app.on(function)
    (handler,) = app.handlers.values()
    return handler


# Right.


async def iterator(request: Watch) -> AsyncIterator[Tick]:
    yield Tick(len(request.symbol))


async def iterable(_: Watch) -> AsyncIterable[Tick]:
    yield Tick(1)


async def generator(_: Watch) -> AsyncGenerator[Tick, None]:
    yield Tick(1)


async def of_typing(_: Watch) -> typing.AsyncIterator[Tick]:
    yield Tick(1)


async def narrower(_: Count) -> AsyncIterator[int]:
    yield 1


async def never(_: Watch) -> Never:  # type: ignore[misc] # it raises at the first step
    raise NotImplementedError
    yield  # type: ignore[unreachable] # what makes it a generator


class Called:
    async def __call__(self, _: Watch) -> AsyncIterator[Tick]:
        yield Tick(1)


@pytest.mark.parametrize("function", [iterator, iterable, generator, of_typing, narrower, never, Called()])
def test_a_stream(function: Any) -> None:
    handler = handler_of(function)

    assert handler.is_stream
    assert handler.is_async
    assert handler.is_request
    assert handler.items is not None
    assert (handler.replies, handler.parts, handler.parts_place, handler.asks_for) == (None, None, None, ())


async def parts_first(request: Store, parts: AsyncIterator[bytes], ledger: Ledger, peer: Connection) -> Pong: ...  # type: ignore[empty-body]


async def parts_between(request: Store, ledger: Ledger, parts: AsyncIterable[bytes], peer: Connection) -> Pong: ...  # type: ignore[empty-body]


async def parts_last(request: Store, ledger: Ledger, peer: Connection, chunks: AsyncIterator[bytes]) -> Pong: ...  # type: ignore[empty-body]


async def wider(_: Store, ledger: Ledger, peer: Connection, some: AsyncIterable[bytes | str]) -> Pong: ...  # type: ignore[empty-body]


async def anything(_: Store, ledger: Ledger, peer: Connection, chunks: typing.AsyncIterator[Any]) -> Pong: ...  # type: ignore[empty-body]


@pytest.mark.parametrize(
    ("function", "place"), [(parts_first, 0), (parts_between, 1), (parts_last, 2), (wider, 2), (anything, 2)]
)
def test_an_upload(function: Any, place: int) -> None:
    handler = handler_of(function)

    assert handler.parts is not None
    assert handler.replies is not None
    assert handler.parts_place == place
    assert handler.asks_for == (("ledger", Ledger), ("peer", Connection))
    assert (handler.is_stream, handler.is_async, handler.is_request, handler.items) == (False, True, True, None)


def test_both() -> None:
    async def talk(_: Talk, parts: AsyncIterator[Tick]) -> AsyncIterator[str]:
        async for tick in parts:
            yield str(tick.price)

    handler = handler_of(talk)

    assert handler.parts is not None
    assert handler.items is not None
    assert (handler.parts.text, handler.items.text) == ("Tick", "str")
    assert (handler.is_stream, handler.parts_place, handler.replies) == (True, 0, None)


def test_others_have_nothing_of_it() -> None:
    def note(message: Note) -> None: ...

    def ping(request: Ping) -> Pong: ...  # type: ignore[empty-body]

    for function, is_request in ((note, False), (ping, True)):
        handler = handler_of(function)
        assert (handler.is_stream, handler.items, handler.parts, handler.parts_place) == (False, None, None, None)
        assert (handler.is_request, handler.replies is not None) == (is_request, is_request)


def test_what_a_stream_returns_is_iterated_over() -> None:
    async def collected() -> list[Tick]:
        return [tick async for tick in handler_of(iterator).function(Watch("ab"))]

    assert asyncio.run(collected()) == [Tick(2)]


# Wrong.


async def one_answer(_: Watch) -> Tick: ...  # type: ignore[empty-body]


async def no_yield(_: Watch) -> AsyncIterator[Tick]: ...  # type: ignore[empty-body]


def hands_on(request: Watch) -> AsyncIterator[Tick]:
    return iterator(request)


def threaded(_: Watch) -> Iterator[Tick]:
    yield Tick(1)


async def silent(_: Watch):  # type: ignore[no-untyped-def] # noqa: ANN201 - which is the case
    yield Tick(1)


async def returns_one(_: Watch) -> Tick:  # type: ignore[misc] # which is the case
    yield Tick(1)


async def bare(_: Watch) -> AsyncIterator:  # type: ignore[type-arg]
    yield Tick(1)


async def wrong_items(_: Watch) -> AsyncIterator[int]:
    yield 1


async def too_wide(_: Watch) -> AsyncIterator[Tick | None]:
    yield None


async def takes_parts(_: Watch, parts: AsyncIterator[bytes]) -> AsyncIterator[Tick]:
    yield Tick(len([part async for part in parts]))


async def unnamed(_: Unnamed) -> AsyncIterator[int]:
    yield 1


def plain(function: Callable[[Watch], AsyncIterator[Tick]]) -> Callable[[Watch], AsyncIterator[Tick]]:
    @functools.wraps(function)
    def wrapper(request: Watch) -> AsyncIterator[Tick]:
        return function(request)

    return wrapper


@plain
async def wrapped(_: Watch) -> AsyncIterator[Tick]:
    yield Tick(1)


async def no_parts(_: Store) -> Pong: ...  # type: ignore[empty-body]


async def parts_with_default(_: Store, parts: AsyncIterator[bytes] | None = None) -> Pong: ...  # type: ignore[empty-body]


async def blocking_parts(_: Store, parts: Iterator[bytes]) -> Pong: ...  # type: ignore[empty-body]


async def twice(_: Store, parts: AsyncIterator[bytes], more: AsyncIterable[bytes]) -> Pong: ...  # type: ignore[empty-body]


async def other_parts(_: Store, chunks: AsyncIterator[str]) -> Pong: ...  # type: ignore[empty-body]


async def bare_parts(_: Store, chunks: AsyncIterator) -> Pong: ...  # type: ignore[empty-body, type-arg]


async def keyword_parts(_: Store, *, parts: AsyncIterator[bytes]) -> Pong: ...  # type: ignore[empty-body]


async def yields_its_reply(_: Store, parts: AsyncIterator[bytes]) -> AsyncIterator[Pong]:
    yield Pong(len([part async for part in parts]))


def plain_upload(_: Store, parts: AsyncIterator[bytes]) -> Pong: ...  # type: ignore[empty-body]


async def narrow_parts(_: Talk, parts: AsyncIterator[Note]) -> AsyncIterator[str]:
    yield str([part async for part in parts])


async def no_parts_of_both(_: Talk) -> AsyncIterator[str]:
    yield ""


async def no_yield_of_both(_: Talk, parts: AsyncIterator[Tick]) -> str: ...  # type: ignore[empty-body]


async def parts_of_a_request(_: Ping, parts: AsyncIterator[bytes]) -> Pong: ...  # type: ignore[empty-body]


async def parts_of_a_message(_: Note, parts: AsyncIterator[bytes]) -> None: ...


async def any_stream(_: StreamRequest[Any]) -> AsyncIterator[Any]:
    yield 1


async def bare_upload(_: UploadRequest, parts: AsyncIterator[Any]) -> Awaitable[Any]: ...  # type: ignore[empty-body, type-arg]


NO_YIELD = "does not yield, but Watch is answered by a stream of Tick: write it as an `async def`, with a `yield` for"
WRONG: list[tuple[Any, str]] = [
    (one_answer, NO_YIELD),
    (no_yield, NO_YIELD),
    (hands_on, NO_YIELD),
    (threaded, "is a plain `def` that yields: it would hold a thread for as long as its caller reads. Write it as an"),
    (silent, "does not say what it yields: write `-> AsyncIterator[Tick]`, the items of Watch"),
    (returns_one, "is said to return Tick, but it yields: write `-> AsyncIterator[Tick]`"),
    (bare, "is said to return AsyncIterator, but it yields: write `-> AsyncIterator[Tick]`"),
    (wrong_items, "yields int, but the items of Watch are Tick: write `-> AsyncIterator[Tick]`"),
    (too_wide, ".Tick | None, but the items of Watch are Tick: write `-> AsyncIterator[Tick]`"),
    (
        takes_parts,
        (
            "takes parts as parts, but none come with Watch: leave the parameter out, "
            "or make Watch a tomada.DuplexRequest[Part, Tick]"
        ),
    ),
    (unnamed, "Unnamed does not name its items: write `class Unnamed(tomada.StreamRequest[SomeItem])`"),
    (wrapped, "which its decorator makes: write that one with `async def` and `yield`"),
    (no_parts, "does not take the parts of Store: give it a parameter `parts: AsyncIterator[bytes]`"),
    (parts_with_default, "does not take the parts of Store: give it a parameter `parts: AsyncIterator[bytes]`"),
    (blocking_parts, "does not take the parts of Store: give it a parameter `parts: AsyncIterator[bytes]`"),
    (twice, "takes the parts of Store more than once, as parts and more: once is enough"),
    (other_parts, "[str], but the parts of Store are bytes: write `chunks: AsyncIterator[bytes]`"),
    (bare_parts, "chunks is AsyncIterator, but the parts of Store are bytes: write `chunks: AsyncIterator[bytes]`"),
    (keyword_parts, "parts is given by its place: write it before the `*`"),
    (
        yields_its_reply,
        "yields, but Store has one reply: write `return`, or make it a tomada.DuplexRequest[bytes, Item]",
    ),
    (plain_upload, "is a plain `def`, which cannot wait for the parts of Store: write it as an `async def`"),
    (narrow_parts, "but the parts of Talk are Tick: write `parts: AsyncIterator[Tick]`"),
    (no_parts_of_both, "does not take the parts of Talk: give it a parameter `parts: AsyncIterator[Tick]`"),
    (no_yield_of_both, "does not yield, but Talk is answered by a stream of str: write it as an `async def`"),
    (
        parts_of_a_request,
        (
            "takes parts as parts, but none come with Ping: leave the parameter out, "
            "or make Ping a tomada.UploadRequest[Part, Reply]"
        ),
    ),
    (
        parts_of_a_message,
        (
            "takes parts as parts, but none come with Note: leave the parameter out, "
            "or make Note a tomada.UploadRequest[Part, Reply]"
        ),
    ),
    (any_stream, "_ is tomada.message.StreamRequest[typing.Any], which is no message type: annotate it with"),
    (bare_upload, "_ is UploadRequest, which is no message type: annotate it with"),
]


@pytest.mark.parametrize(("function", "text"), WRONG, ids=[function.__name__ for function, _ in WRONG])
def test_what_is_no_handler(function: Any, text: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        App().on(function)
    assert text in str(caught.value)
    if function is not unnamed:
        assert str(caught.value).startswith(f"{function.__name__}()")
        assert "test_streams.py:" in str(caught.value)
