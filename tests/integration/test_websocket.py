"""Typed messages and byte streams over WebSocket: what is its own. Everything else is as over TCP."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin, Subprotocol

import tomada
import tomada.sync
from tests.authority import Authority
from tests.integration.conftest import Run
from tests.integration.house import (
    CATALOGUE,
    Back,
    Echo,
    Hold,
    Note,
    Push,
    Stage,
    frame,
    house,
    payload,
)
from tests.integration.house import serving as served
from tomada.protocol import Hello, Kind, encode
from tomada.protocol.frames import HEADER, NORMAL

HERE = "ws://127.0.0.1:0/house"


serving = partial(served, here=HERE)


def visiting(server: tomada.Server, origin: Origin | None = None) -> connect:
    """A WebSocket of another house."""
    return connect(str(server.addresses[0]), subprotocols=[Subprotocol("tomada.1")], origin=origin, proxy=None)


@asynccontextmanager
async def outsider(server: tomada.Server) -> AsyncIterator[ClientConnection]:
    """A client of another house, which says hello in tomada's words."""
    async with visiting(server) as connection:
        await connection.send(frame(Kind.HELLO, encode(Hello(catalogue=tuple(CATALOGUE.entries)))))
        welcome = await connection.recv(decode=False)
        assert welcome[4] == Kind.WELCOME
        yield connection


def test_calls_in_both_directions_and_big_messages(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, stage), tomada.connect(server.addresses[0], app=house(stage)) as client:
            assert client.peer.scheme == "ws"
            data = os.urandom(5_000_000)
            assert await client.ask(Echo(data)) == data
            assert await client.ask(Back(6)) == 6
            assert await client.ask(Push(100)) == 100
            await client.send(Note("hello"))
            await stage.until("note hello")

    run(main())


def test_the_same_over_tls(run: Run, authority: Authority) -> None:
    async def main() -> None:
        async with (
            serving(secured=(authority.server, authority.client)) as (server, stage),
            tomada.connect(server.addresses[0], app=house(stage), tls=authority.client) as client,
        ):
            assert server.addresses[0].scheme == client.peer.scheme == "wss"
            data = os.urandom(3_000_000)
            assert await client.ask(Echo(data)) == data
            assert await client.ask(Back(6)) == 6
            assert client.identity is not None

    run(main())


def test_a_server_that_closes_answers_what_is_under_way_and_says_going_away(run: Run) -> None:
    async def main() -> None:
        stage = Stage()
        async with tomada.serve(house(stage), HERE) as server, outsider(server) as visitor:
            await visitor.send(asked(Hold("x"), 1))
            await stage.until("began x")
            closing = asyncio.create_task(server.close())
            assert (await visitor.recv(decode=False))[4] == Kind.GOODBYE
            stage.open("x")
            assert (await visitor.recv(decode=False))[4] == Kind.REPLY
            await visitor.send(frame(Kind.GOODBYE, encode_goodbye()))
            with pytest.raises(ConnectionClosed) as ended:
                await visitor.recv()
            await closing

            assert ended.value.rcvd is not None
            assert ended.value.rcvd.code == 1001

    run(main())


def asked(request: tomada.Message, number: int) -> bytes:
    """The frame of the request of that number, counted from 1."""
    said = payload(request)
    return HEADER.pack(len(said), Kind.ASK, NORMAL, CATALOGUE.numbers[type(request)], 2 * number - 1, number) + said


def encode_goodbye() -> bytes:
    return bytes.fromhex("92a6636c6f736564a0")


def test_a_frame_may_be_spread_over_messages_and_a_message_hold_many_frames(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, _), outsider(server) as visitor:
            said = b"".join(asked(Echo(b"%d" % number), number) for number in range(1, 21))
            for byte in said[:300]:
                await visitor.send(bytes([byte]))
            await visitor.send([said[300:400], said[400:]])  # in fragments
            heard = b""
            while heard.count(b"\xc4") < 20:
                heard += await visitor.recv(decode=False)

    run(main())


def test_a_peer_that_breaks_the_inner_protocol_is_told_so(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, _), outsider(server) as visitor:
            await visitor.send(b"\xff" * 100)
            assert (await visitor.recv(decode=False))[4] == Kind.GOODBYE
            with pytest.raises(ConnectionClosed) as ended:
                await visitor.recv()

            assert ended.value.rcvd is not None
            assert ended.value.rcvd.code == 1008

    run(main())


def test_a_peer_that_sends_text_is_told_so(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, _), outsider(server) as visitor:
            await visitor.send("hello")
            with pytest.raises(ConnectionClosed) as ended:
                await visitor.recv()

            assert ended.value.rcvd is not None
            assert ended.value.rcvd.code == 1003

    run(main())


def test_pages_of_other_origins_need_leave(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with serving(origins=("https://shop.example",)) as (server, _):
            async with visiting(server, Origin("https://shop.example")):
                pass
            with pytest.raises(InvalidStatus, match="403"):
                await visiting(server, Origin("https://evil.example")).__aenter__()

    run(main())
    assert "serve with origins=('https://evil.example',)" in caplog.text


def test_a_half_done_handshake_holds_nobody_up(run: Run) -> None:
    async def main() -> None:
        async with serving(deadlines=tomada.Deadlines(handshake=0.2)) as (server, _):
            address = server.addresses[0]
            reader, writer = await asyncio.open_connection(address.host, address.port)
            writer.write(b"GET /house HTTP/1.1\r\n")
            assert await reader.read() == b""
            writer.close()

    run(main())


def test_who_waits_for_a_server_finds_it_when_it_comes(run: Run) -> None:
    async def main() -> None:
        stage = Stage()
        async with tomada.serve(house(stage), HERE) as server:
            address = server.addresses[0]
        reached = asyncio.ensure_future(tomada.connect(address, wait=20)._connect())
        await asyncio.sleep(0)
        async with tomada.serve(house(stage), address):
            client = await reached
            assert await client.ask(Echo(b"there")) == b"there"
            await client.close()

    run(main())


def test_a_client_meant_for_tcp_is_told(run: Run) -> None:
    async def main() -> None:
        async with serving() as (server, _):
            with pytest.raises(tomada.TomadaError, match="HTTP"):
                await tomada.connect(f"tcp://127.0.0.1:{server.addresses[0].port}")

    run(main())


def test_a_byte_stream_over_websocket(run: Run) -> None:
    app = tomada.App("shout")

    @app.stream("ws://127.0.0.1:0/shout")
    async def shout(stream: tomada.Stream) -> None:
        async for chunk in stream:
            await stream.send(chunk.upper())

    async def main() -> None:
        async with (
            tomada.serve(app) as server,
            tomada.connect_stream(server.addresses[0]) as stream,
        ):
            await stream.send(b"hello")
            assert await stream.receive_exactly(5) == b"HELLO"

    run(main())
