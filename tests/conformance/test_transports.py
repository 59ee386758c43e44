"""The suite, over every transport of tomada's own, on both loops."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Iterator

import pytest
import trustme
import uvloop

from tests.timeless import TimelessLoop
from tomada.address import Address
from tomada.settings import TLS
from tomada.streams.flow import Flow
from tomada.testing import in_pieces
from tomada.testing.transport_conformance import TransportConformance


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[TLS, TLS]:
    """The server's and the client's."""
    folder = tmp_path_factory.mktemp("tls")
    authority, certificate = trustme.CA(), folder / "server.pem"
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    return TLS(certificate=str(certificate)), TLS(authority=str(folder / "authority.pem"))


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


class TestTls(TransportConformance):
    @pytest.fixture(autouse=True)
    def _certificates(self, certificates: tuple[TLS, TLS]) -> None:
        self.listening_tls, self.connecting_tls = certificates

    def address(self) -> str:
        return "tls://127.0.0.1:0"


class TestTlsOnUvloop(OnUvloop, TestTls):
    pass


class TestWebSocket(TransportConformance):
    half_closes = False

    def address(self) -> str:
        return "ws://127.0.0.1:0/"


class TestWebSocketOnUvloop(OnUvloop, TestWebSocket):
    pass


class TestWebSocketOverTls(TestTls):
    half_closes = False

    def address(self) -> str:
        return "wss://127.0.0.1:0/"


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
