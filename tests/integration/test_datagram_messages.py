"""Messages in datagrams: asked with retries, handled once, and hostile input that nobody else notices."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

import tomada
from tests.datagrams.ends import HERE, SOON, received, until
from tests.integration.conftest import Run
from tomada.catalogue import catalogue_of
from tomada.protocol.datagram import DatagramKind, Parcel, decode_parcel, encode_parcel


class Point(tomada.Message):
    x: int
    y: int


class Make(tomada.Request[bytes]):
    size: int


class Add(tomada.Request[int]):
    a: int
    b: int


class Move(tomada.Request[Point | None]):
    point: Point


class Late(tomada.Request[str]):
    text: str


class Fail(tomada.Request[int]):
    how: str


class Near(tomada.Request[int]):
    """Its handler asks for a connection."""


class Plain(tomada.Request[int]):
    """Handled in a thread."""


class Nobody(tomada.Request[int]):
    """Handled nowhere."""


class Note(tomada.Message):
    text: str


class Short(tomada.RemoteError):
    missing: int


class House:
    """An application, and what it has noted."""

    def __init__(self) -> None:  # noqa: C901 - an application, handler by handler
        self.ran: list[Any] = []
        self.gate = asyncio.Event()
        self.app = app = tomada.App()

        @app.on
        async def make(request: Make) -> bytes:
            self.ran.append(request.size)
            return b"x" * request.size

        @app.on
        async def add(request: Add) -> int:
            self.ran.append((request.a, request.b))
            return request.a + request.b

        @app.on
        async def move(request: Move) -> Point | None:
            return Point(request.point.x + 1, request.point.y) if request.point.x else None

        @app.on
        async def late(request: Late) -> str:
            self.ran.append(request.text)
            await self.gate.wait()
            if request.text == "fail":
                raise Short(2)
            return request.text

        @app.on
        async def fail(request: Fail) -> int:
            if request.how == "typed":
                raise Short(missing=3)
            if request.how == "wrong":
                return "text"  # type: ignore[return-value] # which is the case
            if request.how == "cancel":
                raise asyncio.CancelledError
            if request.how == "untellable":
                raise Short(missing="many")  # type: ignore[arg-type] # which is the case
            raise ValueError(request.how)

        @app.on
        async def near(_: Near, connection: tomada.Connection) -> int:
            return connection.peer.port or 0

        @app.on
        def plain(_: Plain) -> int:
            return 5

        @app.on
        async def note(message: Note) -> None:
            self.ran.append(message.text)
            if message.text == "boom":
                raise ValueError(message.text)
            if message.text == "cancel":
                raise asyncio.CancelledError


@asynccontextmanager
async def serving(address: str = HERE, **options: Any) -> AsyncIterator[tuple[House, tomada.Server, tomada.Address]]:
    house = House()
    async with tomada.serve(house.app, address, **options) as server:
        yield house, server, server.addresses[0]


def counts(server: tomada.Server) -> tomada.DatagramStatistics:
    (statistics,) = server.datagram_statistics.values()
    return statistics


def ask(message: tomada.Message, number: int = 1, client: bytes = b"attacker", **more: Any) -> bytes:
    kind = type(message)
    digest = catalogue_of(kind).by_name[kind.__name__].digest
    parcel = Parcel(DatagramKind.ASK, client, number, kind.__name__, digest, msgspec.msgpack.encode(message))
    return encode_parcel(parcel._replace(**more))


def test_answers_of_every_kind(run: Run, folder: Path) -> None:
    async def main() -> None:
        for where in (HERE, f"unixgram://{folder}/house"):
            async with serving(where) as (house, _, address), tomada.connect_datagram(address) as client:
                assert await client.ask(Add(1, 2)) == 3
                assert await client.ask(Move(Point(1, 2))) == Point(2, 2)
                assert await client.ask(Move(Point(0, 0))) is None
                assert await client.ask(Plain()) == 5
                assert await client.ask(Make(10_000), timeout=SOON) == b"x" * 10_000
                await client.send(Note("hello"))
                assert await client.ask(Add(0, 0)) == 0
                assert "hello" in house.ran
                assert (client.peer, client.statistics.unexpected) == (address, 0)
                assert str(address) in repr(client)
                assert client.address.scheme == address.scheme

    run(main())


def test_errors_travel(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with serving() as (_, server, address), tomada.connect_datagram(address) as client:
            with pytest.raises(Short) as caught:
                await client.ask(Fail("typed"))
            assert caught.value.missing == 3
            with pytest.raises(tomada.RemoteError, match="ValueError: no") as raised:
                await client.ask(Fail("no"))
            assert raised.value.name == "ValueError"
            with pytest.raises(tomada.InternalError, match="does not fit its type"):
                await client.ask(Fail("wrong"))
            with pytest.raises(tomada.InternalError, match="does not fit its type"):
                await client.ask(Fail("untellable"))
            with pytest.raises(tomada.RemoteError, match="cancelled"):
                await client.ask(Fail("cancel"))
            with pytest.raises(tomada.UnknownType, match="nobody handles 'Nobody' here"):
                await client.ask(Nobody())
            with pytest.raises(tomada.UnknownType, match="Near is handled over connections only"):
                await client.ask(Near())
            with pytest.raises(tomada.DatagramTooLong, match=r"the answer to Make has .* ask over a connection"):
                await client.ask(Make(100_000))
            with pytest.raises(tomada.DatagramTooLong, match="a datagram of"):
                await client.ask(Late("x" * 70_000))
            with pytest.raises(tomada.InvalidMessage, match="Add cannot be encoded"):
                await client.ask(Add(object(), 1))  # type: ignore[arg-type] # which is the case
            with pytest.raises(tomada.InvalidMessage, match=r"Add\.b: expected `int`, got `str`"):
                await client.ask(Add(1, "two"))  # type: ignore[arg-type] # which is the case
            with pytest.raises(TypeError, match="Note is a one-way message"):
                await client.ask(Note("x"))  # type: ignore[arg-type] # which is the case
            with pytest.raises(TypeError, match="Add is a request"):
                await client.send(Add(1, 2))
            with pytest.raises(TypeError, match="only messages can be sent"):
                await client.send(5)  # type: ignore[arg-type] # which is the case
            for wrong in ({"retries": -1}, {"timeout": 0}):
                with pytest.raises(ValueError, match="a time above 0, and a number from 0 on"):
                    await client.ask(Add(1, 2), **wrong)
            await client.send(Note("boom"))
            await client.send(Note("cancel"))
            await until(lambda: counts(server).failed == 6)

    run(main())
    logged = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert any("note() (" in text and "raised" in text for text in logged)
    assert any("built a wrong reply" in text for text in logged)


def test_a_server_whose_types_have_changed(run: Run) -> None:
    async def main() -> None:
        async with serving() as (_, _, address), tomada.bind(HERE, peer=address) as raw:
            await raw.send(ask(Add(1, 2), digest=b"another!", payload=b"\x90" + b"x" * 100))
            parcel = decode_parcel((await received(raw, 1))[0])
            assert (parcel.kind, parcel.number) == (DatagramKind.ERROR, 1)
            assert b"mismatch" in parcel.payload
            await raw.send(ask(Add(1, 2), 2, digest=bytes(8)))
            assert decode_parcel((await received(raw, 1))[0]).payload == b"\x03"
            await raw.send(ask(Note("x" * 50), 3))
            assert b"was asked, but is a one-way message" in (await received(raw, 1))[0]

    run(main())


def test_nobody_there(run: Run) -> None:
    async def main() -> None:
        async with tomada.bind(HERE) as silent, tomada.connect_datagram(silent.address) as client:
            with pytest.raises(tomada.TimedOut, match=r"no answer to Add from udp://.* within 0\.03 s, sent 3 times$"):
                await client.ask(Add(1, 2), timeout=0.03, retries=2)
            assert len(set(await received(silent, 3))) == 1
            with pytest.raises(tomada.TimedOut, match=r"sent once$"):
                await client.ask(Add(1, 2), timeout=0.01, retries=0)
            gone = silent.address
        async with tomada.connect_datagram(gone) as client:
            with pytest.raises(tomada.TimedOut, match="the system says that nobody receives there"):
                await client.ask(Add(1, 2), timeout=0.03)
        with pytest.raises(tomada.ConnectFailed, match="is not known"):
            await tomada.connect_datagram("udp://no-such-host.invalid:1")
        with pytest.raises(tomada.ListenFailed, match="carries no datagrams"):
            await tomada.connect_datagram("tcp://127.0.0.1:1")

    run(main())


def test_a_request_that_is_lost_is_repeated_and_an_answer_that_is_lost_is_sent_again(run: Run) -> None:
    async def main() -> None:
        async with serving() as (house, server, address), tomada.connect_datagram(address) as client:
            transport: Any = client._transport
            send, receive = transport.send, client.datagrams_received
            lost = ["request", "answer"]

            def lossy_send(data: bytes, name: Any) -> None:
                if "request" in lost:
                    lost.remove("request")
                else:
                    send(data, name)

            def lossy_receive(datagrams: Any, name: Any) -> None:
                if "answer" in lost:
                    lost.remove("answer")
                else:
                    receive(datagrams, name)

            class Lossy:
                """Between the client and its transport."""

                def __getattr__(self, name: str) -> Any:
                    return lossy_send if name == "send" else getattr(transport, name)

            client._transport = Lossy()  # type: ignore[assignment] # shaped like one
            client.datagrams_received = lossy_receive  # type: ignore[method-assign] # loses one
            assert await client.ask(Add(2, 3), timeout=SOON, retries=5) == 5
            assert (house.ran, lost) == ([(2, 3)], [])
            assert counts(server).duplicates == 1
            client._transport = transport

    run(main())


def test_while_its_handler_runs_a_request_that_comes_again_starts_no_other(run: Run) -> None:
    async def main() -> None:
        async with serving() as (house, server, address), tomada.connect_datagram(address) as client:
            asking = asyncio.create_task(client.ask(Late("once"), timeout=SOON, retries=8))
            failing = asyncio.create_task(client.ask(Late("fail"), timeout=SOON, retries=8))
            await until(lambda: counts(server).duplicates >= 2)
            house.gate.set()
            assert await asking == "once"
            with pytest.raises(Short):
                await failing
            assert sorted(house.ran) == ["fail", "once"]
            assert await client.ask(Add(1, 1)) == 2

    run(main())


def test_a_long_answer_needs_a_proof_and_no_second_run(run: Run) -> None:
    async def main() -> None:
        async with serving() as (house, server, address), tomada.connect_datagram(address) as client:
            assert await client.ask(Make(5_000)) == b"x" * 5_000
            assert (counts(server).withheld, counts(server).received, house.ran) == (1, 2, [5_000])
            assert await client.ask(Make(6_000)) == b"x" * 6_000
            assert (counts(server).withheld, counts(server).received) == (1, 3)

    run(main())


def test_a_forged_source_gets_three_times_what_it_sent_at_the_most(run: Run) -> None:
    async def main() -> None:
        async with serving() as (_, _, address), tomada.bind(HERE) as victim, tomada.bind(HERE) as other:
            request, answer = ask(Make(5_000)), b""
            for number in range(1, 20):
                await victim.send(ask(Make(5_000), number), address)
                (answer,) = await received(victim, 1)
                assert len(answer) <= 3 * len(request)
                assert decode_parcel(answer).kind is DatagramKind.PROVE
            token = decode_parcel(answer).payload
            await other.send(ask(Make(5_000), 77, token=token), address)
            assert decode_parcel((await received(other, 1))[0]).kind is DatagramKind.PROVE, "a token is its owner's"
            await victim.send(ask(Make(5_000), 78, token=token), address)
            assert len((await received(victim, 1))[0]) > 5_000

    run(main())


def test_a_key_replayed_from_elsewhere_is_neither_handled_nor_answered(run: Run) -> None:
    async def main() -> None:
        async with serving() as (house, server, address), tomada.bind(HERE) as one, tomada.bind(HERE) as thief:
            request = ask(Add(4, 5))
            await one.send(request, address)
            answer = await received(one, 1)
            for _ in range(3):
                await thief.send(request, address)
            await one.send(request, address)
            assert await received(one, 1) == answer
            await until(lambda: counts(server).duplicates == 4)
            assert (counts(server).unexpected, house.ran) == (3, [(4, 5)])
            with pytest.raises(tomada.TimedOut):
                await thief.receive(timeout=0.01)

    run(main())


def rubbish() -> list[bytes]:
    rng = random.Random(3)
    whole = ask(Add(1, 2), client=b"rubbish!")
    cut = [whole[:length] for length in range(26 + len("Add"))]
    wrong = [
        b"xx" + whole[2:],
        whole[:2] + b"\x09" + whole[3:],
        whole[:3] + b"\x00" + whole[4:],
        whole[:3] + b"\xff" + whole[4:],
    ]
    answers = [
        encode_parcel(Parcel(kind, b"rubbish!", 1, payload=b"\x01"))
        for kind in (DatagramKind.REPLY, DatagramKind.ERROR, DatagramKind.PROVE)
    ]
    return cut + wrong + answers + [rng.randbytes(rng.randrange(200)) for _ in range(200)]


def test_what_is_no_message_is_counted_and_never_answered(run: Run) -> None:
    async def main() -> None:
        async with (
            serving() as (house, server, address),
            tomada.bind(HERE, peer=address) as attacker,
            tomada.connect_datagram(address) as bystander,
        ):
            sent = rubbish()
            for start in range(0, len(sent), 20):
                for data in sent[start : start + 20]:
                    await attacker.send(data)
                assert await bystander.ask(Add(start, 0)) == start
            await until(lambda: counts(server).unexpected == len(sent))
            with pytest.raises(tomada.TimedOut):
                await attacker.receive(timeout=0.01)
            assert all(isinstance(one, tuple) for one in house.ran)

    run(main())


def test_payloads_that_do_not_fit_are_told_within_the_bound(run: Run) -> None:
    payloads = [b"", b"\xc1", b"\x91" * 1_000, b"\xdd\xff\xff\xff\xff", b"\x92\x01", b"\x92\xc3\xa1y", bytes(5_000)]

    async def main() -> None:
        async with (
            serving() as (house, server, address),
            tomada.bind(HERE, peer=address) as attacker,
            tomada.connect_datagram(address) as bystander,
        ):
            for number, payload in enumerate(payloads, 1):
                request = ask(Add(1, 2), number, payload=payload)
                await attacker.send(request)
                (answer,) = await received(attacker, 1)
                assert len(answer) <= 3 * len(request)
                assert decode_parcel(answer).kind in (DatagramKind.ERROR, DatagramKind.PROVE)
                await attacker.send(ask(Note("x"), 1_000 + number, kind=DatagramKind.SEND, payload=payload))
            assert await bystander.ask(Add(7, 0)) == 7
            assert house.ran == [(7, 0)]
            assert counts(server).unexpected == 2 * len(payloads)

    run(main())


def test_a_flood_of_slow_requests_is_dropped_and_a_bystander_served(run: Run) -> None:
    async def main() -> None:
        limits = tomada.Limits(handlers=8)
        async with (
            serving(limits=limits) as (house, server, address),
            tomada.bind(HERE, peer=address) as attacker,
            tomada.connect_datagram(address) as bystander,
        ):
            for number in range(1, 101):
                await attacker.send(ask(Late("flood"), number))
            await until(lambda: counts(server).dropped == 92)
            asking = asyncio.create_task(bystander.ask(Add(1, 1), timeout=SOON, retries=8))
            await until(lambda: counts(server).dropped > 92)
            house.gate.set()
            assert await asking == 2
            assert house.ran.count("flood") == 8

    run(main())


def test_forged_answers_reach_nobody(run: Run) -> None:
    async def main() -> None:
        async with tomada.bind(HERE) as server, tomada.connect_datagram(server.address) as client:
            asking = asyncio.create_task(client.ask(Add(1, 2), timeout=SOON, retries=0))
            datagram = await server.receive(timeout=SOON)
            request = decode_parcel(datagram.data)
            answer = Parcel(DatagramKind.REPLY, request.client, request.number, payload=b"\x03")
            forged = [
                b"rubbish",
                encode_parcel(answer._replace(client=b"somebody")),
                encode_parcel(answer._replace(number=request.number + 500)),
                encode_parcel(answer._replace(kind=DatagramKind.ASK)),
                encode_parcel(answer._replace(kind=DatagramKind.PROVE, payload=b"")),
                encode_parcel(answer._replace(kind=DatagramKind.PROVE, payload=bytes(65))),
            ]
            for data in forged:
                await server.send(data, datagram.peer)
            for _ in range(5):
                await server.send(encode_parcel(answer._replace(kind=DatagramKind.PROVE, payload=b"t")), datagram.peer)
            assert [decode_parcel(data).token for data in await received(server, 3)] == [b"t"] * 3
            for _ in range(3):
                await server.send(encode_parcel(answer), datagram.peer)
            assert await asking == 3
            await until(lambda: client.statistics.duplicates == 2)
            assert client.statistics.unexpected == len(forged) + 2

    run(main())


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (Parcel(DatagramKind.REPLY, b"", 0, payload=b"\xa1x"), tomada.InvalidMessage, "the reply to Move does not fit"),
        (Parcel(DatagramKind.REPLY, b"", 0, "Note"), tomada.TypeMismatch, "was answered with Note, not with"),
        (Parcel(DatagramKind.REPLY, b"", 0, "Point", b"another!"), tomada.TypeMismatch, "Point has other fields here"),
        (Parcel(DatagramKind.REPLY, b"", 0, "Point", payload=b"\xc1"), tomada.InvalidMessage, "does not fit"),
        (Parcel(DatagramKind.ERROR, b"", 0, payload=b"\xc1"), tomada.InvalidMessage, "error cannot be read"),
        (Parcel(DatagramKind.ERROR, b"", 0, "Strange", payload=b"\x91\x01"), tomada.RemoteError, "Strange"),
    ],
)
def test_answers_that_make_no_sense(run: Run, answer: Parcel, error: type[Exception], text: str) -> None:
    async def main() -> None:
        async with tomada.bind(HERE) as server, tomada.connect_datagram(server.address) as client:
            asking = asyncio.create_task(client.ask(Move(Point(1, 2)), timeout=SOON, retries=0))
            datagram = await server.receive(timeout=SOON)
            request = decode_parcel(datagram.data)
            await server.send(
                encode_parcel(answer._replace(client=request.client, number=request.number)), datagram.peer
            )
            with pytest.raises(error, match=text):
                await asking

    run(main())


def test_a_plain_value_where_a_message_was_due(run: Run) -> None:
    class Where(tomada.Request[Point]):
        pass

    async def main() -> None:
        async with tomada.bind(HERE) as server, tomada.connect_datagram(server.address) as client:
            asking = asyncio.create_task(client.ask(Where(), timeout=SOON, retries=0))
            datagram = await server.receive(timeout=SOON)
            request = decode_parcel(datagram.data)
            await server.send(
                encode_parcel(Parcel(DatagramKind.REPLY, request.client, request.number, payload=b"\x01")),
                datagram.peer,
            )
            with pytest.raises(tomada.TypeMismatch, match="Where was answered with a plain value"):
                await asking

    run(main())


def test_closing_ends_who_waits(run: Run) -> None:
    async def main() -> None:
        async with tomada.bind(HERE) as silent:
            client = await tomada.connect_datagram(silent.address)
            asking = asyncio.create_task(client.ask(Add(1, 2), timeout=SOON, retries=0))
            await silent.receive(timeout=SOON)
            client.close()
            with pytest.raises(tomada.TransportError, match="has been closed"):
                await asking
            with pytest.raises(tomada.TransportError, match="has been closed"):
                await client.send(Note("x"))

    run(main())


def test_a_server_that_closes_lets_its_handlers_answer(run: Run) -> None:
    async def main() -> None:
        async with serving() as (house, server, address), tomada.connect_datagram(address) as client:
            asking = asyncio.create_task(client.ask(Late("last"), timeout=SOON, retries=0))
            await until(lambda: bool(house.ran))
            closing = asyncio.create_task(server.close())
            await asyncio.sleep(0)
            house.gate.set()
            assert await asking == "last"
            await closing

    run(main())


def test_what_does_not_end_is_cut_and_told(run: Run) -> None:
    async def main() -> None:
        deadlines = tomada.Deadlines(drain=0.01)
        async with (
            serving(deadlines=deadlines) as (house, server, address),
            tomada.connect_datagram(address) as client,
        ):
            asking = asyncio.create_task(client.ask(Late("never"), timeout=SOON, retries=0))
            await until(lambda: bool(house.ran))
            await server.close()
            with pytest.raises(tomada.RemoteError, match="cancelled"):
                await asking

    run(main())
