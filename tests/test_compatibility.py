from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tomada.compatibility import mismatch
from tomada.protocol import Field, TypeEntry, TypeKind


def entry(name: str = "Line", /, **fields: Any) -> TypeEntry:
    """An entry whose fields are given as their types, or as types and defaults."""
    pairs = {key: text if isinstance(text, tuple) else (text,) for key, text in fields.items()}
    return TypeEntry(name, TypeKind.MESSAGE, tuple(Field(key, *texts) for key, texts in pairs.items()))


def changed(**changes: Any) -> TypeEntry:
    return msgspec.structs.replace(entry(name="str", price="int"), digest=b"other", **changes)


@pytest.mark.parametrize(
    ("there", "reason"),
    [
        (changed(), None),
        (changed(fields=(Field("name", "str"), Field("price", "int"), Field("more", "int"))), None),
        (changed(fields=(Field("name", "str"),)), "Line.price is required here and missing at the peer: give an app"),
        (changed(fields=(Field("name", "str"), Field("price", "str"))), "Line.price is int here and str at the peer"),
        (changed(fields=(Field("text", "str"), Field("price", "int"))), "Line.name here stands where the peer has Lin"),
        (changed(tag="line"), "Line is a message here and a message tagged 'line' at the peer"),
        (changed(keyed=True), "Line is a message here and a message written as a map at the peer"),
        (changed(kind=TypeKind.ERROR), "Line is a message here and a error at the peer"),
        (changed(reply="int"), "Line is answered by None here and by int at the peer"),
        (changed(items="int"), "Line is answered by None here and by a stream of int at the peer"),
        (changed(parts="int"), "Line is followed by nothing here and by a stream of int at the peer"),
    ],
)
def test_mismatch(there: TypeEntry, reason: str | None) -> None:
    found = mismatch("Line", {"Line": entry(name="str", price="int")}, {"Line": there})

    assert found == reason if reason is None else found is not None and found.startswith(reason)


def test_a_default_makes_a_missing_field_good() -> None:
    here = entry(name="str", price=("int", "0"))

    assert mismatch("Line", {"Line": here}, {"Line": changed(fields=(Field("name", "str"),))}) is None


def test_the_fields_of_a_map_are_compared_by_name() -> None:
    here = msgspec.structs.replace(entry(name="str", price="int"), keyed=True)
    there = changed(keyed=True, fields=(Field("price", "int"), Field("name", "str")))

    assert mismatch("Line", {"Line": here}, {"Line": there}) is None


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"RED": "1", "BLUE": "2", "GREEN": "3"}, None),
        ({"RED": "1"}, None),
        ({"RED": "2", "BLUE": "1"}, "Color.RED is 1 here and 2 at the peer"),
    ],
)
def test_members_of_an_enum(members: dict[str, str], reason: str | None) -> None:
    def color(values: dict[str, str], digest: bytes) -> dict[str, TypeEntry]:
        fields = tuple(Field(name, "Any", value) for name, value in values.items())
        return {"Color": TypeEntry("Color", TypeKind.ENUM, fields, digest=digest)}

    assert mismatch("Color", color({"RED": "1", "BLUE": "2"}, b"a"), color(members, b"b")) == reason


def test_a_mismatch_inside_is_found_and_a_string_is_no_type() -> None:
    def known(price: str, digest: bytes) -> dict[str, TypeEntry]:
        line = msgspec.structs.replace(entry(price=price), digest=digest)
        order = msgspec.structs.replace(entry("Order", lines="list[Line]"), digest=digest)
        word = msgspec.structs.replace(entry("Word", text="Literal['Line']"), digest=digest)
        return {"Line": line, "Order": order, "Word": word}

    mine, theirs = known("int", b"mine"), known("str", b"theirs")

    assert mismatch("Order", mine, theirs) == "Line.price is int here and str at the peer"
    assert mismatch("Word", mine, theirs) is None
    del theirs["Line"]
    assert mismatch("Order", mine, theirs) is None


def test_streams_are_compared_and_what_is_in_them() -> None:
    def known(price: str, digest: bytes, **streams: str) -> dict[str, TypeEntry]:
        line = msgspec.structs.replace(entry(price=price), digest=digest)
        watch = msgspec.structs.replace(entry("Watch"), kind=TypeKind.REQUEST, digest=digest, **streams)
        return {"Line": line, "Watch": watch}

    def between(mine: dict[str, str], theirs: dict[str, str], price: str = "int") -> str | None:
        return mismatch("Watch", known("int", b"mine", **mine), known(price, b"theirs", **theirs))

    assert between({"items": "Line", "parts": "bytes"}, {"items": "Line", "parts": "bytes"}) is None
    assert between({"items": "Line"}, {"items": "Line"}, "str") == "Line.price is int here and str at the peer"
    assert between({"parts": "Line"}, {"parts": "Line"}, "str") == "Line.price is int here and str at the peer"
    assert between({"items": "Line"}, {"items": "int"}) == (
        "Watch is answered by a stream of Line here and by a stream of int at the peer"
    )
    assert between({"items": "Line"}, {"reply": "Line"}) == (
        "Watch is answered by a stream of Line here and by Line at the peer"
    )
    assert between({"parts": "Line"}, {}) == "Watch is followed by a stream of Line here and by nothing at the peer"
