from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Optional

import msgspec
import pytest

from tests.ends import Pair
from tests.routed import Free, Ledger, Maybe, Note, Nothing, Ping, Pong, Savings, Shape
from tomada import App, Connection, DeclarationError, Request

if TYPE_CHECKING:
    pass

# Routing.


def test_the_annotation_is_the_route() -> None:
    app = App("bank")

    @app.on
    async def first(request: Ping) -> Pong:
        return Pong(request.number)

    @app.on
    def second(message: Note) -> None:
        pass

    assert {kind: handler.name.rpartition(".")[2] for kind, handler in app.handlers.items()} == {
        Ping: "first",
        Note: "second",
    }
    assert [handler.is_async for handler in app.handlers.values()] == [True, False]
    assert asyncio.run(first(Ping(3))) == Pong(3)
    assert (app.name, App().name) == ("bank", "app")


def test_a_handler_says_where_it_stands() -> None:
    app = App()

    @app.on
    def ping(request: Ping) -> Pong:
        return Pong(request.number)

    assert app.handlers[Ping].where.startswith("test_a_handler_says_where_it_stands.<locals>.ping() (")
    assert "test_app.py:" in app.handlers[Ping].where


def test_the_catalogue_follows_the_handlers() -> None:
    app = App()
    assert not app.catalogue.entries

    @app.on
    def note(message: Note) -> None:
        pass

    assert [entry.name for entry in app.catalogue.entries] == ["Note"]
    assert app.catalogue is app.catalogue


@pytest.mark.parametrize(
    "returned",
    [Pong, Pong | None, int | None, Optional[int], "Pong | int | None", None, NoReturn, int | Pong],  # noqa: UP045
)
def test_a_handler_may_return_some_of_what_its_reply_may_be(returned: Any) -> None:
    def maybe(request: Maybe) -> Any:
        return request.number

    maybe.__annotations__["return"] = returned

    App().on(maybe)


def test_what_is_answered_with_anything() -> None:
    def free(_: Free) -> dict[str, int]:
        return {}

    App().on(free)


def test_nothing_is_a_reply() -> None:
    def nothing(_: Nothing) -> None:
        pass

    App().on(nothing)


def test_a_one_way_handler_need_not_say_that_it_returns_nothing() -> None:
    def note(message: Note):  # type: ignore[no-untyped-def] # noqa: ANN202 - which is the case
        pass

    App().on(note)


class Desk:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def note(self, message: Note) -> None:
        self.seen.append(message.text)

    async def ping(self, request: Ping) -> Pong:
        return Pong(request.number)


class Callable_:  # noqa: N801 - an object that is called
    async def __call__(self, request: Ping) -> Pong:
        return Pong(request.number)


def test_methods_are_handlers() -> None:
    desk = Desk()
    app = App()
    app.on(desk.note)
    app.on(desk.ping)
    Pair(None, app).send(Note("x"))

    assert desk.seen == ["x"]
    assert app.handlers[Ping].is_async


def test_objects_that_are_called_are_handlers() -> None:
    app = App()
    app.on(Callable_())

    assert app.handlers[Ping].is_async


def test_partials_are_handlers() -> None:
    def ping(request: Ping, factor: int) -> Pong:
        return Pong(request.number * factor)

    app = App()
    app.on(functools.partial(ping, factor=2))

    assert Pair(None, app).ask(Ping(3)) == Pong(6)


def counted(function: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any) -> Any:
        return await function(*args)

    return wrapper


def doubled(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


def test_decorated_handlers() -> None:
    app = App()

    @app.on
    @counted
    async def ping(request: Ping) -> Pong:
        return Pong(request.number)

    @app.on
    @doubled
    def note(message: Note, ledger: Ledger) -> None:
        pass

    assert [handler.is_async for handler in app.handlers.values()] == [True, False]
    assert app.handlers[Note].asks_for == (("ledger", Ledger),)


def test_two_handlers_for_a_type() -> None:
    app = App()

    @app.on
    def first(message: Note) -> None: ...

    def second(message: Note) -> None: ...

    with pytest.raises(DeclarationError) as caught:
        app.on(second)
    assert "second() (" in str(caught.value)
    assert "handles Note, which test_two_handlers_for_a_type.<locals>.first() (" in str(caught.value)
    assert str(caught.value).endswith("handles already: give one of them a message type of its own")


def test_a_built_in_function_is_no_handler() -> None:
    with pytest.raises(DeclarationError, match=r"^print\(\)"):
        App().on(print)
    with pytest.raises(DeclarationError, match=r"^type\(\): its annotations cannot be read: "):
        App().on(type)


# Hooks, and what functions are given.


def test_hooks_are_kept_in_order() -> None:
    app = App()

    @app.on_start
    async def start() -> Ledger:
        return Ledger()

    @app.on_connect
    def connected(peer: Connection) -> None: ...

    @app.on_disconnect
    async def disconnected(ledger: Ledger, peer: Connection) -> None: ...

    @app.on_stop
    def stop(ledger: Ledger) -> None: ...

    hooks = [*app.start_hooks, *app.connect_hooks, *app.disconnect_hooks, *app.stop_hooks]
    assert [hook.function for hook in hooks] == [start, connected, disconnected, stop]
    assert [hook.is_async for hook in hooks] == [True, False, True, False]
    assert app.start_hooks[0].returns is Ledger
    app.check(Connection)
    app.check(Connection, [Ledger()])


def test_on_start_is_called_with_nothing() -> None:
    def start(ledger: Ledger) -> None: ...

    with pytest.raises(
        DeclarationError, match=r"^.*start\(\) \(.*\) is called with nothing: write it without parameter"
    ):
        App().on_start(start)


def test_a_hook_is_checked_as_a_handler_is() -> None:
    def connected(peer) -> None: ...  # type: ignore[no-untyped-def] # noqa: ANN001

    with pytest.raises(DeclarationError, match="nobody knows what to give its parameter peer"):
        App().on_connect(connected)


def asking(kind: Any, *starts: Any) -> App:
    app = App()

    def note(message: Note, state) -> None: ...  # type: ignore[no-untyped-def] # noqa: ANN001

    note.__annotations__ = {"message": Note, "state": kind}
    app.on(note)
    for returned in starts:

        def start() -> Any: ...

        start.__annotations__ = {} if returned is None else {"return": returned}
        app.on_start(start)
    return app


@pytest.mark.parametrize(
    ("kind", "starts"),
    [
        (Ledger, [Ledger]),
        (Ledger, [Savings]),
        (Savings, [Ledger]),
        (Ledger, [None]),
        (Ledger, [Ledger | None]),
        (Ledger, [Pong, Ledger]),
        (Ledger, [Ledger, Savings]),
        (Connection, []),
    ],
)
def test_what_may_be_given_is_found_before_the_start(kind: Any, starts: list[Any]) -> None:
    asking(kind, *starts).check(Connection)


@pytest.mark.parametrize("starts", [[], [Pong], [int]])
def test_what_cannot_be_given_is_refused_before_the_start(starts: list[Any]) -> None:
    with pytest.raises(DeclarationError) as caught:
        asking(Ledger, *starts).check(Connection)
    assert "asks for state: Ledger, which no @app.on_start function returns: write `@app.on_start`" in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "states", "text"),
    [
        (Ledger, [None, 5], "asks for state: Ledger, which no @app.on_start function returns: write `@app.on_start`"),
        (Savings, [Ledger()], "asks for state: Savings, which no @app.on_start function returns"),
        (
            Ledger,
            [Ledger(), Savings()],
            "asks for state: Ledger, which 2 @app.on_start functions return: give each a c",
        ),
        (Shape, [Ledger()], "asks for state: Shape, by which nothing can be recognised: "),
    ],
)
def test_what_cannot_be_given_is_refused_at_the_start(kind: Any, states: list[Any], text: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        asking(kind).check(Connection, states)
    assert text in str(caught.value)


def test_annotated_replies() -> None:
    class Limited(Request[Annotated[int, msgspec.Meta(ge=1)]]):
        pass

    def limited(_: Any) -> Any: ...

    limited.__annotations__ = {"_": Limited, "return": Annotated[int, msgspec.Meta(ge=1)]}
    App().on(limited)


def test_a_class_of_a_module_that_is_gone() -> None:
    kind: Any = msgspec.defstruct(
        "Gone", [], bases=(Request,), namespace={"__orig_bases__": (Request["int"],)}, module="no.such"
    )

    def gone(_: Any) -> int:
        return 1

    gone.__annotations__["_"] = kind
    app = App()
    app.on(gone)

    assert "no.such" not in sys.modules
    assert Pair(None, app).ask(kind()) == 1
