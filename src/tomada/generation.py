"""Classes made from a peer's catalogue, for a program that has none of its own."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tomada import expression
from tomada.catalogue import MADE, names
from tomada.errors import UNREADABLE, TypeMismatch
from tomada.message import DuplexRequest, Message, Request, StreamRequest, UploadRequest
from tomada.protocol import TypeKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tomada.protocol import Field, TypeEntry
MAXIMUM_MADE: Final = 1_000
"""How many classes are made for one peer; a class costs far more than the frame that asks for it."""


class Generator:
    """Makes classes of one peer's types, and keeps them.

    Args:
        theirs: The peer's catalogue by name, which may grow.
    """

    __slots__ = ("_left", "_theirs", "made")

    def __init__(self, theirs: Mapping[str, TypeEntry]) -> None:
        self.made: dict[str, Any] = {}
        self._theirs = theirs
        self._left = MAXIMUM_MADE

    def generate(self, name: str) -> Any:
        """A class for the peer's type `name`.

        Raises:
            TypeMismatch: The peer's description makes no sense, or too many have been made.
        """
        if name not in self.made:
            made = dict(self.made)
            try:
                self._generate(name, made)
            except Exception as error:  # what a hostile description brings about has no end of kinds
                raise TypeMismatch(f"the peer's type {name} makes no sense: {error}"[:1_000]) from error
            self.made = made
        return self.made[name]

    def _generate(self, name: str, made: dict[str, Any]) -> None:
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"more than {MAXIMUM_MADE} types have been made from its descriptions")
        made[name] = Any  # a structure inside itself
        entry = self._theirs[name]
        for inner in names(entry):
            if inner in self._theirs and inner not in made:
                self._generate(inner, made)
        made[name] = _enum(entry) if entry.kind is TypeKind.ENUM else _structure(entry, made)
        msgspec.msgpack.Decoder(made[name])  # which raises where values of it could not be read


def _enum(entry: TypeEntry) -> Any:
    return enum.Enum(
        entry.name, [(field.name, msgspec.json.decode(field.default or "null")) for field in entry.fields], module=MADE
    )


def _structure(entry: TypeEntry, made: dict[str, Any]) -> Any:
    fields: list[Any] = [_field(field, made) for field in entry.fields]
    bases: tuple[type, ...] = (Message,) if entry.kind is TypeKind.MESSAGE else (msgspec.Struct,)
    namespace: dict[str, Any] = {}
    if entry.kind is TypeKind.REQUEST:
        generic, arguments = _request(entry, made)
        bases = (generic,)
        namespace["__orig_bases__"] = (generic[arguments],)
    return msgspec.defstruct(
        entry.name,
        fields,
        bases=bases,
        namespace=namespace,
        module=MADE,
        tag=entry.tag,
        array_like=not entry.keyed,
        kw_only=True,
    )


def _request(entry: TypeEntry, made: dict[str, Any]) -> tuple[Any, tuple[Any, ...]]:
    """Which of the four kinds of requests it is, and with which parameters."""
    if entry.items is not None and entry.reply is not None:
        raise ValueError("it is answered by a reply, and by a stream")
    answers: list[Any] = [UploadRequest, Request] if entry.items is None else [DuplexRequest, StreamRequest]
    texts = [text for text in (entry.parts, entry.items or entry.reply or "None") if text is not None]
    arguments = tuple(expression.build(text, made) for text in texts)
    for each in arguments:
        msgspec.msgpack.Decoder(each)
    return answers[entry.parts is None], arguments


def _field(field: Field, made: dict[str, Any]) -> tuple[Any, ...]:
    """Name, type and, where the peer gives one that can be told in JSON, default."""
    if (
        not field.name.isidentifier()
        or field.name.startswith("__")
        or (hasattr(Request, field.name) and field.name != "key")
    ):
        raise ValueError(f"{field.name!r} cannot be the name of a field")
    kind = expression.build(field.type, made)
    text = field.default
    if text is None:
        return field.name, kind
    try:
        msgspec.json.decode(text, type=kind)
    except UNREADABLE:
        return field.name, kind
    return field.name, kind, msgspec.field(default_factory=lambda: msgspec.json.decode(text, type=kind))
