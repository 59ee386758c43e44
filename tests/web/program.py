"""A server for the browser: ``python -m tests.web.program ADDRESS ORIGIN…``; prints its address."""

# ruff: noqa: T201 - it tells its test where it listens

from __future__ import annotations

import asyncio
import datetime as dt
import decimal
import enum
import sys
import uuid
from typing import Literal

import msgspec

import tomada


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Point(msgspec.Struct):
    """A structure that is written as a map."""

    x: int
    y: int = 0


class Circle(msgspec.Struct, tag=True, array_like=True):
    radius: float


class Square(msgspec.Struct, tag=True, array_like=True):
    side: float


class Receipt(tomada.Message):
    number: int
    balance: int


class Transfer(tomada.Request[Receipt]):
    """Move money."""

    source: str
    target: str
    cents: int
    note: str = ""


class InsufficientFunds(tomada.RemoteError):
    balance: int


class Everything(tomada.Message):
    big: int = 1
    ratio: float = 0.5
    data: bytes = b""
    at: dt.datetime = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    day: dt.date = dt.date(2026, 1, 2)
    price: decimal.Decimal = decimal.Decimal("1.50")
    key: uuid.UUID = uuid.UUID(int=7)
    colour: Colour = Colour.RED
    points: list[Point] = []
    shape: Circle | Square | None = None
    counts: dict[int, str] = {}
    names: dict[str, tuple[int, str]] = {}
    word: Literal["it's", "so", 3] = "so"
    flags: set[int] = set()


class Mirror(tomada.Request[Everything]):
    """Gives back what it gets."""

    everything: Everything


class Echo(tomada.Request[bytes]):
    data: bytes


class Hold(tomada.Request[str]):
    """Is answered after so many seconds."""

    seconds: float


class Cancelled(tomada.Request[int]):
    """How many were cancelled."""


class Note(tomada.Message):
    text: str


class Notes(tomada.Request[list[str]]):
    """All that came."""


class Watch(tomada.Request[None]):
    """Send so many ticks."""

    count: int


class Tick(tomada.Message):
    number: int


class Advice(tomada.Message):
    text: str


class Question(tomada.Request[Advice]):
    text: str


class AskMe(tomada.Request[str]):
    """Asks back."""

    text: str
    seconds: float | None = None
    """For how long the server waits for the answer."""


class Load(tomada.Message):
    """Either way."""

    number: int
    data: bytes = b""


class Loads(tomada.Request[list[int]]):
    """The numbers of all loads that were handled, in order; urgent ones come after 1000000."""


class Flood(tomada.Request[int]):
    """Send so many loads; the answer is the count."""

    count: int
    bytes: int


class Flooded(tomada.Request[int]):
    """How many of them have been accepted so far."""


class Hang(tomada.Request[bool]):
    """From now on loads are not handled; or they are again."""

    hangs: bool


app = tomada.App("browser")
loads: list[int] = []
flooded = 0
may_go = asyncio.Event()
may_go.set()
notes: list[str] = []
cancelled = 0


@app.on
async def transfer(request: Transfer) -> Receipt:
    if request.cents > 1_000:
        raise InsufficientFunds(balance=1_000)
    if request.cents < 0:
        raise ValueError("less than nothing")
    return Receipt(1, 1_000 - request.cents)


@app.on
async def mirror(request: Mirror) -> Everything:
    return request.everything


@app.on
async def echo(request: Echo) -> bytes:
    return request.data


@app.on
async def hold(request: Hold) -> str:
    global cancelled  # noqa: PLW0603 - one counter
    try:
        await asyncio.sleep(request.seconds)
    except asyncio.CancelledError:
        cancelled += 1
        raise
    return "held"


@app.on
async def count_cancelled(request: Cancelled) -> int:  # noqa: ARG001 - the annotation is the route
    return cancelled


@app.on
async def note(message: Note) -> None:
    notes.append(message.text)


@app.on
async def all_notes(request: Notes) -> list[str]:  # noqa: ARG001 - the annotation is the route
    return notes


@app.on
async def watch(request: Watch, peer: tomada.Connection) -> None:
    for number in range(request.count):
        await peer.send(Tick(number))


@app.on
async def ask_me(request: AskMe, peer: tomada.Connection) -> str:
    try:
        return (await peer.ask(Question(request.text), timeout=request.seconds)).text
    except tomada.TimedOut:
        return "timed out"
    except tomada.RemoteError as error:
        return f"failed: {error}"
    except tomada.MessageError as error:
        return f"unknown: {error}"


@app.on
async def load(message: Load) -> None:
    await may_go.wait()
    loads.append(message.number)


@app.on
async def all_loads(request: Loads) -> list[int]:  # noqa: ARG001 - the annotation is the route
    return loads


@app.on
async def flood(request: Flood, peer: tomada.Connection) -> int:
    global flooded  # noqa: PLW0603 - one counter
    flooded = 0
    data = bytes(request.bytes)
    for number in range(request.count):
        await peer.send(Load(number, data))
        flooded = number + 1
    return flooded


@app.on
async def how_flooded(request: Flooded) -> int:  # noqa: ARG001 - the annotation is the route
    return flooded


@app.on
async def hang(request: Hang) -> bool:
    if request.hangs:
        may_go.clear()
    else:
        may_go.set()
    return request.hangs


def main(address: str, *origins: str) -> None:
    serving = tomada.serve(app, address, origins=origins)
    serving.run(ready=lambda server: print(server.addresses[0], flush=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
