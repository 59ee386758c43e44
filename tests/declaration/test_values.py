from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest

from tests.routed import Box, Maybe, Note, Ping, Pong, Silent
from tomada import DeclarationError, DuplexRequest, Message, StreamRequest, UploadRequest
from tomada.declaration import Items, items_of, parts_of, replies_of
from tomada.expression import describe
from tomada.validation import explain


class Sum(Message, tag="sum"):
    value: int


class Word(Message, tag="word"):
    text: str


class Watch(StreamRequest[Sum | Word | int]):
    pass


class Store(UploadRequest[bytes, Pong]):
    pass


class Talk(DuplexRequest[Sum, str]):
    pass


@pytest.mark.parametrize(
    ("kind", "reply", "items", "parts"),
    [
        (Note, None, None, None),
        (Ping, "Pong", None, None),
        (Watch, None, f"{__name__}.Sum | {__name__}.Word | int", None),
        (Store, "Pong", None, "bytes"),
        (Talk, None, "str", "Sum"),
    ],
)
def test_what_a_request_is_answered_with_and_followed_by(kind: Any, reply: Any, items: Any, parts: Any) -> None:
    found = replies_of(kind), items_of(kind), parts_of(kind)

    assert tuple(each and each.text for each in found) == (reply, items, parts)


def test_a_request_that_does_not_name_its_reply_has_none() -> None:
    with pytest.raises(DeclarationError, match=r"^Silent does not name its reply: write `class Silent\("):
        replies_of(Silent)


def test_messages_are_told_from_plain_values() -> None:
    items = items_of(Watch)
    assert items is not None
    assert items.plain is not None

    assert list(items.decoders) == [Sum, Word]
    assert items.decoders[Word](b"\x92\xa4word\xa1x") == Word("x")
    assert items.plain(b"\x05") == 5
    assert not items.is_raw
    replies = replies_of(Maybe)
    assert replies is not None
    assert list(replies.decoders) == [Pong]


RAW: list[Any] = [bytes, bytearray, memoryview, Annotated[bytes, msgspec.Meta(max_length=9, title="a chunk")]]
PACKED: list[Any] = [bytes | None, str, list[bytes], int, Any, Pong, Box[int], Pong | bytes, Annotated[str, "x"]]


@pytest.mark.parametrize("kind", [*RAW, *PACKED])
def test_bytes_alone_are_raw_and_so_a_peer_can_tell(kind: Any) -> None:
    told = describe(msgspec.inspect.type_info(kind), lambda structure: str(structure.cls.__name__))

    assert Items(kind, "an item").is_raw is (kind in RAW) is (told == "bytes")


@pytest.mark.parametrize("kind", RAW)
@pytest.mark.parametrize("payload", [b"", b"hello", bytearray(b"hello"), memoryview(b"hello")])
def test_raw_bytes_are_read_as_they_are(kind: Any, payload: Any) -> None:
    read = Items(kind, "an item").plain
    assert read is not None
    value = read(payload)

    assert bytes(value) == bytes(payload)
    assert type(value) is (kind if isinstance(kind, type) else bytes)
    assert read.__self__.type is kind  # type: ignore[attr-defined] # as that of every decoder


def test_what_is_no_raw_value() -> None:
    read = Items(RAW[-1], "an item").plain
    assert read is not None

    for wrong, reason in (("text", "expected `bytes`, got `str`"), (b"1234567890", "expected `bytes` of length <= 9")):
        with pytest.raises(msgspec.ValidationError) as caught:
            read(wrong)  # type: ignore[arg-type] # which is the case
        assert explain(bytes, caught.value) == f"bytes: {reason}"
    with pytest.raises(msgspec.ValidationError, match=r"^Expected `bytes`, got `list`$"):
        Items(bytes, "an item").plain([1])  # type: ignore[misc, arg-type] # which is the case


@pytest.mark.parametrize("what", ["an item", "a part"])
def test_what_cannot_travel(what: str) -> None:
    with pytest.raises(DeclarationError, match=f"^{what} of type .* cannot travel: Type unions may not contain more"):
        Items(list[int] | set[int], what)
