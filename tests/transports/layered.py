"""Two TLS layers joined by wires of the tests' own, so that a test says which bytes arrive when."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable
from typing import Any

from tests.authority import Authority
from tomada.settings import TLS
from tomada.transports.certificates import client_context, server_context
from tomada.transports.tls import Terms, TLSLayer

Cut = Callable[[bytes], Iterable[bytes]]


class Upper(asyncio.Protocol):
    """Notes what it hears, in order."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.data = bytearray()
        self.lost: Exception | None = None
        self.stays = False
        """Whether it goes on after the peer's end."""

    def connection_made(self, _: asyncio.BaseTransport) -> None:
        self.events.append("made")

    def data_received(self, data: bytes) -> None:
        self.data += data
        if self.events[-1] != "data":
            self.events.append("data")

    def eof_received(self) -> bool:
        self.events.append("eof")
        return self.stays

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append("lost")
        self.lost = exc

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")


class Lower(asyncio.Transport):
    """Keeps what is written until the test carries it over."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 4477)})
        self.out = bytearray()
        self.ends = ""
        self.waiting = 0
        self.writes = 0

    def write(self, data: Any) -> None:
        self.out += data
        self.writes += 1

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def close(self) -> None:
        self.ends = self.ends or "closed"

    def abort(self) -> None:
        self.ends = "aborted"

    def is_closing(self) -> bool:
        return bool(self.ends)

    def is_reading(self) -> bool:
        return True


class Side:
    """One end: layer, what is under it, what is above."""

    def __init__(self, terms: Terms, pending: set[Any] | None) -> None:
        self.upper = Upper()
        self.lower = Lower()
        self.layer = TLSLayer(self.upper, 30, pending, terms)

    def receive(self, data: bytes) -> None:
        if not self.lower.ends:
            self.layer.data_received(data)

    def hear_end(self) -> None:
        """The peer's TCP has ended."""
        if not self.lower.ends and not self.layer.eof_received():
            self.lower.close()


class Pair:
    """A client and a server."""

    def __init__(self, authority: Authority, version: ssl.TLSVersion | None = None, tls: TLS | None = None) -> None:
        server = server_context(tls or authority.server)
        if version is not None:
            server.maximum_version = version
        self.client = Side(Terms(client_context(authority.client), False, "localhost"), None)
        self.server = Side(Terms(server, True), set())
        self.client.layer.connection_made(self.client.lower)
        self.server.layer.connection_made(self.server.lower)

    def exchange(self, cut: Cut = lambda data: [data]) -> None:
        """Carry all over, both ways, until there is no more."""
        ends = ((self.client, self.server), (self.server, self.client))
        while self.client.lower.out or self.server.lower.out:
            for one, other in ends:
                data, one.lower.out = bytes(one.lower.out), bytearray()
                for piece in cut(data) if data else ():
                    other.receive(piece)
        for one, other in ends:
            if one.lower.ends:
                other.hear_end()

    def lose(self) -> None:
        """Both transports are gone."""
        for side in (self.client, self.server):
            side.layer.connection_lost(None)


def shaken(authority: Authority, version: ssl.TLSVersion | None = None) -> Pair:
    """A pair that has completed its handshake."""
    pair = Pair(authority, version)
    pair.exchange()
    assert pair.client.upper.events == pair.server.upper.events == ["made"]
    return pair
