"""An application that answers in every way, rightly and wrongly."""

from __future__ import annotations

from typing import Any

from tomada import App, Message, RemoteError, Request


class Pong(Message):
    number: int
    text: str = ""


class Ping(Request[Pong]):
    number: int
    how: str = ""


class Either(Request[Pong | int | None]):
    number: int


class Many(Request[list[Pong]]):
    number: int


class Nothing(Request[None]):
    number: int


class Note(Message):
    text: str


class Loose(Message):
    text: str


class Insufficient(RemoteError):
    balance: int
    note: str = "none"


class Unwritable(RemoteError):
    what: Any


class WrongText(Exception):
    def __str__(self) -> str:
        raise RuntimeError


class Tree(Message):
    children: list[Tree] = []


def fails(how: str) -> Pong:
    match how:
        case "error":
            raise LookupError("no such account")
        case "typed":
            raise Insufficient(5)
        case "by name":
            raise RemoteError("Own", "word")
        case "typed wrongly":
            raise Insufficient("much")  # type: ignore[arg-type]
        case "unwritable":
            raise Unwritable(object())
        case "no text":
            raise WrongText
        case "wrong reply":
            return Pong("x")  # type: ignore[arg-type]
        case "other reply":
            return Note("x")  # type: ignore[return-value]
        case "unwritable reply":
            return Pong(1, object())  # type: ignore[arg-type]
        case _:
            return Pong(1)


app = App("tests")
notes: list[str] = []


@app.on
def ping(request: Ping) -> Pong:
    return fails(request.how) if request.how else Pong(request.number, "pong")


@app.on
def either(request: Either) -> Pong | int | None:
    if request.number < 0:
        return "x"  # type: ignore[return-value] # which is the case
    return [None, 5, Pong(3)][request.number % 3]


@app.on
def many(request: Many) -> list[Pong]:
    return [Pong(number) for number in range(request.number % 5)]


@app.on
def nothing(_: Nothing) -> None:
    return None


@app.on
def note(message: Note) -> None:
    notes.append(message.text)
