"""Streams need a connection: who tries in datagrams is told so, at both ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

import tomada
from tests.datagrams.ends import HERE, received
from tests.integration.conftest import Run
from tests.integration.test_datagram_messages import ask
from tomada.protocol import Failure, FailureCode
from tomada.protocol.datagram import DatagramKind, decode_parcel, encode_parcel


class Watch(tomada.StreamRequest[int]):
    name: str


class Store(tomada.UploadRequest[bytes, int]):
    name: str


class Twice(tomada.Request[int]):
    number: int


app = tomada.App()
ran: list[str] = []


@app.on
async def watch(_: Watch) -> AsyncIterator[int]:
    ran.append("watch")
    yield 1


@app.on
async def store(_: Store, parts: AsyncIterator[bytes]) -> int:
    ran.append("store")
    return len([part async for part in parts])


@app.on
async def twice(request: Twice) -> int:
    return 2 * request.number


LONG = "x" * 100
"""Then the answer is not too long for a source that has proved nothing."""


@pytest.mark.parametrize("request_", [Watch(LONG), Store(LONG)], ids=["items", "parts"])
def test_a_stream_is_refused_in_datagrams(run: Run, request_: Any) -> None:
    name = type(request_).__name__

    async def main() -> None:
        async with tomada.serve(app, HERE) as server:
            address = server.addresses[0]
            async with tomada.connect_datagram(address) as client:
                for say in (client.ask, client.send):
                    with pytest.raises(TypeError, match=f"^{name} takes or gives a stream, and none travels"):
                        await say(request_)
                assert await client.ask(Twice(2)) == 4
            async with tomada.bind("udp://127.0.0.1:0") as foreign:
                asked = decode_parcel(ask(request_))
                for verb in (DatagramKind.ASK, DatagramKind.SEND):
                    await foreign.send(encode_parcel(asked._replace(kind=verb, number=int(verb))), address)
                (answer,) = [decode_parcel(data) for data in await received(foreign, 1)]
            failure = msgspec.msgpack.decode(answer.payload, type=Failure)
            assert failure.code is FailureCode.UNKNOWN_TYPE
            assert failure.message == (f"{name} is handled over connections only: no stream travels in datagrams")

    run(main())
    assert not ran
