"""From ``field=value`` words to a message, by the types of the server's catalogue."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import inspect as info

from tomada.cli.output import UsageError
from tomada.protocol import TypeEntry, TypeKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tomada.message import Message


def build_message(
    name: str, words: Iterable[str], types: Mapping[str, TypeEntry], class_of: Callable[[str], Any]
) -> Message:
    """The message of type `name` with the fields that `words` give.

    Raises `UsageError` where the type or a field is unknown, missing, or its value does not fit.
    """
    entry = types.get(name)
    if entry is None or entry.kind not in (TypeKind.MESSAGE, TypeKind.REQUEST):
        known = [other.name for other in types.values() if other.handled]
        understood = ", ".join(known) or "none"
        raise UsageError(f"the server knows no message {name}{_did_you_mean(name, known)}: it understands {understood}")
    kind = class_of(name)
    values = dict(_parse(word, entry, kind) for word in words)
    missing = [field for field in entry.fields if field.default is None and field.name not in values]
    if missing:
        wanted = " ".join(f"{field.name}={field.type.upper().replace(' ', '')}" for field in missing)
        raise UsageError(f"{name} also needs {', '.join(field.name for field in missing)}: add {wanted}")
    message: Message = kind(**values)
    return message


def _parse(word: str, entry: TypeEntry, kind: Any) -> tuple[str, Any]:
    name, equals, text = word.partition("=")
    if not equals:
        raise UsageError(
            f"{word!r} is no field: write name=value, as in {entry.fields[0].name if entry.fields else 'name'}=…"
        )
    field = next((field for field in info.type_info(kind).fields if field.encode_name == name), None)  # type: ignore[attr-defined] # a struct
    if field is None:
        names = [field.name for field in entry.fields]
        raise UsageError(
            f"{entry.name} has no field {name}{_did_you_mean(name, names)}: it has {', '.join(names) or 'none'}"
        )
    try:
        return name, parse_value(text, kind.__annotations__[name], field.type)
    except msgspec.ValidationError as error:
        expected = next(described.type for described in entry.fields if described.name == name)
        raise UsageError(f"{word}: {entry.name}.{name} is {expected}: {_lower(str(error))}") from error


def parse_value(text: str, kind: Any, shape: info.Type) -> Any:
    """`text` as a value of type `kind`: as it stands where that fits, else as JSON.

    Structures are written as objects or as arrays.
    """
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        try:
            value = msgspec.json.decode(text)
        except msgspec.DecodeError:
            raise error from None
    return msgspec.convert(_arranged(value, shape), kind, strict=False)


def _arranged(value: Any, shape: info.Type | None) -> Any:
    """JSON objects as the arrays in which the structures of messages travel."""
    match shape:
        case info.Metadata():
            return _arranged(value, shape.type)
        case info.UnionType():
            structures = [
                member for member in shape.types if isinstance(member, (info.StructType, info.ListType, info.DictType))
            ]
            return _arranged(value, structures[0]) if len(structures) == 1 else value
        case info.StructType(array_like=True) if isinstance(value, dict):
            fields = [field for field in shape.fields if field.encode_name in value or field.required]
            return [_arranged(value.get(field.encode_name), field.type) for field in fields]
        case info.ListType() | info.SetType() | info.FrozenSetType() | info.VarTupleType() if isinstance(value, list):
            return [_arranged(item, shape.item_type) for item in value]
        case info.DictType() if isinstance(value, dict):
            return {key: _arranged(item, shape.value_type) for key, item in value.items()}
        case _:
            return value


def _did_you_mean(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, 1)
    return f" (did you mean {close[0]}?)" if close else ""


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
