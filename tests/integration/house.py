"""An application to attack, what it notes, and those who attack it or must not notice."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from typing import Any

import msgspec

import tomada
from tomada.catalogue import Catalogue
from tomada.protocol import Hello, Kind, encode
from tomada.protocol.frames import CONTROL, HEADER, NORMAL

HERE = "tcp://127.0.0.1:0"
mood: ContextVar[str] = ContextVar("mood", default="none")


class Echo(tomada.Request[bytes]):
    data: bytes


class Hold(tomada.Request[str]):
    """Answered when the stage opens `name`."""

    name: str


class Sit(tomada.Request[str]):
    """As `Hold`, in a thread."""

    name: str


class Fail(tomada.Request[int]):
    how: str


class Back(tomada.Request[int]):
    """The one asked asks the other end for one less, down to nothing."""

    depth: int


class Make(tomada.Request[bytes]):
    size: int


class Note(tomada.Message):
    text: str


class Push(tomada.Request[int]):
    """The server sends `count` notes, then answers."""

    count: int


class Broke(tomada.RemoteError):
    cents: int


CATALOGUE = Catalogue((Echo, Hold, Sit, Fail, Back, Make, Note, Push))


class Stage:
    """What has happened, in order, and what is allowed to happen."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.now = 0
        self.most = 0
        self._loop = asyncio.get_running_loop()
        self._gates: dict[str, asyncio.Event] = {}
        self.thread_gates: dict[str, threading.Event] = {}
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    def mark(self, event: str) -> None:
        self.events.append(event)
        for condition, waiter in self._waiters:
            if condition() and not waiter.done():
                waiter.set_result(None)

    def mark_from_thread(self, event: str) -> None:
        self._loop.call_soon_threadsafe(self.mark, event)

    async def until(self, *events: str) -> None:
        await self.until_true(lambda: set(events) <= set(self.events))

    async def until_true(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition that marked events bring about."""
        if not condition():
            waiter = self._loop.create_future()
            self._waiters.append((condition, waiter))
            await waiter

    def count(self, start: str) -> int:
        return sum(event.startswith(start) for event in self.events)

    def gate(self, name: str) -> asyncio.Event:
        return self._gates.setdefault(name, asyncio.Event())

    def thread_gate(self, name: str) -> threading.Event:
        return self.thread_gates.setdefault(name, threading.Event())

    def open(self, *names: str) -> None:
        for name in names:
            self.gate(name).set()
            self.thread_gate(name).set()


def fail(how: str) -> Any:
    if how == "typed":
        raise Broke(12)
    if how == "remote":
        raise tomada.RemoteError("Sour", "lemon")
    if how == "wrong":
        return "a text"
    if how == "unspeakable":
        raise Unspeakable
    raise ValueError(f"it was {how}")


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def house(stage: Stage) -> tomada.App:  # noqa: C901 - one handler after the other
    """The application: what its handlers do is noted on the stage."""
    app = tomada.App("house")

    @app.on
    async def echo(request: Echo) -> bytes:
        return request.data

    @app.on
    async def hold(request: Hold) -> str:
        stage.now += 1
        stage.most = max(stage.most, stage.now)
        stage.mark(f"began {request.name}")
        try:
            await stage.gate(request.name).wait()
        except asyncio.CancelledError:
            stage.mark(f"cancelled {request.name}")
            raise
        finally:
            stage.now -= 1
        stage.mark(f"ended {request.name}")
        return request.name

    @app.on
    def sit(request: Sit) -> str:
        stage.mark_from_thread(f"began {request.name}")
        stage.thread_gate(request.name).wait(30)
        stage.mark_from_thread(f"ended {request.name}")
        return f"{request.name} {mood.get()}"

    @app.on
    async def failing(request: Fail) -> int:
        if request.how.startswith("later "):
            await asyncio.sleep(0)
        return fail(request.how.removeprefix("later "))  # type: ignore[no-any-return]

    @app.on
    async def back(request: Back, peer: tomada.Connection) -> int:
        return 0 if request.depth == 0 else 1 + await peer.ask(Back(request.depth - 1))

    @app.on
    async def make(request: Make) -> bytes:
        stage.mark("made")
        return bytes(request.size)

    @app.on
    async def note(message: Note, peer: tomada.Connection) -> None:
        stage.mark(f"note {message.text}")
        if message.text.startswith("echo "):
            await peer.send(Note(message.text[5:]))
        if message.text.startswith("hold "):
            await stage.gate(message.text).wait()
            stage.mark(f"done {message.text}")
        if message.text.startswith("fail "):
            fail(message.text[5:])

    @app.on
    async def push(request: Push, peer: tomada.Connection) -> int:
        for number in range(request.count):
            await peer.send(Note(str(number)))
        return request.count

    return app


Secured = tuple[tomada.TLS, tomada.TLS]
"""What the server speaks TLS with, and what its bystander does."""


@asynccontextmanager
async def serving(
    app: Callable[[Stage], tomada.App] = house,
    *,
    here: str = HERE,
    limits: tomada.Limits | None = None,
    deadlines: tomada.Deadlines | None = None,
    secured: Secured | None = None,
    origins: tuple[str, ...] = (),
) -> AsyncIterator[tuple[tomada.Server, Stage]]:
    """A server of the house and a bystander at it, who must not notice anything."""
    stage = Stage()
    own, others = secured or (None, None)
    if secured is not None:
        here = here.replace("tcp:", "tls:").replace("ws:", "wss:")
    serving = tomada.serve(app(stage), here, limits=limits, deadlines=deadlines, tls=own, origins=origins)
    async with serving as server, bystander(server, others):
        yield server, stage
        stage.open(*stage.thread_gates)


@asynccontextmanager
async def bystander(server: tomada.Server, tls: tomada.TLS | None = None) -> AsyncIterator[None]:
    """A healthy connection that keeps asking while others do what they do."""
    async with tomada.connect(server.addresses[0], tls=tls) as connection:
        leaving = asyncio.Event()
        asked = asyncio.create_task(keep_asking(connection, leaving))
        try:
            yield
            await connection.ask(Echo(b"all is well"))
        finally:
            leaving.set()
            await asked


async def keep_asking(connection: tomada.Connection, leaving: asyncio.Event) -> None:
    number = 0
    while not leaving.is_set():
        number += 1
        data = b"%d" % number
        assert await connection.ask(Echo(data)) == data
        await asyncio.sleep(0.002)  # a person's pace, so that it does not take the processor


async def turns_until(condition: Callable[[], object]) -> None:
    """Let the loop turn until something that has no event of its own is so."""
    while not condition():  # noqa: ASYNC110 - that is what it is for
        await asyncio.sleep(0)


class Wire:
    """A peer that says what it likes, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.address = "tcp://{}:{}".format(*writer.get_extra_info("sockname"))
        self.sequence = 0

    def say(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))

    async def hello(self, hello: Hello | None = None) -> None:
        """Complete the handshake."""
        self.say(frame(Kind.HELLO, encode(hello or Hello(catalogue=tuple(CATALOGUE.entries)))))
        kind, _, _ = await self.hear()
        assert kind == Kind.WELCOME

    def ask(self, request: tomada.Message, id_: int) -> bytes:
        return self.message(Kind.ASK, CATALOGUE.numbers[type(request)], id_, payload(request))

    def send(self, message: tomada.Message) -> bytes:
        return self.message(Kind.SEND, CATALOGUE.numbers[type(message)], 0, payload(message))

    def message(self, kind: Kind, type_: int, id_: int, payload: bytes, flags: int = 0) -> bytes:
        self.sequence += 1
        return HEADER.pack(len(payload), kind, NORMAL | flags, type_, id_, self.sequence) + payload

    def cancel(self, id_: int) -> bytes:
        return self.message(Kind.CANCEL, 0, id_, b"")

    async def hear(self) -> tuple[int, int, bytes]:
        """The next frame that is no credit: kind, id, payload."""
        while True:
            head = await self.reader.readexactly(HEADER.size)
            length, kind, _, _, id_, _ = HEADER.unpack(head)
            payload = await self.reader.readexactly(length)
            if kind != Kind.CREDIT:
                return kind, id_, payload

    async def until_closed(self) -> bytes:
        """What still comes, up to the end."""
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""


@asynccontextmanager
async def wire(server: tomada.Server) -> AsyncIterator[Wire]:
    address = server.addresses[0]
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


def frame(kind: Kind, payload: bytes = b"", id_: int = 0) -> bytes:
    return HEADER.pack(len(payload), kind, CONTROL, 0, id_, 0) + payload


def payload(message: tomada.Message) -> bytes:
    return msgspec.msgpack.encode(message)
