"""Why a value does not fit its type, in words that name type, field and reason."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from msgspec import inspect as info

_PLACE: Final = re.compile(r" - at `(key` in `)?\$(.*)`$", re.DOTALL)
_STEP: Final = re.compile(r"\[\d+\]|\[\.\.\.\]|\.[^.[]+")
_TOO_SHORT: Final = re.compile(r"Expected `array` of (?:at least length|length) (\d+)(?: to \d+)?, got (\d+)$")
_NO_FIELD: Final = re.compile(r"Object missing required field `(.*)`$")
_MAXIMUM_TEXT: Final = 1_000


def explain(kind: Any, error: Exception) -> str:
    """What is wrong with a value of type `kind`, given what its decoder said.

    msgspec tells a place as ``$[2]``; here it is called by the field's name.
    """
    text = str(error)
    place = _PLACE.search(text)
    name = kind.__name__ if isinstance(kind, type) else str(kind)
    here: info.Type | None = _type_info(kind)
    if place is not None:
        text = text[: place.start()]
        steps, here = _follow(here, place[2])
        name += f"{steps} (a key)" if place[1] else steps
    missing = _missing(here, text)
    if missing:
        return f"{name}.{missing} is missing"
    return f"{name}: {text[:1].lower()}{text[1:_MAXIMUM_TEXT]}"


@lru_cache(256)
def _type_info(kind: Any) -> info.Type | None:
    try:
        return _plain(info.type_info(kind))
    except (TypeError, NameError):
        return None


def _follow(here: info.Type | None, path: str) -> tuple[str, info.Type | None]:
    """A path such as ``[2][0].street`` with names of fields where they are known, and the type at its end."""
    names = ""
    for step in _STEP.findall(path):
        field = _field(here, step)
        names += step if field is None else f".{field.encode_name}"
        here = _plain(_inner(here, step) if field is None else field.type)
    return names, here


def _field(here: Any, step: str) -> Any:
    """The field that a step leads to, None where it leads elsewhere."""
    fields = getattr(here, "fields", ())
    if step.startswith("."):
        return next((field for field in fields if f".{field.encode_name}" == step), None)
    place = int(step[1:-1]) - _tags(here) if step[1:-1].isdigit() else -1
    return fields[place] if 0 <= place < len(fields) else None


def _inner(here: Any, step: str) -> info.Type | None:
    """What a container holds."""
    if isinstance(here, info.TupleType):
        place = int(step[1:-1])
        return here.item_types[place] if place < len(here.item_types) else None
    return getattr(here, "item_type", None) or getattr(here, "value_type", None)


def _missing(here: Any, text: str) -> str | None:
    """The first field that is missing, where that is what is wrong."""
    named = _NO_FIELD.match(text)
    if named is not None:
        return named[1]
    lengths = _TOO_SHORT.match(text)
    if lengths is None or int(lengths[2]) >= int(lengths[1]):
        return None
    sent = int(lengths[2]) - _tags(here)
    fields = getattr(here, "fields", ())
    return fields[sent].encode_name if 0 <= sent < len(fields) else None


def _tags(here: Any) -> int:
    """How many values stand before the first field of an array."""
    return int(getattr(here, "tag", None) is not None)


def _plain(kind: info.Type | None) -> info.Type | None:
    """Without constraints, and without the None of an optional."""
    if isinstance(kind, info.Metadata):
        return _plain(kind.type)
    if isinstance(kind, info.UnionType):
        others = [member for member in kind.types if not isinstance(member, info.NoneType)]
        return _plain(others[0]) if len(others) == 1 else None
    return kind
