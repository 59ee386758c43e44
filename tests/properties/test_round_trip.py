"""Messages with fields of every type that msgspec supports, through two messengers and two engines."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import uuid
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypedDict, TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ends import Pair
from tomada import App, InvalidMessage, Message, Request

T = TypeVar("T")


class Color(enum.Enum):
    RED = "r"
    BLUE = "b"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Line(Message):
    name: str
    price: int = 0


class Plain(msgspec.Struct, rename="camel"):
    street_name: str
    house_number: int | None = None


@dataclass
class Data:
    number: int
    text: str = "x"


class Map(TypedDict):
    key: int


class Point(NamedTuple):
    x: float
    y: float = 0.0


class Left(Message, tag=True):
    x: int


class Right(Message, tag=True):
    y: str


class Tree(Message):
    value: int
    children: list[Tree] = []
    parent: Tree | None = None


class Box(Message, Generic[T]):
    content: T


class Every(Request["Every"]):
    integer: int
    floating: float
    truth: bool
    nothing: None
    text: str
    payload: bytes
    array: bytearray
    aware: Annotated[dt.datetime, msgspec.Meta(tz=True)]
    naive: Annotated[dt.datetime, msgspec.Meta(tz=False)]
    day: dt.date
    time: dt.time
    span: dt.timedelta
    key: uuid.UUID
    amount: decimal.Decimal
    color: Color
    level: Level
    literal: Literal["a", "b"] | Literal[3]  # noqa: PYI030 - as users write it
    line: Line
    plain: Plain
    data: Data
    map: Map
    point: Point
    lines: list[Line]
    couple: tuple[int, str]
    many: tuple[int, ...]
    few: set[int]
    frozen: frozenset[str]
    table: dict[str, list[Line]]
    by_number: dict[int, Color]
    by_key: dict[uuid.UUID, int]
    union: int | str | list[int] | None
    tagged: Left | Right
    tree: Tree
    box: Box[int]
    boxes: list[Box[Line]]
    positive: Annotated[int, msgspec.Meta(gt=0)]
    short: Annotated[str, msgspec.Meta(max_length=3)] = "x"
    anything: Any = None
    defaulted: list[int] = []


def answer(request: Every) -> Every:
    return request


app = App()
app.on(answer)
PAIR = Pair(None, app)

integers = st.integers(-(2**63), 2**64 - 1)
floats = st.floats(allow_nan=False)
zones = st.sampled_from([dt.UTC, dt.timezone(dt.timedelta(hours=-3)), dt.timezone(dt.timedelta(hours=5, minutes=30))])
texts = st.text(st.characters(exclude_categories=["Cs"]))
lines = st.builds(Line, texts, integers)
trees = st.recursive(
    st.builds(Tree, integers),
    lambda inner: st.builds(Tree, integers, st.lists(inner, max_size=3), st.none() | inner),
    max_leaves=8,
)
EVERY: dict[str, st.SearchStrategy[Any]] = {
    "integer": integers,
    "floating": floats,
    "truth": st.booleans(),
    "nothing": st.none(),
    "text": texts,
    "payload": st.binary(),
    "array": st.binary().map(bytearray),
    "aware": st.datetimes(dt.datetime(1900, 1, 2), dt.datetime(2200, 1, 1), timezones=zones),  # noqa: DTZ001 - bounds
    "naive": st.datetimes(),
    "day": st.dates(),
    "time": st.times(),
    "span": st.timedeltas(dt.timedelta(days=-10_000), dt.timedelta(days=10_000)),
    "key": st.uuids(),
    "amount": st.decimals(allow_nan=False),
    "color": st.sampled_from(Color),
    "level": st.sampled_from(Level),
    "literal": st.sampled_from(["a", "b", 3]),
    "line": lines,
    "plain": st.builds(Plain, texts, st.none() | integers),
    "data": st.builds(Data, integers, texts),
    "map": st.fixed_dictionaries({"key": integers}),
    "point": st.builds(Point, floats, floats),
    "lines": st.lists(lines, max_size=3),
    "couple": st.tuples(integers, texts),
    "many": st.lists(integers, max_size=3).map(tuple),
    "few": st.sets(integers, max_size=3),
    "frozen": st.frozensets(texts, max_size=3),
    "table": st.dictionaries(texts, st.lists(lines, max_size=2), max_size=2),
    "by_number": st.dictionaries(integers, st.sampled_from(Color), max_size=2),
    "by_key": st.dictionaries(st.uuids(), integers, max_size=2),
    "union": integers | texts | st.lists(integers, max_size=2) | st.none(),
    "tagged": st.builds(Left, integers) | st.builds(Right, texts),
    "tree": trees,
    "box": st.builds(Box, integers),
    "boxes": st.lists(st.builds(Box, lines), max_size=2),
    "positive": st.integers(1, 2**63),
    "short": st.text(max_size=3),
    "anything": st.none() | integers | texts | st.lists(integers, max_size=2),
    "defaulted": st.lists(integers, max_size=2),
}


@given(st.fixed_dictionaries(EVERY))
def test_every_type_there_and_back(values: dict[str, Any]) -> None:
    message = Every(**values)
    other = PAIR.ask(message)

    assert other == message
    assert other.aware.tzinfo is dt.UTC  # the instant travels, not the zone
    assert [type(value) for value in msgspec.structs.astuple(other)] == [
        type(value) for value in msgspec.structs.astuple(message)
    ]


def test_the_strategies_know_every_field() -> None:
    assert tuple(EVERY) == Every.__struct_fields__


VALID: dict[str, Any] = {
    "integer": 1,
    "floating": 1.0,
    "truth": True,
    "nothing": None,
    "text": "",
    "payload": b"",
    "array": bytearray(),
    "aware": dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
    "naive": dt.datetime(2020, 1, 1),  # noqa: DTZ001 - which it is
    "day": dt.date(2020, 1, 1),
    "time": dt.time(1),
    "span": dt.timedelta(1),
    "key": uuid.UUID(int=1),
    "amount": decimal.Decimal(1),
    "color": Color.RED,
    "level": Level.LOW,
    "literal": "a",
    "line": Line(""),
    "plain": Plain(""),
    "data": Data(1),
    "map": {"key": 1},
    "point": Point(1.0),
    "lines": [],
    "couple": (1, ""),
    "many": (),
    "few": set(),
    "frozen": frozenset(),
    "table": {},
    "by_number": {},
    "by_key": {},
    "union": 1,
    "tagged": Left(1),
    "tree": Tree(1),
    "box": Box(1),
    "boxes": [],
    "positive": 1,
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("integer", 2**64),
        ("integer", -(2**63) - 1),
        ("integer", 1.5),
        ("integer", object()),
        ("integer", {object(): 1}),
        ("floating", "x"),
        ("floating", float("nan") * 1j),
        ("text", "\ud800"),
        ("text", b"x"),
        ("payload", 5),
        ("aware", dt.datetime(2020, 1, 1)),  # noqa: DTZ001 - which is the case
        ("naive", dt.datetime.now(dt.UTC)),
        ("time", 5),
        ("key", "no"),
        ("amount", "x"),
        ("color", "green"),
        ("level", 3),
        ("literal", "c"),
        ("line", [5]),
        ("couple", (1,)),
        ("few", [[1]]),
        ("table", {5: []}),
        ("table", {(1, 2): 3}),
        ("tagged", Line("x")),
        ("tree", []),
        ("positive", 0),
        ("short", "long"),
        ("anything", lambda: None),
    ],
)
def test_what_cannot_be_sent_is_told_by_name(name: str, value: Any) -> None:
    with pytest.raises(InvalidMessage, match=rf"^Every(\.{name}| cannot be encoded)"):
        PAIR.ask(Every(**VALID | {name: value}))
    assert PAIR.ask(Every(**VALID)) == Every(**VALID)


def test_a_tree_that_is_too_deep() -> None:
    deep = Tree(0)
    for number in range(20_000):
        deep = Tree(number, [deep])

    with pytest.raises(InvalidMessage, match=r"^Every"):
        PAIR.ask(Every(**VALID | {"tree": deep}))
    while deep.children:  # else the end of the test recurses as deep
        deep = deep.children.pop()
