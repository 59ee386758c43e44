"""Message types of every shape that a handler may meet, and what handlers are given, for the tests of routing."""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar

from tomada import Message, Request

T = TypeVar("T")


class Pong(Message):
    number: int


class Ping(Request[Pong]):
    number: int


class Maybe(Request[Pong | int | None]):
    number: int


class Nothing(Request[None]):
    pass


class Free(Request[Any]):
    pass


class Note(Message):
    text: str


class Box(Message, Generic[T]):
    content: T


class Silent(Request):  # type: ignore[type-arg] # which is the case
    pass


class Untagged(Message):
    number: int


class Unanswerable(Request[list[Pong | Untagged]]):
    pass


class Ledger:
    balance = 5


class Savings(Ledger):
    pass


class Shape(Protocol):
    sides: int
