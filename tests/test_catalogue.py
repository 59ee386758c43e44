from __future__ import annotations

import datetime as dt
import decimal
import enum
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypedDict, TypeVar

import msgspec
import pytest

from tomada import App, DeclarationError, DuplexRequest, Message, RemoteError, Request, StreamRequest, UploadRequest
from tomada.catalogue import Catalogue, catalogue_of, find, type_name
from tomada.compatibility import mismatch
from tomada.protocol import MAXIMUM_TYPES, Field, TypeEntry, TypeKind

T = TypeVar("T")


class Color(enum.Enum):
    """A colour."""

    RED = "r"
    BLUE = "b"


class Line(Message):
    name: str
    price: int = 0


@dataclass
class Data:
    q: int
    z: list[int] = field(default_factory=list)


class Map(TypedDict, total=False):
    k: int


class Point(NamedTuple):
    x: int
    y: int = 2


class Tree(Message):
    children: list[Tree]
    value: int = 0


class Left(Message, tag="left"):
    x: int


class Right(Message, tag="right"):
    y: int


class Keyed(msgspec.Struct, rename="camel"):
    street_name: str


class Box(Message, Generic[T]):
    content: T


class Receipt(Message):
    number: int
    lines: list[Line]


class Order(Request[Receipt | None]):
    """What a customer wants.

    And more.
    """

    color: Color
    line: Line
    when: dt.datetime
    key: uuid.UUID
    data: dict[str, Data]
    optional: int | None
    point: Point
    literal: Literal["a", 3]
    either: Left | Right
    tree: Tree
    map: Map
    amount: decimal.Decimal
    keyed: Keyed
    box: Box[int]
    payload: bytes = b"hello"
    day: dt.date = dt.date(2020, 1, 1)
    fresh: uuid.UUID = msgspec.field(default_factory=uuid.uuid4)
    empty: list[int] = []
    odd: float = float("nan")
    long: str = "x" * 2_000
    opaque: Any = object()
    titled: Annotated[int, msgspec.Meta(title="x")] = 1


class Refused(RemoteError):
    """Why not."""

    reason: str
    code: int = 7


def entries(*kinds: Any, handled: tuple[type, ...] = ()) -> dict[str, TypeEntry]:
    return Catalogue(kinds, handled).by_name


def test_what_a_catalogue_tells_of_a_request() -> None:
    order = entries(Order, handled=(Order,))["Order"]

    assert order.kind is TypeKind.REQUEST
    assert order.reply == "Receipt | None"
    assert order.handled
    assert order.doc == "What a customer wants."
    assert {field.name: field.type for field in order.fields if field.default is None} == {
        "color": "Color",
        "line": "Line",
        "when": "datetime",
        "key": "UUID",
        "data": "dict[str, Data]",
        "optional": "int | None",
        "point": "Point",
        "literal": "Literal[3, 'a']",
        "either": "Left | Right",
        "tree": "Tree",
        "map": "Map",
        "amount": "Decimal",
        "keyed": "Keyed",
        "box": "Box_int",
    }
    assert {field.name: field.default for field in order.fields if field.default is not None} == {
        "payload": '"aGVsbG8="',
        "day": '"2020-01-01"',
        "fresh": "null",
        "empty": "[]",
        "odd": "null",
        "long": "null",
        "opaque": "null",
        "titled": "1",
    }


def test_what_a_catalogue_tells_of_everything_in_it() -> None:
    known = entries(Order, Refused)

    assert {name: entry.kind for name, entry in known.items() if entry.kind is not TypeKind.MESSAGE} == {
        "Order": TypeKind.REQUEST,
        "Refused": TypeKind.ERROR,
        "Color": TypeKind.ENUM,
        "Data": TypeKind.STRUCTURE,
        "Map": TypeKind.STRUCTURE,
        "Point": TypeKind.STRUCTURE,
        "Keyed": TypeKind.STRUCTURE,
    }
    assert {name for name, entry in known.items() if entry.keyed} == {"Data", "Map", "Keyed"}
    assert {name: entry.tag for name, entry in known.items() if entry.tag} == {"Left": "left", "Right": "right"}
    assert known["Color"].fields == (Field("RED", "Any", '"r"'), Field("BLUE", "Any", '"b"'))
    assert known["Map"].fields == (Field("k", "int", "null"),)
    assert known["Keyed"].fields == (Field("streetName", "str"),)
    assert known["Refused"].fields == (Field("reason", "str"), Field("code", "int", "7"))
    assert not known["Order"].handled


def test_numbers_are_places_and_what_is_needed_comes_first() -> None:
    catalogue = Catalogue([Receipt, Line, Receipt, Tree])

    assert [entry.name for entry in catalogue.entries] == ["Line", "Receipt", "Tree"]
    assert catalogue.numbers == {Line: 1, Receipt: 2, Tree: 3}
    assert [*catalogue.by_name.values()] == catalogue.entries


class Watch(StreamRequest[Line | None]):
    name: str


class Store(UploadRequest[bytes, Receipt]):
    name: str


class Talk(DuplexRequest[Left | Right, Tree]):
    pass


def test_what_a_catalogue_tells_of_streams() -> None:
    known = entries(Watch, Store, Talk, Order)

    def told(name: str) -> tuple[TypeKind, str | None, str | None, str | None]:
        return known[name].kind, known[name].reply, known[name].items, known[name].parts

    assert told("Watch") == (TypeKind.REQUEST, None, "Line | None", None)
    assert told("Store") == (TypeKind.REQUEST, "Receipt", None, "bytes")
    assert told("Talk") == (TypeKind.REQUEST, None, "Tree", "Left | Right")
    assert told("Order") == (TypeKind.REQUEST, "Receipt | None", None, None)
    assert told("Line") == (TypeKind.MESSAGE, None, None, None)
    assert set(entries(Talk)) == {"Talk", "Tree", "Left", "Right"}


def test_the_catalogue_of_an_application_holds_its_items_and_parts() -> None:
    app = App()

    @app.on
    async def talk(_: Talk, parts: AsyncIterator[Left | Right]) -> AsyncIterator[Tree]:
        async for part in parts:
            yield Tree([], part.x if isinstance(part, Left) else part.y)

    assert {Talk, Tree, Left, Right} <= set(app.catalogue.numbers)
    assert [entry.name for entry in app.catalogue.entries if entry.handled] == ["Talk"]


# Digests.


def test_an_entry_without_streams_keeps_its_digest() -> None:
    class Bill(Message):
        number: int

    class Buy(Request[Bill]):
        article: str
        count: int = 1

    assert entries(Buy)["Buy"].digest.hex() == "bc42bee9789439de"


def test_streams_are_in_the_digest() -> None:
    def asked(base: Any) -> bytes:
        return digest(made("Shop", [], bases=(base.__origin__,), namespace={"__orig_bases__": (base,)}))

    kinds: list[Any] = [
        Request[int],
        StreamRequest[int],
        StreamRequest[str],
        UploadRequest[int, int],
        UploadRequest[str, int],
        DuplexRequest[int, int],
    ]
    assert len({asked(kind) for kind in kinds}) == len(kinds)


def made(name: str, fields: Any, **options: Any) -> Any:
    return msgspec.defstruct(name, fields, **{"bases": (Message,), "module": __name__} | options)


def shop(price: Any = int, *, tag: str | None = None, name: str = "price", keyed: bool = False) -> Any:
    """A message with a structure in a structure in it."""
    line = made("ShopLine", [(name, price)], bases=(), tag=tag, array_like=not keyed)
    page = made("ShopPage", [("lines", list[line])], bases=(), array_like=True)  # type: ignore[valid-type] # made above
    return made("Shop", [("pages", dict[str, page])])  # type: ignore[valid-type] # made above


def digest(kind: Any) -> bytes:
    return catalogue_of(kind).by_name["Shop"].digest


def test_the_same_fields_have_the_same_digest() -> None:
    assert digest(shop()) == digest(shop())
    assert len(digest(shop())) == 8


@pytest.mark.parametrize("change", [{"price": str}, {"tag": "line"}, {"name": "cents"}, {"keyed": True}])
def test_a_change_deep_inside_changes_the_digest(change: dict[str, Any]) -> None:
    assert digest(shop()) != digest(shop(**change))


def ring(kind: Any, *names: str) -> dict[str, TypeEntry]:
    """Two messages that contain each other, the first with a field of type `kind`; catalogued in that order."""
    kinds = {
        "First": made("First", [("seconds", "list[Second]"), ("value", kind)]),
        "Second": made("Second", [("firsts", "list[First]")]),
    }
    globals().update(kinds)
    return entries(*[kinds[name] for name in names])


def test_digests_do_not_depend_on_where_a_ring_is_entered() -> None:
    forth, back = ring(int, "First", "Second"), ring(int, "Second", "First")

    assert forth["First"].digest == back["First"].digest
    assert forth["Second"].digest == back["Second"].digest


def test_a_change_in_a_ring_changes_all_digests_of_it() -> None:
    mine, theirs = ring(int, "First"), ring(str, "First")

    assert mine["Second"].digest != theirs["Second"].digest
    assert mismatch("Second", mine, theirs) == "First.value is int here and str at the peer"


# What cannot travel.


def test_two_types_of_one_name_are_refused() -> None:
    other = made("Line", [("cents", int)], module="shop.other")

    with pytest.raises(DeclarationError) as caught:
        Catalogue([Receipt, other])
    assert str(caught.value) == (f"two types are named Line: {__name__}.Line and shop.other.Line; rename one of them")


@pytest.mark.parametrize("name", ["UUID", "Decimal", "list", "Any", "Literal"])
def test_the_name_of_a_type_that_every_program_has_is_refused(name: str) -> None:
    kind = made(name, [("x", int)])

    with pytest.raises(DeclarationError, match=rf"\.{name} is named as a type that every program has; rename it$"):
        Catalogue([kind])


class Custom:
    pass


class WithCustom(Message):
    inner: list[Custom]


class WithReply(Request[Custom]):
    pass


class WithItems(StreamRequest[Custom]):
    pass


class WithParts(UploadRequest[list[Custom], int]):
    pass


class WithUnknown(Message):
    field: NoSuchType  # type: ignore[name-defined] # noqa: F821 - which is the case


class Mixed(enum.Enum):
    NUMBER = 1
    TEXT = "x"


class WithMixed(Message):
    mixed: Mixed


class ErrorWithCustom(RemoteError):
    inner: Custom


class ErrorWithUnknown(RemoteError):
    field: NoSuchType  # type: ignore[name-defined] # noqa: F821 - which is the case


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (WithCustom, "WithCustom.inner: a field of type <class '.*Custom'> cannot travel"),
        (WithReply, "WithReply.reply: a field of type <class '.*Custom'> cannot travel"),
        (WithItems, "WithItems.items: a field of type <class '.*Custom'> cannot travel"),
        (WithParts, "WithParts.parts: a field of type <class '.*Custom'> cannot travel"),
        (WithUnknown, "WithUnknown cannot travel: name 'NoSuchType' is not defined"),
        (WithMixed, "WithMixed cannot travel: Enums must contain either all str or all int values"),
        (ErrorWithCustom, "ErrorWithCustom.inner: a field of type <class '.*Custom'> cannot travel"),
        (ErrorWithUnknown, "the fields of ErrorWithUnknown cannot travel: name 'NoSuchType' is not defined"),
        (RemoteError, "RemoteError travels by name and text"),
        (int, "builtins.int is named as a type that every program has"),
        (Custom, "Custom is neither a message nor an error"),
    ],
)
def test_what_cannot_travel(kind: Any, reason: str) -> None:
    with pytest.raises(DeclarationError, match=f"^{reason}"):
        Catalogue([kind])


def test_one_type_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAXIMUM_TYPES == 65_535
    monkeypatch.setattr("tomada.catalogue.MAXIMUM_TYPES", 1)

    with pytest.raises(DeclarationError, match=r"^Receipt is one type too many: a catalogue holds at most 1$"):
        Catalogue([Line, Receipt])


# Names.


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Line, "Line"),
        (Box[int], "Box_int"),
        (Box[list[int]], "Box_list_int"),
        (Box[list[str]], "Box_list_str"),
        (Box[Box[Line]], "Box_Box_Line"),
        (Box[int | None], "Box_int___None"),
        (Box[None], "Box_NoneType"),
        (Box[Literal["a"]], "Box_Literal_a"),
    ],
)
def test_type_names(kind: Any, name: str) -> None:
    assert type_name(kind) == name


def test_generic_messages_travel_by_their_arguments() -> None:
    class Boxes(Message):
        numbers: Box[int]
        texts: Box[list[str]]

    boxes = entries(Boxes)

    assert [field.type for field in boxes["Boxes"].fields] == ["Box_int", "Box_list_str"]
    assert boxes["Box_list_str"].fields == (Field("content", "list[str]"),)


def test_replies_of_every_form() -> None:
    class One(Request[Line]):
        pass

    class Number(Request[int]):
        pass

    class Nothing(Request[None]):
        pass

    class Many(Request[list[Line]]):
        pass

    class Either(Request[Right | Left]):
        pass

    known = entries(One, Number, Nothing, Many, Either)

    assert [known[kind.__name__].reply for kind in (One, Number, Nothing, Many, Either)] == [
        "Line",
        "int",
        "None",
        "list[Line]",
        "Left | Right",
    ]


# Finding this program's class for a peer's entry.


def test_find_prefers_the_class_with_the_same_digest() -> None:
    class Found(Message):
        number: int

    first = Found

    class Found(Message):  # type: ignore[no-redef]
        text: str

    assert find(entries(first)["Found"]) is first
    assert find(TypeEntry("Found", TypeKind.MESSAGE)) is Found
    assert find(TypeEntry("Found", TypeKind.ERROR)) is None


def test_find_passes_over_what_was_never_meant_to_travel() -> None:
    assert find(TypeEntry("WithCustom", TypeKind.MESSAGE)) is None
    assert find(TypeEntry("InternalError", TypeKind.ERROR)) is None


def test_the_catalogue_of_an_application_holds_its_replies() -> None:
    app = App()

    @app.on
    async def order(_: Order) -> Receipt | None:
        return None

    names = {entry.name for entry in app.catalogue.entries}
    assert {"Order", "Receipt", "Line"} <= names
    assert [entry.name for entry in app.catalogue.entries if entry.handled] == ["Order"]
