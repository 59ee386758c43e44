"""An application with a field of every kind, for the tests of the command line."""

import asyncio
import enum
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Literal
from uuid import UUID

import tomada


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Line(tomada.Message):
    article: str
    count: int = 1


class Order(tomada.Message):
    number: int
    lines: list[Line] = []


class Everything(tomada.Request[dict[str, str]]):
    """Says what it was given."""

    number: int = 0
    ratio: float = 0.0
    flag: bool = False
    text: str = "x"
    blob: bytes = b""
    day: date = date(2026, 1, 1)
    moment: datetime | None = None
    span: timedelta = timedelta(0)
    uid: UUID | None = None
    price: Decimal = Decimal(1)
    colour: Colour = Colour.RED
    size: Literal["s", "m"] = "s"
    lines: list[Line] = []
    stock: dict[str, Line] = {}
    best: Line | None = None


class PlaceOrder(tomada.Request[Order]):
    lines: list[Line]


class Which(tomada.Request[str]):
    """Its key."""


class Nothing(tomada.Request[None]):
    pass


class Sleep(tomada.Request[None]):
    seconds: float


class Watch(tomada.StreamRequest[Line]):
    article: str


class Deliver(tomada.UploadRequest[bytes, Order]):
    pass


class Talk(tomada.DuplexRequest[Line, str]):
    pass


class Note(tomada.Message):
    text: str


class SoldOut(tomada.RemoteError):
    article: str


app = tomada.App("shop")


@app.on
async def everything(request: Everything) -> dict[str, str]:
    return {name: repr(getattr(request, name)) for name in request.__struct_fields__}


@app.on
async def place(request: PlaceOrder) -> Order:
    for line in request.lines:
        if line.count > 9:
            raise SoldOut(line.article)
    return Order(7, request.lines)


@app.on
async def nothing(request: Nothing) -> None:
    pass


@app.on
async def sleep(request: Sleep) -> None:
    await asyncio.sleep(request.seconds)


@app.on
async def note(message: Note) -> None:
    assert message.text
    if message.text == "slow":
        await asyncio.sleep(2)


@app.on
async def watch(request: Watch) -> AsyncIterator[Line]:
    yield Line(request.article)
    if request.article == "slow":
        await asyncio.sleep(60)
    yield Line(request.article, count=2)


@app.on
async def deliver(_: Deliver, parts: AsyncIterator[bytes]) -> Order:
    return Order(len([part async for part in parts]))


@app.on
async def talk(_: Talk, parts: AsyncIterator[Line]) -> AsyncIterator[str]:
    async for line in parts:
        yield line.article


@app.on
async def which(request: Which) -> str:
    return str(request.key)
