from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

import msgspec
import pytest

from tests.ends import Pair
from tomada import (
    App,
    DeclarationError,
    DuplexRequest,
    InvalidMessage,
    Message,
    Request,
    StreamRequest,
    TypeMismatch,
    UploadRequest,
)
from tomada.message import AnyRequest, item_type, part_type, reply_type

T = TypeVar("T")
U = TypeVar("U")


class Receipt(Message):
    number: int


class Line(Message):
    name: str
    price: Annotated[int, msgspec.Meta(ge=0)]


class Order(Request[Receipt]):
    lines: list[Line]
    notes: dict[str, Line] = {}


class Base(Request[Receipt]):
    number: int


class Derived(Base):
    more: int = 0


class Page(Request[list[T]], Generic[T]):
    number: int


class Receipts(Page[Receipt]):
    pass


class Latest(Receipts):
    pass


class Get(Request[T], Generic[T]):
    number: int


class GetAgain(Get[U], Generic[U]):
    pass


class GetReceipt(GetAgain["Receipt | None"]):
    pass


class Quoted(Request["list[Receipt]"]):
    pass


class Quiet(Request[None]):
    pass


class Limited(Request[Annotated[int, msgspec.Meta(ge=1)]]):
    pass


class Unparametrised(Request):  # type: ignore[type-arg] # which is the case
    pass


class Unknown(Request["NoSuchType"]):  # type: ignore[name-defined] # which is the case
    pass


@pytest.mark.parametrize(
    ("request_type", "expected"),
    [
        (Order, Receipt),
        (Derived, Receipt),
        (Receipts, list[Receipt]),
        (Latest, list[Receipt]),
        (GetReceipt, Receipt | None),
        (Quoted, list[Receipt]),
        (Quiet, type(None)),
        (Limited, Annotated[int, msgspec.Meta(ge=1)]),
    ],
)
def test_the_type_of_a_reply(request_type: type[Message], expected: object) -> None:
    assert reply_type(request_type) == expected


@pytest.mark.parametrize("request_type", [Unparametrised, Get, GetAgain])
def test_a_request_that_does_not_name_its_reply(request_type: type[Message]) -> None:
    name = request_type.__name__
    with pytest.raises(DeclarationError, match=rf"^{name} does not name its reply: write `class {name}\(tomada\.Req"):
        reply_type(request_type)


def test_a_reply_that_its_module_does_not_have() -> None:
    with pytest.raises(
        DeclarationError, match=r"^the reply of Unknown cannot be read: name 'NoSuchType' is not defined"
    ):
        reply_type(Unknown)


# Requests with streams.


class Watch(StreamRequest[Receipt]):
    name: str


class Lines(StreamRequest["Line | None"]):
    pass


class Chunks(StreamRequest[bytes]):
    pass


class Quiets(StreamRequest[None]):
    pass


class Store(UploadRequest[bytes, "Receipt"]):
    name: str


class Renew(Store):
    force: bool = False


class Turned(DuplexRequest[list[T], U], Generic[U, T]):
    pass


class Half(Turned[U, int], Generic[U]):
    pass


class Talk(Half[str]):
    pass


class Boxed(StreamRequest[Page]):  # type: ignore[type-arg] # any page
    pass


class NoItems(StreamRequest):  # type: ignore[type-arg] # which is the case
    pass


class NoParts(UploadRequest[T, int], Generic[T]):
    pass


class Neither(DuplexRequest):  # type: ignore[type-arg] # which is the case
    pass


class Lists(StreamRequest[list[T]], Generic[T]):
    pass


class Both(Request[int], StreamRequest[int]):
    pass


class UnknownItems(StreamRequest["NoSuchType"]):  # type: ignore[name-defined] # which is the case
    pass


class UnknownParts(UploadRequest["NoSuchType", int]):  # type: ignore[name-defined] # which is the case
    pass


@pytest.mark.parametrize(
    ("kind", "reply", "items", "parts"),
    [
        (Receipt, None, None, None),
        (Order, Receipt, None, None),
        (Quiet, type(None), None, None),
        (Watch, None, Receipt, None),
        (Lines, None, Line | None, None),
        (Chunks, None, bytes, None),
        (Quiets, None, type(None), None),
        (Store, Receipt, None, bytes),
        (Renew, Receipt, None, bytes),
        (Turned[str, int], None, str, list[int]),
        (Talk, None, str, list[int]),
        (Lists[int], None, list[int], None),
        (Boxed, None, Page, None),
    ],
)
def test_the_types_of_replies_items_and_parts(kind: Any, reply: object, items: object, parts: object) -> None:
    assert (reply_type(kind), item_type(kind), part_type(kind)) == (reply, items, parts)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (NoItems, "NoItems does not name its items: write `class NoItems(tomada.StreamRequest[SomeItem])`"),
        (Lists, "Lists does not name its items: write `class Lists(tomada.StreamRequest[SomeItem])`"),
        (NoParts, "NoParts does not name its parts: write `class NoParts(tomada.UploadRequest[SomePart, SomeReply])`"),
        (
            Neither,
            (
                "Neither does not name its parts and items: "
                "write `class Neither(tomada.DuplexRequest[SomePart, SomeItem])`"
            ),
        ),
        (Half, "Half does not name its items: write `class Half(tomada.DuplexRequest[SomePart, SomeItem])`"),
        (Both, "Both is a tomada.Request and a tomada.StreamRequest: make it a subclass of one of them"),
        (UnknownItems, "the items of UnknownItems cannot be read: name 'NoSuchType' is not defined. Define its type"),
        (UnknownParts, "the parts of UnknownParts cannot be read: name 'NoSuchType' is not defined. Define its type"),
    ],
)
def test_a_request_whose_streams_are_not_named(kind: type[Message], text: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        _ = part_type(kind), item_type(kind)
    assert str(caught.value).startswith(text)


def test_no_kind_of_request_is_another() -> None:
    kinds = (Request, StreamRequest, UploadRequest, DuplexRequest)

    assert all(issubclass(kind, AnyRequest) for kind in kinds)
    assert not [(one, other) for one in kinds for other in kinds if one is not other and issubclass(one, other)]


# Old and new programs: classes of the same names, with other fields.


@dataclass
class Program:
    app: App
    request: type[Message]


def original() -> Program:
    class Bill(Message):
        number: int

    class Purchase(Request[Bill]):
        name: str

    app = App()

    @app.on
    def purchase(request: Purchase) -> Bill:
        return Bill(len(request.name))

    return Program(app, Purchase)


def appended() -> Program:
    class Bill(Message):
        number: int
        currency: str = "EUR"

    class Purchase(Request[Bill]):
        name: str
        count: int = 1

    app = App()

    @app.on
    def purchase(request: Purchase) -> Bill:
        return Bill(len(request.name) * request.count, "BRL")

    return Program(app, Purchase)


def required() -> Program:
    class Bill(Message):
        number: int

    class Purchase(Request[Bill]):
        name: str
        count: int

    app = App()

    @app.on
    def purchase(request: Purchase) -> Bill:
        return Bill(request.count)

    return Program(app, Purchase)


def other_type() -> Program:
    class Bill(Message):
        number: str

    class Purchase(Request[Bill]):
        name: str

    app = App()

    @app.on
    def purchase(request: Purchase) -> Bill:
        return Bill(request.name)

    return Program(app, Purchase)


def other_name() -> Program:
    class Bill(Message):
        number: int

    class Purchase(Request[Bill]):
        title: str

    app = App()

    @app.on
    def purchase(request: Purchase) -> Bill:
        return Bill(len(request.title))

    return Program(app, Purchase)


def other_reply() -> Program:
    class Purchase(Request[int]):
        name: str

    app = App()

    @app.on
    def purchase(request: Purchase) -> int:
        return len(request.name)

    return Program(app, Purchase)


def ask(client: Program, server: Program, *values: object) -> Any:
    return Pair(None, server.app).ask(client.request(*values))  # type: ignore[arg-type] # a request


def test_an_old_client_and_a_new_server() -> None:
    bill = ask(original(), appended(), "tea")

    assert bill.__struct_fields__ == ("number",)
    assert bill.number == 3


def test_a_new_client_and_an_old_server() -> None:
    bill = ask(appended(), original(), "tea", 2)

    assert (bill.number, bill.currency) == (3, "EUR")


def test_two_new_ones() -> None:
    bill = ask(appended(), appended(), "tea", 2)

    assert (bill.number, bill.currency) == (6, "BRL")


@pytest.mark.parametrize(
    ("client", "server", "reason"),
    [
        (original, required, "Purchase.count is required here and missing at the peer: give an appended field a"),
        (original, other_type, "Bill.number is str here and int at the peer"),
        (original, other_name, "Purchase.title here stands where the peer has Purchase.name"),
        (original, other_reply, "Purchase is answered by int here and by Bill at the peer"),
    ],
)
def test_types_that_do_not_fit(client: Any, server: Any, reason: str) -> None:
    with pytest.raises(TypeMismatch, match=f"^{reason}"):
        ask(client(), server(), "tea")


# Values that do not fit.

orders = App()


@orders.on
def order(request: Order) -> Receipt:
    return Receipt(sum(line.price for line in request.lines))


def test_an_order_is_answered() -> None:
    assert Pair(None, orders).ask(Order([Line("tea", 2), Line("milk", 1)])) == Receipt(3)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (Order([Line("tea", "2")]), "Order.lines[0].price: expected `int`, got `str`"),  # type: ignore[arg-type]
        (Order([Line("tea", 2), Line("milk", -1)]), "Order.lines[1].price: expected `int` >= 0"),
        (Order([], {"x": Line(None, 2)}), "Order.notes[...].name: expected `str`, got `None`"),  # type: ignore[arg-type]
        (Order([], {3: Line("tea", 2)}), "Order.notes (a key): expected `str`, got `int`"),  # type: ignore[dict-item]
        (Order([["tea"]]), "Order.lines[0].price is missing"),  # type: ignore[list-item]
        (Order(7), "Order.lines: expected `array`, got `int`"),  # type: ignore[arg-type]
        (Order([object()]), "Order cannot be encoded: Encoding objects of type object is unsupported"),  # type: ignore[list-item]
        (Order([2**64]), "Order cannot be encoded: can't serialize ints"),  # type: ignore[list-item]
        (Order(["\ud800"]), "Order cannot be encoded: "),  # type: ignore[list-item]
    ],
)
def test_a_wrong_value_is_told_by_type_field_and_reason(wrong: Order, reason: str) -> None:
    pair = Pair(None, orders)

    with pytest.raises(InvalidMessage) as caught:
        pair.ask(wrong)
    assert str(caught.value).startswith(reason)
    assert pair.ask(Order([Line("tea", 2)])) == Receipt(2)


def test_a_message_inside_itself_cannot_be_encoded() -> None:
    lines: list[Any] = []
    lines.append(lines)

    with pytest.raises(InvalidMessage, match=r"^Order cannot be encoded: "):
        Pair(None, orders).ask(Order(lines))
