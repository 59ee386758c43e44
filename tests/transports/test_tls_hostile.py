"""TLS hellos that are cut, slow, absurd or many; each with a healthy client beside it, who must not notice."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from tests.authority import Authority
from tests.transports.conftest import Run
from tests.transports.talker import Serving, connected, greets, serving
from tomada.transports.client_hello import offered_protocols

NOISE = random.Random(11)
HALF_OPEN = 1_000


def client_hello(*protocols: str) -> bytes:
    """As OpenSSL says it."""
    context = ssl.create_default_context()
    if protocols:
        context.set_alpn_protocols(list(protocols))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


HELLO = client_hello()
ABSURD = {
    "a record of noise": b"\x16\x03\x01\x02\x00" + NOISE.randbytes(512),
    "a record too long": b"\x16\x03\x01\xff\xff" + NOISE.randbytes(70_000),
    "empty records without end": b"\x16\x03\x01\x00\x00" * 1_000,
    "a hello that promises 16 MB": b"\x16\x03\x01\x40\x00\x01\xff\xff\xff\x03\x03" + bytes(16_378),
    "application data at once": b"\x16\x03\x01\x00\x01\x01" + b"\x17\x03\x03\x00\x05hello",
    "a hello of a version to come": b"\x16\x09\x09" + HELLO[3:],
    "an alert": b"\x15\x03\x01\x00\x02\x02\x28",
    "a finished before the hello": b"\x16\x03\x03\x00\x04\x14\x00\x00\x00",
    "a hello twice": HELLO * 2,
    "a hello whose session id is too long": HELLO[:43] + b"\xff" + HELLO[44:],
}


@asynccontextmanager
async def bystander(server: Serving, authority: Authority) -> AsyncIterator[None]:
    """A healthy connection before, and another one after."""
    async with connected(server.address, authority.client) as talker:
        talker.transport.write(b"before")
        assert await talker.hear(6) == b"BEFORE"
        yield
        talker.transport.write(b"after")
        assert await talker.hear(5) == b"AFTER"
    await greets(server.address, authority)


@pytest.mark.parametrize("what", ABSURD)
def test_an_absurd_hello_ends_its_connection_alone(run: Run, authority: Authority, what: str) -> None:
    async def main() -> None:
        async with serving(authority.server) as server, bystander(server, authority):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(ABSURD[what])
            with suppress(ConnectionError):
                await reader.read()
            writer.close()
            assert server.listener.pending == set()

    run(main())


@pytest.mark.parametrize("part", [1, 5, 60, -1])
def test_a_hello_that_is_cut_and_closed_leaves_nothing(run: Run, authority: Authority, part: int) -> None:
    async def main() -> None:
        async with serving(authority.server) as server, bystander(server, authority):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(HELLO[:part])
            writer.close()
            while server.listener.pending or len(server.accepted) < 2:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0)

    run(main())


def test_a_hello_that_trickles_in_does_not_renew_its_deadline(
    run: Run, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with serving(authority.server, handshake=0.3) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            ended = asyncio.create_task(reader.read())
            for at in HELLO:
                writer.write(bytes([at]))
                await asyncio.wait([ended], timeout=0.02)
                if ended.done():
                    break
            assert ended.done(), "all of it takes several seconds"
            with suppress(ConnectionError):
                await ended
            writer.close()
            await greets(server.address, authority)
        assert "refused: no handshake within 0.3 s" in caplog.text

    run(main())


def test_a_thousand_half_open_handshakes_starve_nobody(run: Run, authority: Authority) -> None:
    async def main() -> None:
        async with serving(authority.server) as server, bystander(server, authority):
            strangers = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(HALF_OPEN)]
            for number, (_, writer) in enumerate(strangers):
                writer.write(HELLO[: number % 300])
            await greets(server.address, authority)
            assert len(server.listener.pending) == HALF_OPEN
            server.listener.pending.copy().pop().abort()
            for _, writer in strangers:
                writer.transport.abort()
            while server.listener.pending:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0)

    run(main())


def test_what_a_hello_offers_is_read_out_of_it() -> None:
    assert offered_protocols(client_hello("h2", "bank/1")) == ("h2", "bank/1")
    assert offered_protocols(client_hello()) == ()


def test_a_hello_in_several_records_is_read_as_one() -> None:
    body = client_hello("h2", "bank/1")[5:]
    records = b"".join(b"\x16\x03\x01\x00\x64" + body[at : at + 100] for at in range(0, len(body) - 100, 100))
    rest = body[len(body) // 100 * 100 - (100 if not len(body) % 100 else 0) :]
    records += b"\x16\x03\x01" + len(rest).to_bytes(2, "big") + rest
    assert offered_protocols(records) == ("h2", "bank/1")


def test_a_hello_that_is_cut_or_noise_offers_nothing_and_ends() -> None:
    hello = client_hello("h2")
    for size in range(len(hello)):
        assert offered_protocols(hello[:size]) in ((), ("h2",), ("h",), ("",))
    for _ in range(500):
        offered_protocols(NOISE.randbytes(NOISE.randint(0, 2_000)))
