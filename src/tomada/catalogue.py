"""The catalogue: which types one end of a connection knows, told to the other end by name, fields and digest.

A type's number on the wire is its place in its sender's catalogue, counted from 1.
"""

from __future__ import annotations

from enum import Enum
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import inspect as info

from tomada import expression
from tomada.errors import DeclarationError, RemoteError, TypeMismatch
from tomada.message import AnyRequest, Message, item_type, part_type, reply_type
from tomada.protocol import MAXIMUM_TYPES, Field, TypeEntry, TypeKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAXIMUM_DEFAULT: Final = 1_000
MADE: Final = "tomada.made"
"""The module that classes made from a peer's description name as theirs."""
_UNTOLD: Final = "null"
_REPEATABLE: Final = (list, dict, set, bytearray)
_json: Final = msgspec.json.Encoder(order="deterministic")


class Catalogue:
    """An ordered set of types.

    Args:
        types: Message, request and error classes. What stands in their fields, and in what requests are
            answered with and followed by, is added.
        handled: Those of them that have a handler.

    Raises:
        DeclarationError: A class cannot travel, or two have the same name.
    """

    __slots__ = ("_handled", "_kinds", "by_name", "entries", "numbers")

    def __init__(self, types: Iterable[type] = (), handled: Iterable[type] = ()) -> None:
        self.entries: list[TypeEntry] = []
        self.numbers: dict[Any, int] = {}
        """The number of each class."""
        self.by_name: dict[str, TypeEntry] = {}
        self._kinds: dict[str, Any] = {}
        self._handled = frozenset(handled)
        for kind in types:
            self._add(kind, _type_kind(kind))
        self._digest()

    def _add(self, kind: Any, what: TypeKind) -> str:
        """Add a class or a parametrised generic, after what it needs; return its name."""
        name = type_name(kind)
        if self._kinds.get(name) is kind or kind in self.numbers:
            return name
        if name in self._kinds:
            here, there = _where(self._kinds[name]), _where(kind)
            raise DeclarationError(f"two types are named {name}: {here} and {there}; rename one of them")
        if name in expression.RESERVED:
            raise DeclarationError(f"{_where(kind)} is named as a type that every program has; rename it")
        self._kinds[name] = kind
        entry = self._entry(kind, name, what)
        if len(self.entries) >= MAXIMUM_TYPES:
            raise DeclarationError(f"{name} is one type too many: a catalogue holds at most {MAXIMUM_TYPES}")
        self.entries.append(entry)
        self.by_name[name] = entry
        self.numbers[kind] = len(self.entries)
        return name

    def _entry(self, kind: Any, name: str, what: TypeKind) -> TypeEntry:
        shape = _shape(kind)
        if isinstance(shape, info.EnumType):
            members = tuple(Field(member.name, "Any", _json.encode(member.value).decode()) for member in kind)
            return TypeEntry(name, what, members, doc=_first_line(kind))
        return TypeEntry(
            name,
            what,
            tuple(self._fields(name, shape)),
            self._described(name, "reply", reply_type(kind)),
            handled=kind in self._handled,
            tag=getattr(shape, "tag", None),
            keyed=not getattr(shape, "array_like", isinstance(shape, info.NamedTupleType)),
            doc=_first_line(kind),
            items=self._described(name, "items", item_type(kind)),
            parts=self._described(name, "parts", part_type(kind)),
        )

    def _described(self, owner: str, what: str, kind: Any) -> str | None:
        if kind is None:
            return None
        try:
            shape = info.type_info(kind)
        except TypeError as error:
            raise DeclarationError(f"the {what} of {owner} cannot travel: {error}") from error
        return self._describe(owner, what, shape)

    def _fields(self, name: str, shape: Any) -> Iterator[Field]:
        for field in shape.fields:
            text = self._describe(name, field.name, field.type)
            yield Field(field.encode_name, text, None if field.required else _default(field))

    def _describe(self, owner: str, field: str, kind: info.Type) -> str:
        """The type of a field as text; the structures in it join the catalogue."""

        def name_of(structure: Any) -> str:
            return self._add(structure.cls, _type_kind(structure.cls))

        try:
            return expression.describe(kind, name_of)
        except TypeMismatch as error:
            raise DeclarationError(f"{owner}.{field}: {error}") from error

    def _digest(self) -> None:
        """Give each entry its digest, over all that it reaches: a change deep down changes it, wherever one begins."""
        texts = {entry.name: _json.encode(_essence(entry)).decode() for entry in self.entries}
        inner = {entry.name: [name for name in names(entry) if name in texts] for entry in self.entries}
        for place, entry in enumerate(self.entries):
            reached = {entry.name}
            waiting = [entry.name]
            while waiting:
                new = [name for name in inner[waiting.pop()] if name not in reached]
                reached.update(new)
                waiting += new
            texts_reached = [texts[entry.name], *sorted(texts[name] for name in reached)]
            digest = sha256(_json.encode(texts_reached)).digest()[:8]
            self.entries[place] = self.by_name[entry.name] = msgspec.structs.replace(entry, digest=digest)


@cache
def catalogue_of(kind: type) -> Catalogue:
    """The catalogue of one class and what it needs."""
    return Catalogue([kind])


def find(entry: TypeEntry) -> type | None:
    """The class of this program that a peer's entry means: a subclass of `Message` or `RemoteError` of that name.

    Where several have the name, one with the same digest is preferred, then the one defined last.
    """
    root = RemoteError if entry.kind is TypeKind.ERROR else Message
    last: type | None = None
    for kind in _subclasses(root):
        if kind.__name__ != entry.name or kind.__module__ == MADE:
            continue
        try:
            digest = catalogue_of(kind).by_name[entry.name].digest
        except DeclarationError:
            continue  # it was never meant to travel
        if digest == entry.digest:
            return kind
        last = kind
    return last


def names(entry: TypeEntry) -> Iterator[str]:
    """The names in the types of an entry's fields, and in those of its reply, items and parts."""
    for text in (*[field.type for field in entry.fields], entry.reply, entry.items, entry.parts):
        yield from expression.words(text or "")


def type_name(kind: Any) -> str:
    """The name under which a class travels; of a parametrised generic, with its arguments."""
    if isinstance(kind, type) or not hasattr(kind, "__origin__"):
        return getattr(kind, "__name__", str(kind))
    arguments = "_".join(type_name(argument) for argument in kind.__args__)
    return "".join(letter if letter.isalnum() else "_" for letter in f"{type_name(kind.__origin__)}_{arguments}")


def _essence(entry: TypeEntry) -> tuple[object, ...]:
    streams = (entry.items, entry.parts) if entry.items or entry.parts else ()
    return entry.name, entry.kind, entry.fields, entry.reply, entry.tag, entry.keyed, *streams


def _shape(kind: Any) -> info.Type:
    try:
        shape = info.type_info(kind.payload_class() if _type_kind(kind) is TypeKind.ERROR else kind)
    except DeclarationError:
        raise
    except (TypeError, NameError) as error:
        raise DeclarationError(f"{type_name(kind)} cannot travel: {error}") from error
    if hasattr(shape, "fields") or isinstance(shape, info.EnumType):
        return shape
    raise DeclarationError(f"{type_name(kind)} is neither a message nor an error, and cannot travel by itself")


def _type_kind(kind: Any) -> TypeKind:
    origin = getattr(kind, "__origin__", kind)
    for base, what in ((AnyRequest, TypeKind.REQUEST), (Message, TypeKind.MESSAGE), (RemoteError, TypeKind.ERROR)):
        if issubclass(origin, base):
            return what
    return TypeKind.ENUM if issubclass(origin, Enum) else TypeKind.STRUCTURE


def _default(field: Any) -> str:
    """A field's default in JSON; null for one that JSON cannot tell, or that differs from message to message."""
    value = field.default
    if value is msgspec.NODEFAULT:
        value = field.default_factory() if field.default_factory in _REPEATABLE else None
    try:
        text = _json.encode(value).decode()
    except (TypeError, ValueError):
        return _UNTOLD
    return text if len(text) <= MAXIMUM_DEFAULT else _UNTOLD


def _first_line(kind: Any) -> str:
    """Of its own documentation, where it has one."""
    text = vars(kind).get("__doc__") if isinstance(kind, type) else None
    return (text or "").strip().partition("\n")[0][:1_000]


def _where(kind: Any) -> str:
    return f"{getattr(kind, '__module__', '')}.{getattr(kind, '__qualname__', kind)}"


def _subclasses(root: type) -> Iterator[type]:
    kind: type
    for kind in root.__subclasses__():
        yield kind
        yield from _subclasses(kind)
