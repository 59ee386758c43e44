"""What the programs of the simulation say to each other."""

from __future__ import annotations

import tomada
from tomada.errors import RemoteError


class Note(tomada.Message):
    flow: str
    number: int
    pause: float
    pad: bytes


class Tick(tomada.Message):
    """As `Note`, and nobody has a handler for it: it comes out of `receive`."""

    flow: str
    number: int
    pad: bytes


class Done(tomada.Message):
    key: str
    pad: bytes


class Work(tomada.Request[Done]):
    key: str
    pause: float
    fails: bool
    size: int
    pad: bytes


class Subscribe(tomada.Request[bool]):
    """The server is to send so many notes and ticks, and to ask now and then, each after a pause of about so long."""

    name: str
    count: int
    pause: float


class Item(tomada.Message):
    key: str
    number: int
    maker: str
    """The process that made it."""
    pad: bytes


class Watch(tomada.StreamRequest[Item]):
    """So many items, each so long and after such a pause; then an error, perhaps."""

    key: str
    count: int
    size: int
    pause: float
    fails: bool


class Part(tomada.Message):
    key: str
    number: int
    pad: bytes


class Collected(tomada.Message):
    key: str
    count: int


class Collect(tomada.UploadRequest[Part, Collected]):
    """The handler takes all parts, or as many as are enough."""

    key: str
    enough: int
    pause: float


class Mirror(tomada.DuplexRequest[Part, Item]):
    """For each part an item."""

    key: str
    pause: float


class Failed(RemoteError):
    key: str
