"""Peers that break the rules of streams: each has its answer, and harms nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import pytest

import tomada
from tests.integration.conftest import Run
from tests.integration.house import Wire, wire
from tests.items.stall import Add, Count, Sit, Store, Sum, Tick, served
from tomada.catalogue import Catalogue
from tomada.protocol import Hello, Kind, Welcome, encode
from tomada.protocol.frames import CONTROL, HEADER

CATALOGUE = Catalogue([Add, Count, Sit, Store, Sum, Tick])


def ask(peer: Wire, request: tomada.Message, id_: int) -> bytes:
    return peer.message(Kind.ASK, CATALOGUE.numbers[type(request)], id_, msgspec.msgpack.encode(request))


def tick(peer: Wire, id_: int, number: int = 1) -> bytes:
    return peer.message(Kind.ITEM, CATALOGUE.numbers[Tick], id_, msgspec.msgpack.encode(Tick(number)))


def ends(peer: Wire, id_: int) -> bytes:
    return peer.message(Kind.END, 0, id_, b"")


CASES: dict[str, tuple[Callable[[Wire], list[bytes]], str]] = {
    "parts of a request that none follow": (lambda peer: [ask(peer, Sit(), 1), tick(peer, 1)], "none follow it"),
    "their end": (lambda peer: [ask(peer, Sit(), 1), ends(peer, 1)], "none follow it"),
    "their end twice": (
        lambda peer: [ask(peer, Sum(), 1), ends(peer, 1), ends(peer, 1)],
        "the end of its parts came twice",
    ),
    "a part after their end": (
        lambda peer: [ask(peer, Sum(), 1), ends(peer, 1), tick(peer, 1)],
        "a part came after their end",
    ),
    "a type that is not in the catalogue": (
        lambda peer: [ask(peer, Sum(), 1), peer.message(Kind.ITEM, 99, 1, b"\x01")],
        "type 99, which is not in its catalogue",
    ),
    "another type": (
        lambda peer: [ask(peer, Sum(), 1), peer.message(Kind.ITEM, CATALOGUE.numbers[Add], 1, b"\x92\x01\x01")],
        "Sum was followed with Add, not with Tick",
    ),
    "a plain value": (
        lambda peer: [ask(peer, Sum(), 1), peer.message(Kind.ITEM, 0, 1, b"\x01")],
        "Sum was followed with a plain value, not with Tick",
    ),
    "no MessagePack": (
        lambda peer: [ask(peer, Sum(), 1), peer.message(Kind.ITEM, CATALOGUE.numbers[Tick], 1, b"\xc1")],
        "a part of Sum does not fit",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_request_is_refused_and_nobody_else_is_harmed(run: Run, case: str) -> None:
    say, expected = CASES[case]

    async def main() -> None:
        async with served() as (client, stage, server), wire(server) as peer:
            await peer.hello(Hello(catalogue=tuple(CATALOGUE.entries)))
            peer.say(*say(peer))
            kind, id_, text = 0, 0, b""
            while kind != Kind.ERROR:
                kind, id_, text = await peer.hear()
            assert id_ == 1
            assert expected.encode() in text
            peer.say(ask(peer, Add(1, 2), 3))
            assert (await peer.hear())[1:] == (3, b"\x03")
            assert await client.ask(Add(1, 2)) == 3
            assert stage.events.count("cancelled sum") <= 1

    run(main())


def test_parts_beyond_their_credit_are_a_violation(run: Run) -> None:
    async def main() -> None:
        async with served(limits=tomada.Limits(handlers=1)) as (client, _, server), wire(server) as peer:
            await peer.hello(Hello(catalogue=tuple(CATALOGUE.entries)))
            peer.say(ask(peer, Sit(), 1), ask(peer, Store(), 3))
            peer.say(*[peer.message(Kind.ITEM, 0, 3, bytes(60_000)) for _ in range(12)])
            assert b"beyond its credit of 524288 bytes" in await peer.until_closed()
            assert await client.ask(Add(1, 2)) == 3

    run(main())


def test_credit_that_shrinks_is_a_violation(run: Run) -> None:
    def credit(up_to: int) -> bytes:
        payload = up_to.to_bytes(8, "big")
        return HEADER.pack(len(payload), Kind.CREDIT, CONTROL, 0, 1, 0) + payload

    async def main() -> None:
        async with served() as (client, _, server), wire(server) as peer:
            await peer.hello(Hello(catalogue=tuple(CATALOGUE.entries)))
            peer.say(ask(peer, Count(100_000), 1))
            await peer.hear()
            peer.say(credit(900_000), credit(800_000))
            assert b"the credit of request 1 shrinks from 900000 to 800000" in await peer.until_closed()
            assert await client.ask(Add(1, 2)) == 3

    run(main())


def test_a_server_that_answers_one_request_with_items_fails_it(run: Run) -> None:
    """The other way round: the caller is told."""

    async def main() -> None:
        async def lie(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peer = Wire(reader, writer)
            await peer.hear()
            writer.write(welcome())
            for answer in (Kind.ITEM, Kind.END, Kind.REPLY):
                kind, id_ = 0, 0
                while kind != Kind.ASK:
                    kind, id_, _ = await peer.hear()
                writer.write(peer.message(answer, 0, id_, b"" if answer == Kind.END else b"\x01"))
            await peer.until_closed()
            writer.close()

        server = await asyncio.start_server(lie, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = await tomada.connect(f"tcp://127.0.0.1:{port}", deadlines=tomada.Deadlines(drain=0.2))
        for _ in range(2):
            with pytest.raises(tomada.TypeMismatch, match="Add has one reply, and was answered by a stream"):
                await client.ask(Add(1, 2))
        with pytest.raises(tomada.TypeMismatch, match="Sit is answered by a stream of int, and was answered with one"):
            await anext(client.stream(Sit()))
        await client.close()
        server.close()
        await server.wait_closed()

    run(main())


def welcome() -> bytes:
    payload = encode(Welcome())
    return HEADER.pack(len(payload), Kind.WELCOME, CONTROL, 0, 0, 0) + payload
