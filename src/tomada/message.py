"""What users subclass: `Message` and `Request`."""

from __future__ import annotations

import sys
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from tomada.errors import DeclarationError

ReplyT = TypeVar("ReplyT")


class Message(msgspec.Struct, array_like=True):
    """A typed message: a class with annotated fields, which travels as an array of their values.

    Fields are of any type that msgspec supports: numbers, text, bytes, dates and times, UUID, Decimal, enums, lists,
    maps, optionals, unions, nested structures. Values are checked on arrival. New fields may be appended if they have
    defaults; then old and new programs understand each other::

        class Note(tomada.Message):
            text: str
            stars: int = 0
    """


class Request(Message, Generic[ReplyT]):
    """A message that is answered; its parameter is the type of the answer.

    ``await connection.ask(request)`` returns that type, and type checkers know it::

        class Transfer(tomada.Request[Receipt]):
            source: str
            target: str
            cents: int
    """


def reply_type(request: type[Message]) -> Any:
    """The type that answers a class of requests, its names resolved.

    Raises:
        DeclarationError: The class does not name it, or names what its module does not have.
    """
    reply = _reply(request)
    if isinstance(reply, TypeVar) or reply is Request:
        raise DeclarationError(
            f"{request.__name__} does not name its reply: write `class {request.__name__}(tomada.Request[SomeReply])`"
        )
    names = vars(sys.modules[request.__module__]) if request.__module__ in sys.modules else {}
    try:
        return get_type_hints(type("", (), {"__annotations__": {"": reply}}), names, include_extras=True)[""]
    except (NameError, TypeError, SyntaxError) as error:
        raise DeclarationError(
            f"the reply of {request.__name__} cannot be read: {error}. Define its type before the request"
        ) from error


def _reply(kind: Any) -> Any:
    """The reply as the class, or the nearest of its bases, gives it; `Request` itself where none does."""
    for base in vars(kind).get("__orig_bases__", kind.__bases__):
        origin = get_origin(base) or base
        if origin is Request:
            return get_args(base)[0] if get_args(base) else Request
        if isinstance(origin, type) and issubclass(origin, Request):
            reply = _reply(origin)
            parameters = getattr(origin, "__parameters__", ())
            given = dict(zip(parameters, get_args(base), strict=False))
            if isinstance(reply, TypeVar):
                return given.get(reply, reply)
            inner = getattr(reply, "__parameters__", ())
            return reply[tuple(given.get(name, name) for name in inner)] if inner and given else reply
    return Request
