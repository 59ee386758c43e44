"""What travels about a request, and how it is read: its reply, the items that answer it, the parts that follow it."""

from __future__ import annotations

from types import UnionType
from typing import TYPE_CHECKING, Any, Final, Union, get_args, get_origin

import msgspec
from msgspec import inspect as info

from tomada.errors import DeclarationError
from tomada.message import Message, item_type, part_type, reply_type

if TYPE_CHECKING:
    from collections.abc import Callable

_RAW: Final = (info.BytesType, info.ByteArrayType, info.MemoryViewType)


class Replies:
    """How a request may be answered: by messages of some classes, by a plain value, or either.

    Attributes:
        decoders: For each class of messages what reads one. Its ``__self__.type`` is the class.
        plain: What reads a plain value, alike; None where there is none.
        text: The type, for messages to people.
    """

    __slots__ = ("decoders", "plain", "text")

    def __init__(self, kind: Any, what: str = "a reply") -> None:
        members = get_args(kind) if is_union(kind) else (kind,)
        self.text = text(kind)
        messages = [member for member in members if is_message(member)]
        plain = [member for member in members if not is_message(member)]
        self.decoders: dict[Any, Callable[[bytes], Any]] = {kind: _decoder(kind, what) for kind in messages}
        self.plain: Callable[[bytes], Any] | None = None
        if plain:
            self.plain = _decoder(Union[tuple(plain)], what)  # noqa: UP007 - built at run time


class Items(Replies):
    """What each item of a stream may be, in the one direction or the other.

    Attributes:
        is_raw: Whether all items are bytes, which travel as they are: the payload is the value, and `plain` takes
            either. So it is exactly where the type is called ``bytes`` in the catalogue.
    """

    __slots__ = ("is_raw",)

    def __init__(self, kind: Any, what: str) -> None:
        super().__init__(kind, what)
        self.is_raw = self.plain is not None and _is_raw(kind)
        if self.is_raw:
            self.plain = _Raw(kind).decode


class _Raw:
    """Reads bytes that travel as they are."""

    __slots__ = ("type",)

    def __init__(self, kind: Any) -> None:
        self.type = kind

    def decode(self, payload: Any) -> Any:
        """The payload as the type that stands in the declaration, its bounds checked."""
        if self.type is bytes and payload.__class__ is bytes:
            return payload
        if not isinstance(payload, (bytes, bytearray, memoryview)):
            raise msgspec.ValidationError(f"Expected `bytes`, got `{type(payload).__name__}`")
        return msgspec.convert(payload, self.type)


def replies_of(kind: Any) -> Replies | None:
    """What the one reply to a class of messages may be; None where there is none. Raises `DeclarationError`."""
    reply = reply_type(kind)
    return None if reply is None else Replies(reply)


def items_of(kind: Any) -> Items | None:
    """What the items that answer a class of messages may be; None where none do. Raises `DeclarationError`."""
    item = item_type(kind)
    return None if item is None else Items(item, "an item")


def parts_of(kind: Any) -> Items | None:
    """What the parts that follow a class of messages may be; None where none do. Raises `DeclarationError`."""
    part = part_type(kind)
    return None if part is None else Items(part, "a part")


def is_message(kind: Any) -> bool:
    """Whether `kind` is a class of messages, parametrised or not."""
    kind = get_origin(kind) or kind
    return isinstance(kind, type) and issubclass(kind, Message)


def is_union(kind: Any) -> bool:
    """Whether `kind` is a union of types, however written."""
    return get_origin(kind) in (Union, UnionType)


def fits(kind: Any, expected: Any) -> bool:
    """Whether every value of the type `kind` is one of `expected`, as far as their names tell."""
    return kind == expected or expected is Any or _members(kind) <= _members(expected)


def text(kind: Any) -> str:
    """A type as people write it."""
    return kind.__name__ if isinstance(kind, type) else str(kind)


def _members(kind: Any) -> set[Any]:
    members = get_args(kind) if is_union(kind) else (kind,)
    return {type(None) if member is None else member for member in members}


def _decoder(kind: Any, what: str) -> Callable[[bytes], Any]:
    try:
        return msgspec.msgpack.Decoder(kind).decode
    except (TypeError, NameError) as error:
        raise DeclarationError(f"{what} of type {text(kind)} cannot travel: {error}") from error


def _is_raw(kind: Any) -> bool:
    shape = info.type_info(kind)
    while isinstance(shape, info.Metadata):
        shape = shape.type
    return isinstance(shape, _RAW)
