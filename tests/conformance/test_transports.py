"""The suite, over every transport of tomada's own, on both loops."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Iterator

import pytest
import uvloop

from tests.timeless import TimelessLoop
from tomada.address import Address
from tomada.streams.flow import Flow
from tomada.testing import in_pieces
from tomada.testing.transport_conformance import TransportConformance


class OnUvloop:
    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return uvloop.new_event_loop()


class TestTcp(TransportConformance):
    def address(self) -> str:
        return "tcp://127.0.0.1:0"


class TestTcpOnUvloop(OnUvloop, TestTcp):
    pass


class TestTcpOfIpv6(TransportConformance):
    def address(self) -> str:
        return "tcp://[::1]:0"


class TestUnix(TransportConformance):
    tells_aborts = False
    folder = ""

    @pytest.fixture(autouse=True)
    def _folder(self) -> Iterator[None]:
        with tempfile.TemporaryDirectory(prefix="tomada-") as self.folder:
            yield

    def address(self) -> str:
        return f"unix://{self.folder}/app.sock"


class TestUnixOnUvloop(OnUvloop, TestUnix):
    pass


class TestMemory(TransportConformance):
    def address(self) -> Address:
        return Address("memory", "conformance")


class TestMemoryOnUvloop(OnUvloop, TestMemory):
    pass


class TestMemoryInPieces(TestMemory):
    large = 1_000_000

    async def connect(self, address: Address, factory: object) -> Flow:
        with in_pieces(random.Random(1)):
            return await super().connect(address, factory)  # type: ignore[arg-type] # as it was given


class TestMemoryOnSimulatedTime(TestMemory):
    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return TimelessLoop()
