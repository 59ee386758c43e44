from __future__ import annotations

import enum
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ends import Pair, greeted
from tests.test_catalogue import Order, Receipt, Store, Talk, Watch
from tomada import (
    App,
    DuplexRequest,
    InvalidMessage,
    Request,
    StreamRequest,
    TypeMismatch,
    UnknownType,
    UploadRequest,
)
from tomada.catalogue import Catalogue, catalogue_of, find
from tomada.generation import MAXIMUM_MADE, Generator
from tomada.message import item_type, part_type, reply_type
from tomada.protocol import Field, TypeEntry, TypeKind

app = App()


@app.on
async def order(_: Order) -> Receipt | None:
    return None


def generated(*entries: TypeEntry) -> Any:
    return Generator({entry.name: entry for entry in entries}).generate(entries[0].name)


def message(name: str = "Note", /, **fields: str) -> TypeEntry:
    return TypeEntry(name, TypeKind.MESSAGE, tuple(Field(key, text) for key, text in fields.items()))


def test_a_class_is_made_from_a_description() -> None:
    theirs = Catalogue([Order]).by_name
    kind = Generator(theirs).generate("Order")

    assert kind.__name__ == "Order"
    assert kind is not Order
    assert {field.name for field in msgspec.structs.fields(kind)} == {
        field.name for field in msgspec.structs.fields(Order)
    }
    assert msgspec.structs.fields(kind)[0].type.__members__.keys() == {"RED", "BLUE"}
    assert msgspec.structs.fields(kind)[0].type("r").name == "RED"
    assert [getattr(member, "__name__", "") for member in reply_type(kind).__args__] == ["Receipt", "NoneType"]


@pytest.mark.parametrize(
    ("real", "base"), [(Watch, StreamRequest), (Store, UploadRequest), (Talk, DuplexRequest), (Order, Request)]
)
def test_a_request_with_streams_is_made(real: Any, base: type) -> None:
    generator = Generator(Catalogue([real]).by_name)
    kind = generator.generate(real.__name__)

    def told(kind: Any) -> tuple[str | None, ...]:
        entry = catalogue_of(kind).by_name[real.__name__]
        return entry.reply, entry.items, entry.parts

    assert issubclass(kind, base)
    assert kind is not real
    assert told(kind) == told(real)
    given = (reply_type(kind), item_type(kind), part_type(kind))
    assert [each is None for each in given] == [text is None for text in told(real)]


def test_defaults_are_told_and_fresh_for_each_message() -> None:
    def noted(text: str, default: str | None) -> Any:
        return generated(TypeEntry("Note", TypeKind.MESSAGE, (Field("value", text, default),)))

    kind = noted("list[int]", "[1]")
    kind().value.append(2)
    assert kind().value == [1]
    assert noted("bytes", '"aGVsbG8="')().value == b"hello"
    assert noted("int | None", "null")().value is None
    for unusable in ("null", '"x"', "{", "["):
        with pytest.raises(TypeError, match="Missing required argument 'value'"):
            noted("int", unusable)()


def test_what_it_writes_is_read_by_the_real_class() -> None:
    entries = Catalogue([Receipt]).by_name
    generator = Generator(entries)
    line, receipt = generator.generate("Line"), generator.generate("Receipt")
    value = receipt(number=1, lines=[line(name="tea", price=3), line(name="milk")])

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=Receipt).lines[0].price == 3


def test_a_structure_inside_itself() -> None:
    kind = generated(message("Tree", children="list[Tree]", value="int"))

    assert msgspec.msgpack.decode(msgspec.msgpack.encode([[[[], 1]], 2]), type=kind).children == [[[], 1]]


def test_it_is_made_once() -> None:
    generator = Generator({"Note": message(text="str")})

    assert generator.generate("Note") is generator.generate("Note")


def test_a_class_that_was_made_is_not_found_as_this_program_s_own() -> None:
    kind = generated(message("OnlyHere", text="str"))

    assert issubclass(kind, msgspec.Struct)
    assert find(message("OnlyHere", text="str")) is None


def test_said_back_it_is_the_peer_s_own_word() -> None:
    pair = Pair(None, app)
    kind = pair.client.messenger.generated("Receipt")
    pair.send(kind(number=1, lines=[]))

    assert pair.server.messenger.peer_types["Receipt"] == catalogue_of(Receipt).by_name["Receipt"]
    assert pair.server.inbox == [Receipt(1, [])]


class Search(Request[Receipt | None]):
    number: int


class Total(Request[int]):
    numbers: list[int]


def test_a_request_is_asked_with_it_and_answered() -> None:
    shop = App()

    @shop.on
    def search(request: Search) -> Receipt | None:
        return Receipt(request.number, []) if request.number else None

    @shop.on
    def total(request: Total) -> int:
        return sum(request.numbers)

    pair = Pair(None, shop)
    kind = pair.client.messenger.generated("Search")
    found = pair.ask(kind(number=7))

    assert type(found) is pair.client.messenger.generated("Receipt")
    assert (found.number, found.lines) == (7, [])
    assert pair.ask(kind(number=0)) is None
    assert pair.ask(pair.client.messenger.generated("Total")(numbers=[1, 2])) == 3
    with pytest.raises(InvalidMessage, match=r"^Total\.numbers\[0\]: expected `int`, got `str`$"):
        pair.ask(pair.client.messenger.generated("Total")(numbers=["1"]))


HOSTILE: list[tuple[TypeEntry, ...]] = [
    (message(value="list[int, str]"),),
    (message(value="dict[int]"),),
    (message(value="Literal[1.5]"),),
    (message(value="Literal[()]"),),
    (message(value="list[int] | tuple[int, ...]"),),
    (message(value="dict[...] | None"),),
    (message(value="no type!"),),
    (message(value="A | B"), message("A", x="int"), message("B", x="int")),
    (message(**{"not an identifier": "int"}),),
    (message(__init__="int"),),
    (message(__post_init__="int"),),
    (message(mro="int"),),
    (message("No\0te", value="int"),),
    (TypeEntry("Note", TypeKind.ENUM),),
    (TypeEntry("Note", TypeKind.ENUM, (Field("mro", "Any", "1"),)),),
    (TypeEntry("Note", TypeKind.ENUM, (Field("A", "Any", "1"), Field("A", "Any", "2"))),),
    (TypeEntry("Note", TypeKind.ENUM, (Field("A", "Any", "[1]"),)),),
    (TypeEntry("Note", TypeKind.ENUM, (Field("A", "Any", "1"), Field("B", "Any", '"x"'))),),
    (TypeEntry("Note", TypeKind.ENUM, (Field("_missing_", "Any", "1"),)),),
    (TypeEntry("Note", TypeKind.ENUM, (Field("__new__", "Any", "1"),)),),
    (TypeEntry("Note", TypeKind.REQUEST, (), "list[int, int]"),),
    (TypeEntry("Note", TypeKind.REQUEST, (), "no type!"),),
    (TypeEntry("Note", TypeKind.REQUEST, items="no type!"),),
    (TypeEntry("Note", TypeKind.REQUEST, items="list[int, int]"),),
    (TypeEntry("Note", TypeKind.REQUEST, parts="no type!"),),
    (TypeEntry("Note", TypeKind.REQUEST, (), "int", parts="list[int, int]"),),
    (TypeEntry("Note", TypeKind.REQUEST, (), "int", items="int"),),
    (message(value="A"), message("A", value="nothing sensible")),
    tuple(message(f"C{number}", value=f"C{number + 1}") for number in range(3_000)),
]


@pytest.mark.parametrize("entries", HOSTILE, ids=range(len(HOSTILE)))
def test_a_description_that_makes_no_sense(entries: tuple[TypeEntry, ...]) -> None:
    generator = Generator({entry.name: entry for entry in entries})
    name = entries[0].name

    for _ in range(2):  # a failure leaves nothing behind
        with pytest.raises(TypeMismatch, match="makes no sense: "):
            generator.generate(name)
    assert not generator.made


def test_no_more_than_so_many_are_made_for_one_peer() -> None:
    many = {f"C{number}": message(f"C{number}", value="int") for number in range(MAXIMUM_MADE + 1)}
    generator = Generator(many)
    made = [generator.generate(name) for name in list(many)[:MAXIMUM_MADE]]

    with pytest.raises(TypeMismatch, match=f"makes no sense: more than {MAXIMUM_MADE} types have been made"):
        generator.generate(f"C{MAXIMUM_MADE}")
    assert generator.generate("C0") is made[0]


NAMES = st.sampled_from(["A", "B", "C", "int", "self", "__init__", "name", "x y", "mro", "_missing_"]) | st.text(
    min_size=1, max_size=8
)
TYPES = st.sampled_from(
    [
        "int",
        "A",
        "list[B]",
        "A | B",
        "A | None",
        "dict[C, A]",
        "Literal['a']",
        "Literal[1.5]",
        "tuple[int, ...]",
        "set[A]",
        "C | int",
    ]
) | st.text("abAB[]|,.' ", max_size=12)
DEFAULTS = st.none() | st.sampled_from(["1", "null", "[]", '"x"', "{", "[[[[", "1e999"])
ENTRIES = st.builds(
    TypeEntry,
    st.sampled_from(["A", "B", "C"]),
    st.sampled_from(TypeKind),
    st.lists(st.builds(Field, NAMES, TYPES, DEFAULTS), max_size=4).map(tuple),
    st.none() | TYPES,
    st.binary(max_size=8),
    st.booleans(),
    st.none() | st.integers(-5, 5) | st.text(max_size=3),
    st.booleans(),
    st.just(""),
    st.none() | TYPES,
    st.none() | TYPES,
)


@given(st.lists(ENTRIES, min_size=1, max_size=4))
def test_no_catalogue_raises_anything_else(entries: list[TypeEntry]) -> None:
    generator = Generator({entry.name: entry for entry in entries})
    for entry in entries:
        with suppress(TypeMismatch):
            kind = generator.generate(entry.name)
            assert isinstance(kind, enum.EnumMeta) or issubclass(kind, msgspec.Struct)
            msgspec.msgpack.Decoder(kind)


@given(st.lists(ENTRIES, min_size=1, max_size=4), st.data())
def test_no_message_of_such_a_catalogue_raises_anything(entries: list[TypeEntry], data: st.DataObject) -> None:
    end, peer = greeted(tuple(entries), app)
    for number in range(len(entries) + 2):
        payload = data.draw(st.binary(max_size=20) | st.sampled_from([b"\x90", b"\x91\x01", b"\x80", b"\x01"]))
        peer.send(number, payload)
        peer.ask(number, payload, number)
    end.receive(bytes(peer.take()))


def test_a_name_that_the_peer_does_not_have() -> None:
    with pytest.raises(UnknownType, match=r"^the peer has no type Nothing$"):
        Pair(None, app).client.messenger.generated("Nothing")
