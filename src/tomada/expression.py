"""Types as text, and text as types: ``list[Line] | None`` is how a catalogue tells the type of a field.

The language is that of Python's annotations: names, ``name[arguments]``, ``a | b``, and ``Literal[…]``. The members of
a union are in alphabetical order, with ``None`` last, so that the same type is always the same text.
"""

from __future__ import annotations

import ast
import datetime as dt
import decimal
import re
import uuid
import warnings
from typing import TYPE_CHECKING, Any, Final, Literal, Union

import msgspec
from msgspec import inspect as info

from tomada.errors import TypeMismatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_SCALARS: Final[dict[type[info.Type], tuple[str, Any]]] = {
    info.AnyType: ("Any", Any),
    info.NoneType: ("None", None),
    info.BoolType: ("bool", bool),
    info.IntType: ("int", int),
    info.FloatType: ("float", float),
    info.StrType: ("str", str),
    info.BytesType: ("bytes", bytes),
    info.ByteArrayType: ("bytes", bytes),
    info.MemoryViewType: ("bytes", bytes),
    info.DateTimeType: ("datetime", dt.datetime),
    info.DateType: ("date", dt.date),
    info.TimeType: ("time", dt.time),
    info.TimeDeltaType: ("timedelta", dt.timedelta),
    info.UUIDType: ("UUID", uuid.UUID),
    info.DecimalType: ("Decimal", decimal.Decimal),
    info.ExtType: ("Ext", msgspec.msgpack.Ext),
    info.RawType: ("Any", Any),
}
_TYPES: Final[dict[str, Any]] = dict(reversed(_SCALARS.values()))
_GENERIC: Final[dict[type[info.Type], str]] = {
    info.LiteralType: "Literal",
    info.VarTupleType: "tuple",
    info.TupleType: "tuple",
    info.ListType: "list",
    info.SetType: "set",
    info.FrozenSetType: "frozenset",
    info.DictType: "dict",
}
_CONTAINERS: Final[dict[str, Any]] = {"list": list, "set": set, "frozenset": frozenset, "dict": dict, "tuple": tuple}
RESERVED: Final = frozenset({*_TYPES, *_GENERIC.values()})
"""Names that mean something in the language, which no structure can have."""
_MAXIMUM_NESTING: Final = 32
_WORD_OR_STRING: Final = re.compile(r"""(\w+)|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")


def describe(kind: info.Type, name_of: Callable[[Any], str]) -> str:
    """`kind` as text; `name_of` gives the name of a structure or an enum that stands in it.

    Raises:
        TypeMismatch: The type has no meaning outside its program (a custom class).
    """

    def text(*inner: info.Type) -> list[str]:
        return [describe(each, name_of) for each in inner]

    scalar = _SCALARS.get(type(kind))
    if scalar is not None:
        return scalar[0]
    match kind:
        case info.Metadata():
            return describe(kind.type, name_of)
        case info.UnionType():
            return " | ".join(sorted(set(text(*kind.types)), key=lambda member: (member == "None", member)))
        case info.LiteralType():
            arguments = [repr(value) for value in kind.values]
        case info.VarTupleType():
            arguments = [*text(kind.item_type), "..."]
        case info.TupleType():
            arguments = text(*kind.item_types) or ["()"]
        case info.CollectionType():
            arguments = text(kind.item_type)
        case info.DictType():
            arguments = text(kind.key_type, kind.value_type)
        case _:
            return _structure(kind, name_of)
    return f"{_GENERIC[type(kind)]}[{', '.join(arguments)}]"


def _structure(kind: info.Type, name_of: Callable[[Any], str]) -> str:
    match kind:
        case info.StructType() | info.DataclassType() | info.TypedDictType() | info.NamedTupleType() | info.EnumType():
            return name_of(kind)
        case _:
            unknown = getattr(kind, "cls", kind)
            raise TypeMismatch(f"a field of type {unknown} cannot travel: it is no type that msgspec supports")


def words(text: str) -> Iterator[str]:
    """The names in a type expression; what stands in a string is none."""
    return (match[1] for match in _WORD_OR_STRING.finditer(text) if match[1])


def build(text: str, named: Mapping[str, Any]) -> Any:
    """The type that `text` describes; `named` holds the structures and enums that it may name.

    Raises:
        TypeMismatch: The text is no type expression. It may come from a hostile peer.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a parser's advice on somebody else's text
            return _build(ast.parse(text, mode="eval").body, named, _MAXIMUM_NESTING)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise TypeMismatch(f"{text[:80]!r} is no type: {error}") from error


def _build(node: ast.expr, named: Mapping[str, Any], levels: int) -> Any:
    if not levels:
        raise ValueError("it is nested too deeply")
    match node:
        case ast.Constant(value=value) if value is None or value is ...:
            return value
        case ast.Name(id=name):
            # An unknown name is a structure inside itself, or one that the peer has not described.
            return named.get(name, _TYPES.get(name, Any))
        case ast.BinOp(op=ast.BitOr()):
            return Union[tuple(_build(member, named, levels - 1) for member in _members(node))]  # noqa: UP007 - as many as there are
        case ast.Subscript(value=ast.Name(id="Literal"), slice=arguments):
            values: Any = ast.literal_eval(arguments)
            return Literal[values]
        case ast.Subscript(value=ast.Name(id=name), slice=arguments) if name in _CONTAINERS:
            items = arguments.elts if isinstance(arguments, ast.Tuple) else [arguments]
            return _CONTAINERS[name][tuple(_build(item, named, levels - 1) for item in items)]
        case _:
            raise ValueError(f"{type(node).__name__} has no meaning in it")


def _members(node: ast.expr) -> list[ast.expr]:
    members: list[ast.expr] = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        members.append(node.right)
        node = node.left
    return [node, *reversed(members)]
