from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.ends import End, Pair
from tomada import App, DeclarationError, Message, Request, UploadRequest
from tomada.binding import Binding


class Pong(Message):
    number: int


class Ping(Request[Pong]):
    number: int


class Maybe(Request[Pong | int | None]):
    number: int


class Note(Message):
    text: str


class Ledger:
    pass


class Savings(Ledger):
    pass


class Array:
    """Like those of numpy: what it is compared with gives an array, which is neither true nor false."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> Any:
        return self

    def __bool__(self) -> bool:
        raise ValueError


def test_states_and_connections_are_given_by_type() -> None:
    app = App()
    seen: list[Any] = []

    @app.on
    def ping(request: Ping, array: Array, peer: End, times: int = 2, *_: int, **__: int) -> Pong:
        seen.extend([array, peer])
        return Pong(request.number * times)

    @app.on
    def note(_: Note, array: Array) -> None:
        seen.append(array)

    @app.on
    def maybe(_: Maybe, peer: End) -> Pong:
        seen.append(peer)
        return Pong(1)

    array = Array()
    pair = Pair(None, app, states=(None, array))

    assert pair.ask(Ping(3)) == Pong(6)
    assert pair.ask(Maybe(1)) == Pong(1)
    pair.send(Note("x"))
    assert [id(each) for each in seen] == [id(each) for each in (array, pair.server, pair.server, array)]


class Store(UploadRequest[int, str]):
    name: str


def test_parts_are_given_at_their_place_among_what_is_asked_for() -> None:
    async def first(request: Store, parts: AsyncIterator[int], array: Array, peer: End) -> str: ...  # type: ignore[empty-body]

    async def middle(request: Store, array: Array, parts: AsyncIterator[int], peer: End, times: int = 2) -> str: ...  # type: ignore[empty-body]

    async def last(request: Store, array: Array, peer: End, parts: AsyncIterator[int]) -> str: ...  # type: ignore[empty-body]

    async def alone(request: Store, parts: AsyncIterator[int]) -> str: ...  # type: ignore[empty-body]

    array, parts, peer, request = Array(), object(), object(), Store("x")

    def given(function: Any) -> tuple[Any, ...]:
        app = App()
        app.on(function)
        handler = app.handlers[Store]
        assert handler.parts_place is not None
        binding = Binding(app, [array], End)
        call = binding.bind_parts(lambda *arguments: arguments, handler.asks_for, handler.parts_place)
        return tuple(map(id, call(request, peer, parts)))

    assert given(first) == (id(request), id(parts), id(array), id(peer))
    assert given(middle) == (id(request), id(array), id(parts), id(peer))
    assert given(last) == (id(request), id(array), id(peer), id(parts))
    assert given(alone) == (id(request), id(parts))


def test_hooks_are_given_their_arguments() -> None:
    app = App()

    @app.on_disconnect
    def gone(ledger: Ledger, peer: End) -> None: ...

    ledger = Savings()
    binding = Binding(app, [5, ledger], End)

    assert binding.arguments(app.disconnect_hooks[0].asks_for, None) == [ledger, None]
    assert binding.arguments((), None) == []


def test_a_binding_is_checked() -> None:
    app = App()

    @app.on
    def note(_: Note, ledger: Ledger) -> None: ...

    with pytest.raises(DeclarationError, match=r"which no @app.on_start function returns"):
        Binding(app, [], End)
