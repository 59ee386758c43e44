from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, TypedDict

import msgspec
import pytest

from tomada import Message
from tomada.validation import explain


class Line(Message):
    a: int
    b: str = "x"


class Left(Message, tag=True):
    a: int
    b: str


class Right(Message, tag=True):
    c: int


class Keyed(msgspec.Struct, rename="camel"):
    street_name: str
    number: int | None = None


@dataclass
class Data:
    q: int


class Map(TypedDict):
    k: int


class Pair(NamedTuple):
    p: int
    q: int = 1


class Color(enum.Enum):
    RED = "r"


class Tree(Message):
    children: list[Tree]


class Odd(Message):
    number: int

    def __post_init__(self) -> None:
        if self.number % 2 == 0:
            raise ValueError(f"{self.number} is even")


class All(Message):
    line: Line = msgspec.field(default_factory=lambda: Line(1))
    left: Left | None = None
    either: Left | Right | None = None
    keyed: Keyed | None = None
    data: Data | None = None
    map: Map | None = None
    pair: Pair | None = None
    pairs: tuple[int, Line] | None = None
    lines: tuple[Line, ...] = ()
    keys: dict[Annotated[str, msgspec.Meta(max_length=2)], Line] = {}
    color: Color | None = None
    positive: Annotated[int, msgspec.Meta(gt=0, title="positive")] = 1
    tree: Tree | None = None
    odd: Odd | None = None


def told(kind: Any, value: object) -> str:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is
        msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=kind)
    return explain(kind, caught.value)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("line", ["x"], "All.line.a: expected `int`, got `str`"),
        ("line", [], "All.line.a is missing"),
        ("line", 5, "All.line: expected `array`, got `int`"),
        ("left", ["Left"], "All.left.a is missing"),
        ("left", ["Left", 1], "All.left.b is missing"),
        ("left", ["Left", "1", "b"], "All.left.a: expected `int`, got `str`"),
        ("left", ["Middle", 1, "b"], "All.left[0]: invalid value 'Middle'"),
        ("left", [], "All.left: expected `array` of at least length 3, got 0"),
        ("either", ["Right", "1"], "All.either[1]: expected `int`, got `str`"),
        ("keyed", {"streetName": 1}, "All.keyed.streetName: expected `str`, got `int`"),
        ("keyed", {}, "All.keyed.streetName is missing"),
        ("data", {"q": "1"}, "All.data.q: expected `int`, got `str`"),
        ("map", {"k": "1"}, "All.map.k: expected `int`, got `str`"),
        ("map", {}, "All.map.k is missing"),
        ("pair", [], "All.pair.p is missing"),
        ("pair", [1, "2"], "All.pair.q: expected `int`, got `str`"),
        ("pair", [1, 2, 3], "All.pair: expected `array` of length 1 to 2, got 3"),
        ("pairs", [1], "All.pairs: expected `array` of length 2, got 1"),
        ("pairs", [1, [1, 2]], "All.pairs[1].b: expected `str`, got `int`"),
        ("lines", [[1], ["1"]], "All.lines[1].a: expected `int`, got `str`"),
        ("keys", {"ab": []}, "All.keys[...].a is missing"),
        ("keys", {"abc": [1]}, "All.keys (a key): expected `str` of length <= 2"),
        ("color", "x", "All.color: invalid enum value 'x'"),
        ("positive", 0, "All.positive: expected `int` >= 1"),
        ("tree", [[[[[5]]]]], "All.tree.children[0].children[0].children: expected `array`, got `int`"),
        ("odd", [2], "All.odd: 2 is even"),
    ],
)
def test_a_wrong_field(field: str, value: object, reason: str) -> None:
    values: list[object] = list(msgspec.structs.astuple(All()))
    values[All.__struct_fields__.index(field)] = value

    assert told(All, values) == reason


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        (Line, [], "Line.a is missing"),
        (Line, {}, "Line: expected `array`, got `object`"),
        (Odd, [2], "Odd: 2 is even"),
        (int, "x", "int: expected `int`, got `str`"),
        (list[Line], [[1], []], "list[tests.test_validation.Line][1].a is missing"),
        (int | None, "x", "int | None: expected `int | null`, got `str`"),
        (tuple[int, int], [1], "tuple[int, int]: expected `array` of length 2, got 1"),
        (Pair, [], "Pair.p is missing"),
    ],
)
def test_a_wrong_value(kind: Any, value: object, reason: str) -> None:
    assert told(kind, value) == reason


def test_nesting_too_deep_is_told() -> None:
    depth = 100_000
    payload = b"\x91" * depth + b"\x90"

    with pytest.raises(RecursionError) as caught:
        msgspec.msgpack.decode(payload, type=Tree)
    assert explain(Tree, caught.value).startswith("Tree: ")


def test_a_type_that_cannot_be_read_is_still_named() -> None:
    class Local(Message):
        field: NoSuchType  # type: ignore[name-defined] # noqa: F821 - which is the case

    assert explain(Local, ValueError("Wrong - at `$[0].x[1]`")) == "Local[0].x[1]: wrong"


@pytest.mark.parametrize("path", ["[99]", "[0][7]", "[7][9]", ".x.y", "[...]", "[0", "", "[-1]", "[٣]", "]["])
def test_no_path_raises_anything(path: str) -> None:
    assert explain(All, ValueError(f"Wrong - at `$${path}`".replace("$$", "$"))).startswith("All")


def test_a_long_text_is_cut() -> None:
    assert len(explain(Line, ValueError("x" * 100_000))) < 1_100
