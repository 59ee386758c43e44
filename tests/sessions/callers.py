"""Those who call a server and want to go on with a session: honestly, or with what they guessed or stole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

import tomada
from tomada import transports
from tomada.address import Address
from tomada.catalogue import Catalogue
from tomada.protocol import HEADER_BYTES, Engine, Event, Goodbye, Hello, Kind, Role, Session, State, Welcome, encode
from tomada.protocol.frames import CONTROL, HEADER
from tomada.protocol.handshake import SESSION, Positions, Resume, decode_goodbye, decode_welcome


class Echo(tomada.Request[str]):
    text: str


class Note(tomada.Message):
    text: str


CATALOGUE: Final = Catalogue((Echo, Note))
GREETING: Final = Hello(software="caller", catalogue=tuple(CATALOGUE.entries), features=(SESSION,))


class House:
    """An application, and the notes that it got."""

    def __init__(self) -> None:
        self.app = tomada.App("house")
        self.notes: list[str] = []

        @self.app.on
        async def echo(request: Echo) -> str:
            return request.text

        @self.app.on
        async def note(message: Note) -> None:
            self.notes.append(message.text)


async def _connect(address: str) -> tuple[asyncio.StreamReader, asyncio.Transport]:
    reader = asyncio.StreamReader()
    place = Address.parse(address)
    transport, _ = await transports.connect(place, lambda: asyncio.StreamReaderProtocol(reader), timeout=5)
    return reader, transport


class Caller:
    """A client whose every byte a test sees.

    Args:
        address: Of the server.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.engine = Engine(Role.CONNECTING, GREETING, 0.0)
        self.told: list[Event] = []

    async def connect(self) -> Caller:
        """Connect, and begin a session or go on with it."""
        if self.engine.state is State.LOST:
            self.engine.hello(0.0)
        self.reader, self.transport = await _connect(self.address)
        self.flush()
        await self.until(lambda: self.engine.state is not State.GREETED and self.engine.state is not State.RESUMING)
        return self

    def flush(self) -> None:
        """Say what there is to say."""
        while self.engine.unsent:
            self.transport.write(bytes(self.engine.take()))

    async def until(self, condition: Callable[[], object]) -> None:
        """Listen until it holds."""
        while not condition():
            data = await self.reader.read(65_536)
            assert data, "the server has hung up"
            self.told += self.engine.receive(data, 0.0)
            self.flush()

    def send(self, text: str) -> None:
        """A note to the server."""
        self.engine.send(CATALOGUE.numbers[Note], encode_message(text))
        self.flush()

    def lose(self) -> None:
        """Cut the connection, and know it."""
        self.transport.abort()
        self.engine.lose("cut")

    @property
    def session(self) -> Session:
        assert self.engine.session is not None
        return self.engine.session

    def resume(self, **changes: Any) -> Resume:
        """What it would ask for now, but for the changes."""
        fields: dict[str, Any] = {
            "id": self.session.id,
            "token": self.session.token,
            "epoch": self.engine.epoch,
            "generation": self.engine.generation + 1,
            "positions": self.engine.positions(),
        }
        return Resume(**{**fields, **changes})


def encode_message(text: str) -> bytes:
    """The payload of a note, or an echo."""
    return msgspec.msgpack.encode([text])


async def answer_to(address: str, resume: Resume, behind: bytes = b"") -> Welcome | Goodbye:
    """What a server answers to a new connection that wants to go on with a session, and has more to say at once."""
    reader, transport = await _connect(address)
    payload = encode(Hello(features=(SESSION,), session=resume))
    transport.write(HEADER.pack(len(payload), Kind.HELLO, CONTROL, 0, 0, 0) + payload + behind)
    try:
        length, kind, *_ = HEADER.unpack(await reader.readexactly(HEADER_BYTES))
        said = await reader.readexactly(length)
    finally:
        transport.abort()
        await asyncio.sleep(0)
    return decode_welcome(said) if kind == Kind.WELCOME else decode_goodbye(said)


@asynccontextmanager
async def bystander(address: str) -> AsyncIterator[tomada.Connection]:
    """A client that notices nothing of what others do: its connection stays the same."""
    async with tomada.connect(address) as connection:
        assert await connection.ask(Echo("before")) == "before"
        yield connection
        assert await connection.ask(Echo("after")) == "after"
        assert connection.statistics().resumed == 0
        assert connection.is_open


NOWHERE: Final = Positions(0, *[Engine(Role.CONNECTING, GREETING, 0.0).positions().normal for _ in range(2)])
"""Of who has got nothing and sent nothing."""
