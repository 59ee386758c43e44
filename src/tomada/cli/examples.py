"""Ready-made commands for the types of an application, with a value for each field that must be given."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from msgspec import inspect as info

from tomada.cli.values import parse_value
from tomada.message import AnyRequest, Request

MOST: Final = 5
"""So many commands are shown; `tomada types` lists the rest."""
BLANK: Final = "…"
_WHOLE: Final = 1
_SIMPLE: Final[dict[type[info.Type], Any]] = {
    info.NoneType: None,
    info.BoolType: True,
    info.BytesType: "aGVsbG8=",
    info.ByteArrayType: "aGVsbG8=",
    info.MemoryViewType: "aGVsbG8=",
    info.DateTimeType: "2026-01-31T12:00:00Z",
    info.DateType: "2026-01-31",
    info.TimeType: "12:00:00",
    info.TimeDeltaType: "PT1H",
    info.UUIDType: "0191d7c4-0000-7000-8000-000000000001",
    info.DecimalType: "1.50",
    info.AnyType: "anything",
    info.RawType: "anything",
    info.DictType: {},
}


class Example(msgspec.Struct, frozen=True):
    """One command, without the address.

    Attributes:
        verb: ``ask`` or ``send``.
        name: The type's.
        fields: Those that must be given, each with a value as it is written on a command line.
    """

    verb: str
    name: str
    fields: tuple[tuple[str, str], ...]

    def command(self, address: str, *, values: bool) -> str:
        """The whole line; without `values` each field is left blank."""
        words = [f"{name}={value if values else BLANK}" for name, value in self.fields]
        return " ".join([f"tomada {self.verb} {address} {self.name}", *words])


def examples(kinds: Iterable[type[Any]]) -> tuple[Example, ...]:
    """One for each of the message types, those that are answered first; none for those with streams."""
    simple = [kind for kind in kinds if issubclass(kind, Request) or not issubclass(kind, AnyRequest)]
    ordered = sorted(simple, key=lambda kind: not issubclass(kind, Request))
    return tuple(_example(kind) for kind in ordered[:MOST])


def _example(kind: type[Any]) -> Example:
    verb = "ask" if issubclass(kind, Request) else "send"
    shape = info.type_info(kind)
    assert isinstance(shape, info.StructType), "messages are structures"  # noqa: S101 - the house's own order
    hints = {field.name: field.type for field in msgspec.structs.fields(kind)}
    fields = [(field.encode_name, _written(field.type, hints[field.name])) for field in shape.fields if field.required]
    return Example(verb, kind.__name__, tuple(fields))


def _written(shape: info.Type, kind: Any) -> str:
    """A value as it is written on a command line; blank where none can be thought of that fits."""
    value = _value(shape)
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    try:
        parse_value(text, kind, shape)
    except msgspec.ValidationError:
        return BLANK
    return shlex.quote(text)


def _value(shape: info.Type) -> Any:
    """A value of that shape, as JSON has it; None where none can be thought of."""
    make = _MAKERS.get(type(shape))
    return _SIMPLE.get(type(shape)) if make is None else make(shape)


def _number(shape: info.IntType | info.FloatType) -> float:
    least = max(
        [value for value in (shape.ge, None if shape.gt is None else shape.gt + 1, _WHOLE) if value is not None]
    )
    most = min([value for value in (shape.le, None if shape.lt is None else shape.lt - 1, least) if value is not None])
    step = shape.multiple_of or 1
    return -(-most // step) * step


_MAKERS: Final[dict[type[info.Type], Callable[[Any], Any]]] = {
    info.Metadata: lambda shape: _value(shape.type),
    info.StrType: lambda shape: "text".ljust(shape.min_length or 0, "t")[: shape.max_length],
    info.IntType: _number,
    info.FloatType: _number,
    info.UnionType: lambda shape: _value(shape.types[0]),
    info.LiteralType: lambda shape: min(shape.values, key=str),
    info.EnumType: lambda shape: next(iter(shape.cls)).value,
    info.StructType: lambda shape: {field.encode_name: _value(field.type) for field in shape.fields if field.required},
    info.TupleType: lambda shape: [_value(item) for item in shape.item_types],
    info.ListType: lambda shape: [_value(shape.item_type)],
    info.SetType: lambda shape: [_value(shape.item_type)],
    info.FrozenSetType: lambda shape: [_value(shape.item_type)],
    info.VarTupleType: lambda shape: [_value(shape.item_type)],
}
