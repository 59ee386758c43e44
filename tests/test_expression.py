from __future__ import annotations

import collections.abc
import datetime as dt
import decimal
import uuid
import warnings
from contextlib import suppress
from typing import Any, Literal, NamedTuple, TypedDict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import inspect as info

from tomada.errors import TypeMismatch
from tomada.expression import build, describe, words


class Line(msgspec.Struct):
    price: int


class Map(TypedDict):
    k: int


class Point(NamedTuple):
    x: int


NAMED: dict[str, Any] = {"Line": Line, "Map": Map, "Point": Point}
SAME = [
    ("Any", Any),
    ("None", None),
    ("bool", bool),
    ("int", int),
    ("float", float),
    ("str", str),
    ("bytes", bytes),
    ("datetime", dt.datetime),
    ("date", dt.date),
    ("time", dt.time),
    ("timedelta", dt.timedelta),
    ("UUID", uuid.UUID),
    ("Decimal", decimal.Decimal),
    ("Ext", msgspec.msgpack.Ext),
    ("list[int]", list[int]),
    ("set[str]", set[str]),
    ("frozenset[str]", frozenset[str]),
    ("tuple[int, ...]", tuple[int, ...]),
    ("tuple[int, str]", tuple[int, str]),
    ("tuple[int]", tuple[int]),
    ("tuple[()]", tuple[()]),
    ("dict[str, list[Line]]", dict[str, list[Line]]),
    ("Line | None", Line | None),
    ("list[Line | int] | str | None", list[Line | int] | str | None),
    ("tuple[Point, Map]", tuple[Point, Map]),
    ("Literal[None, 3, 'a']", Literal["a", 3, None]),  # noqa: PYI061 - as msgspec understands it
    ("Literal[True]", Literal[True]),
    ("Literal['[', 'it\\'s | \"Line\"']", Literal['it\'s | "Line"', "["]),
]


def text_of(kind: Any) -> str:
    return describe(info.type_info(kind), lambda structure: str(structure.cls.__name__))


@pytest.mark.parametrize(("text", "kind"), SAME)
def test_there_and_back(text: str, kind: Any) -> None:
    assert text_of(kind) == text
    assert build(text, NAMED) == kind
    assert text_of(build(text, NAMED)) == text


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (bytearray, "bytes"),
        (memoryview, "bytes"),
        (msgspec.Raw, "Any"),
        (list, "list[Any]"),
        (tuple, "tuple[Any, ...]"),
        (dict, "dict[Any, Any]"),
        (collections.abc.Sequence[int], "list[int]"),
        (collections.abc.Mapping[str, int], "dict[str, int]"),
        (int | None, "int | None"),
        (None | int, "int | None"),
        (str | int | None, "int | str | None"),
        (int | None | str, "int | str | None"),
    ],
)
def test_different_types_with_the_same_text(kind: Any, text: str) -> None:
    assert text_of(kind) == text


def test_a_custom_class_cannot_travel() -> None:
    class Custom:
        pass

    with pytest.raises(TypeMismatch, match=r"Custom'> cannot travel: it is no type that msgspec supports$"):
        text_of(list[Custom])


def test_an_unknown_name_is_anything() -> None:
    assert build("list[Unknown]", {}) == list[Any]


def test_a_name_of_the_peer_comes_first() -> None:
    assert build("Line", NAMED) is Line


def test_words() -> None:
    assert list(words("dict[str, Line] | Literal['Point', \"it's Map\"] | Öl")) == [
        "dict",
        "str",
        "Line",
        "Literal",
        "Öl",
    ]


HOSTILE = [
    "",
    " ",
    "\0",
    "(" * 500,
    "[" * 500,
    "{" * 400,
    "a[" * 900,
    "list[" * 40 + "int" + "]" * 40,
    "list[int" * 200,
    "-" * 1_990 + "1",
    "~" * 1_990 + "a",
    "a if b else " * 150 + "c",
    "'" * 31,
    "f'{x}'",
    "lambda: 0",
    "(a := 3)",
    "a.b",
    "a()",
    "__import__('os').system('true')",
    "int + str",
    "int + str | None",
    "1if 2else 3",
    "0x1for x in y",
    "'\\d'",
    "Literal['\\d', f'']",
    "Literal[f'{1}']",
    "Literal[a]",
    "Literal[*a]",
    "list[*a]",
    "list[1:2]",
    "await x",
    "yield",
    "[a for a in b]",
    "Literal[" + "9" * 5_000 + "]",
    "list[int][int]",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_refused(text: str) -> None:
    with pytest.raises(TypeMismatch):
        build(text, {})


def test_a_long_union_is_no_deep_one() -> None:
    assert build("|".join(["list[int]"] * 220), {}) == list[int]


def test_a_parser_s_advice_on_somebody_else_s_text_is_not_shown() -> None:
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        build("Literal['\\d']", {})

    assert not shown


TOKENS = st.sampled_from(
    [
        "tuple",
        "dict",
        "Literal",
        "int",
        "None",
        "Line",
        "[",
        "]",
        "(",
        ")",
        ",",
        " | ",
        "...",
        "'",
        "\\",
        "1",
        "-",
        "{",
        "*",
    ]
)


@given(st.lists(TOKENS, max_size=40).map("".join) | st.text(max_size=200))
def test_no_text_raises_anything_else(text: str) -> None:
    with suppress(TypeMismatch):
        build(text, NAMED)


EXPRESSIONS = st.recursive(
    st.sampled_from(["int", "str", "None", "Line", "Any", "UUID", "Literal[3, 'a']"]),
    lambda inner: (
        inner.map("list[{}]".format)
        | inner.map("set[{}]".format)
        | inner.map("tuple[{}, ...]".format)
        | st.lists(inner, min_size=1, max_size=3).map(", ".join).map("tuple[{}]".format)
        | st.tuples(inner, inner).map(lambda pair: f"dict[{pair[0]}, {pair[1]}]")
    ),
    max_leaves=10,
)


@given(EXPRESSIONS)
def test_every_expression_there_and_back(text: str) -> None:
    assert text_of(build(text, NAMED)) == text
