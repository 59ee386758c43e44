"""Whether values of a peer's type can be read as this end's type of the same name."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from tomada.catalogue import names
from tomada.protocol import TypeKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tomada.protocol import Field, TypeEntry


def mismatch(name: str, mine: Mapping[str, TypeEntry], theirs: Mapping[str, TypeEntry]) -> str | None:
    """Why values of the peer's type `name` cannot be read as this end's type of that name; None if they can."""
    return _mismatch(name, mine, theirs, set())


def _mismatch(name: str, mine: Mapping[str, TypeEntry], theirs: Mapping[str, TypeEntry], seen: set[str]) -> str | None:
    here, there = mine[name], theirs[name]
    if here.digest == there.digest or name in seen:
        return None
    seen.add(name)
    if (here.kind, here.tag, here.keyed) != (there.kind, there.tag, there.keyed):
        return f"{name} is a {_form(here)} here and a {_form(there)} at the peer"
    if (here.reply, here.items) != (there.reply, there.items):
        return f"{name} is answered by {_answer(here)} here and by {_answer(there)} at the peer"
    if here.parts != there.parts:
        return f"{name} is followed by {_upload(here)} here and by {_upload(there)} at the peer"
    for field, other in _pairs(here, there):
        reason = _field_mismatch(here, field, other)
        if reason is not None:
            return reason
    inner = (inner for inner in dict.fromkeys(names(here)) if inner in mine and inner in theirs)
    reasons = (_mismatch(inner_name, mine, theirs, seen) for inner_name in inner)
    return next((reason for reason in reasons if reason is not None), None)


def _pairs(here: TypeEntry, there: TypeEntry) -> Iterable[tuple[Field, Field | None]]:
    """Each field of this end with the peer's: by name in a map or an enum, by place in an array."""
    if here.keyed or here.kind is TypeKind.ENUM:
        others = {field.name: field for field in there.fields}
        return [(field, others.get(field.name)) for field in here.fields]
    return zip_longest(here.fields, there.fields[: len(here.fields)])


def _field_mismatch(owner: TypeEntry, mine: Field, peers: Field | None) -> str | None:
    field = f"{owner.name}.{mine.name}"
    if owner.kind is TypeKind.ENUM:
        if peers is None or peers.default == mine.default:
            return None
        return f"{field} is {mine.default} here and {peers.default} at the peer"
    if peers is None:
        required = f"{field} is required here and missing at the peer: give an appended field a default"
        return required if mine.default is None else None
    if mine.name != peers.name:
        return f"{field} here stands where the peer has {owner.name}.{peers.name}"
    if mine.type != peers.type:
        return f"{field} is {mine.type} here and {peers.type} at the peer"
    return None


def _answer(entry: TypeEntry) -> str | None:
    return entry.reply if entry.items is None else f"a stream of {entry.items}"


def _upload(entry: TypeEntry) -> str:
    return "nothing" if entry.parts is None else f"a stream of {entry.parts}"


def _form(entry: TypeEntry) -> str:
    tag = f" tagged {entry.tag!r}" if entry.tag is not None else ""
    return f"{entry.kind.value}{tag}{' written as a map' if entry.keyed else ''}"
