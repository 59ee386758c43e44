"""What users subclass: `Message`, and the four kinds of requests."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast, get_args, get_origin, get_type_hints

import msgspec

from tomada.errors import DeclarationError

if TYPE_CHECKING:
    from collections.abc import Callable

ReplyT = TypeVar("ReplyT")
ItemT = TypeVar("ItemT")
PartT = TypeVar("PartT")


class Message(msgspec.Struct, array_like=True):
    """A typed message: a class with annotated fields, which travels as an array of their values.

    Fields are of any type that msgspec supports: numbers, text, bytes, dates and times, UUID, Decimal, enums, lists,
    maps, optionals, unions, nested structures. Values are checked on arrival. New fields may be appended if they have
    defaults; then old and new programs understand each other::

        class Note(tomada.Message):
            text: str
            stars: int = 0
    """


class _Marked:
    """Room in a request for what is no field of it: its key, or a function and what it makes the key of."""

    __slots__ = ("_mark",)


mark: Final[Callable[[AnyRequest, str | tuple[Callable[[Any], str], Any]], None]] = vars(_Marked)["_mark"].__set__
"""Give a request its key, or what that is made of where somebody reads it; a frozen one, too."""


class AnyRequest(Message, _Marked):
    """What is asked, in whichever of the four ways below: what they have in common.

    None of the four is a subclass of another, so that type checkers refuse to `ask` for a stream, and to leave out an
    upload.
    """

    if TYPE_CHECKING:
        key = cast("Any", None)
        """A text; but a request may have a field of this name, of whatever type."""
    else:

        @property
        def key(self) -> str:
            """By which its handler recognises it: the same however often it is sent, and when it is handled once more.

            The caller's own (``ask(…, key="rent-may")``), of up to 200 characters; else one of up to 64 that belongs to
            this request of this session alone. A handler that records it in the same transaction of its own database as
            what it does, and looks there first, does that once, whatever is killed, and when::

                @app.on
                async def transfer(request: Transfer, books: Books) -> Receipt:
                    return books.receipt(request.key) or books.transfer(request.key, request)

            A message that has a field of this name has that in its place; then `tomada.key_of` tells the key.

            Raises:
                AttributeError: It did not come over a connection, and was not asked with a key: who made it has none.
            """
            return key_of(self)


def key_of(request: AnyRequest) -> str:
    """The key of a request, as `Request.key`; also where the request has a field of that name."""
    try:
        found: str | tuple[Callable[[Any], str], Any] = request._mark  # type: ignore[attr-defined]  # noqa: SLF001 - this module's own
    except AttributeError:
        name = type(request).__name__
        raise AttributeError(
            f"this {name} has no key: only a handler's request has one, and one that was asked with `key=…`"
        ) from None
    if isinstance(found, str):
        return found
    make, of = found
    key = make(of)
    mark(request, key)
    return key


class Request(AnyRequest, Generic[ReplyT]):
    """A message that is answered; its parameter is the type of the answer.

    ``await connection.ask(request)`` returns that type, and type checkers know it::

        class Transfer(tomada.Request[Receipt]):
            source: str
            target: str
            cents: int
    """


class StreamRequest(AnyRequest, Generic[ItemT]):
    """A message that is answered by a stream of items; its parameter is their type.

    A message, any plain value, or a union of such; items of the type `bytes` travel as they are::

        class Watch(tomada.StreamRequest[Tick]):
            symbol: str


        @app.on
        async def watch(request: Watch, market: Market) -> AsyncIterator[Tick]:
            async for price in market.prices(request.symbol):
                yield Tick(price)

    ``async for tick in connection.stream(request)`` gives them to who asked.
    """


class UploadRequest(AnyRequest, Generic[PartT, ReplyT]):
    """A message that a stream of parts follows, and one answer; its parameters are the types of the parts and of that.

    Parts are of what items of a `StreamRequest` are of::

        class Store(tomada.UploadRequest[bytes, Stored]):
            name: str


        @app.on
        async def store(request: Store, parts: AsyncIterator[bytes]) -> Stored:
            return Stored(sum([len(part) async for part in parts]))

    ``await connection.ask(request, upload=chunks)`` returns the answer.
    """


class DuplexRequest(AnyRequest, Generic[PartT, ItemT]):
    """A message that a stream of parts follows, and that is answered by a stream of items, both at once.

    Its parameters are the types of the parts and of the items::

        class Translate(tomada.DuplexRequest[Sentence, Translation]):
            language: str


        @app.on
        async def translate(request: Translate, parts: AsyncIterator[Sentence]) -> AsyncIterator[Translation]:
            async for sentence in parts:
                yield Translation(sentence.text, request.language)

    ``async for item in connection.stream(request, upload=sentences)`` gives them to who asked.
    """


PARAMETERS: Final[dict[type[AnyRequest], tuple[str, ...]]] = {
    Request: ("reply",),
    StreamRequest: ("items",),
    UploadRequest: ("parts", "reply"),
    DuplexRequest: ("parts", "items"),
}
"""What the parameters of each of the four say the type of."""
_SOME: Final = {"reply": "SomeReply", "items": "SomeItem", "parts": "SomePart"}


def reply_type(kind: Any) -> Any:
    """The type of the one reply to a class of messages, its names resolved; None where there is no such reply.

    Raises:
        DeclarationError: The class does not name it, or names what its module does not have.
    """
    return _named(kind, "reply")


def item_type(kind: Any) -> Any:
    """The type of the items that answer a class of messages; None where no stream does. Raises as `reply_type`."""
    return _named(kind, "items")


def part_type(kind: Any) -> Any:
    """The type of the parts that follow a class of messages; None where none do. Raises as `reply_type`."""
    return _named(kind, "parts")


def _named(kind: Any, what: str) -> Any:
    """One of the types that a class, or a parametrised one, gives to the parameters of its kind of request."""
    request = get_origin(kind) or kind
    roots = [root for root in PARAMETERS if issubclass(request, root)]
    if len(roots) > 1:
        both = " and a ".join(f"tomada.{root.__name__}" for root in roots)
        raise DeclarationError(f"{request.__name__} is a {both}: make it a subclass of one of them")
    if not roots or what not in PARAMETERS[roots[0]]:
        return None
    (root,) = roots
    given = dict(zip(PARAMETERS[root], _arguments(kind, root), strict=True))
    if any(map(_is_open, given.values())):
        wanted = " and ".join(name for name, each in given.items() if _is_open(each))
        some = ", ".join(_SOME[name] for name in given)
        raise DeclarationError(
            f"{request.__name__} does not name its {wanted}: "
            f"write `class {request.__name__}(tomada.{root.__name__}[{some}])`"
        )
    return _resolved(request, what, given[what])


def _resolved(request: type, what: str, kind: Any) -> Any:
    names = vars(sys.modules[request.__module__]) if request.__module__ in sys.modules else {}
    try:
        return get_type_hints(type("", (), {"__annotations__": {"": kind}}), names, include_extras=True)[""]
    except (NameError, TypeError, SyntaxError) as error:
        raise DeclarationError(
            f"the {what} of {request.__name__} cannot be read: {error}. Define its type before the request"
        ) from error


def _arguments(kind: Any, root: type) -> tuple[Any, ...]:
    """What a class, or the nearest of its bases, gives to the parameters of `root`; else those themselves."""
    origin = get_origin(kind) or kind
    given = dict(zip(origin.__parameters__, get_args(kind), strict=False))
    found: tuple[Any, ...] = origin.__parameters__
    if origin is not root:
        bases = vars(origin).get("__orig_bases__", origin.__bases__)
        found = next(_arguments(base, root) for base in bases if issubclass(get_origin(base) or base, root))
    return tuple(_filled(each, given) for each in found)


def _filled(kind: Any, given: dict[Any, Any]) -> Any:
    """`kind` with types in the place of type variables."""
    if isinstance(kind, TypeVar):
        return given.get(kind, kind)
    return kind[tuple(given.get(name, name) for name in kind.__parameters__)] if given and _is_open(kind) else kind


def _is_open(kind: Any) -> bool:
    """Whether a type variable stands in it; a generic class without arguments is whole, any will do."""
    return isinstance(kind, TypeVar) or (get_origin(kind) is not None and bool(getattr(kind, "__parameters__", ())))
