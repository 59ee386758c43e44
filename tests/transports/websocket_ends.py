"""A WebSocket layer between what a test says below it and what it notes above it, without a socket."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from tomada.address import Address
from tomada.transports.options import Options
from tomada.transports.websocket_client import ConnectingWebSocket
from tomada.transports.websocket_server import AcceptingWebSocket

ADDRESS = Address("ws", "127.0.0.1", 4477, "/bank")
OPTIONS = Options(handshake=30, frame=30, subprotocol="tomada.1")


class Below(asyncio.Transport):
    """Takes all that is written, and what is done to it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 9), "sockname": ("127.0.0.1", 4477)})
        self.written = b""
        self.waiting = 0
        self.is_over = False
        self.is_cut = False
        self.is_paused = False
        self.limits: tuple[int | None, int | None] = (None, None)

    def write(self, data: Any) -> None:
        self.written += data

    def take(self) -> bytes:
        written, self.written = self.written, b""
        return written

    def close(self) -> None:
        self.is_over = True

    def abort(self) -> None:
        self.is_over = self.is_cut = True

    def is_closing(self) -> bool:
        return self.is_over

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def is_reading(self) -> bool:
        return not self.is_paused

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.limits = (high, low)

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return (0, 0)


class Above(asyncio.Protocol):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.data: list[bytes] = []
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.told.append("made")

    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        self.data.append(data)

    def eof_received(self) -> None:
        self.told.append("end")

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append(("lost", str(exc or "")))

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")


class Accepting:
    """The accepting layer, and a client of the library that speaks to it."""

    def __init__(self, options: Options = OPTIONS, kind: type[AcceptingWebSocket] = AcceptingWebSocket) -> None:
        self.below, self.above = Below(), Above()
        self.layer = kind(ADDRESS, options, self.above, set())
        self.layer.connection_made(self.below)
        self.client = ClientProtocol(
            parse_uri("ws://127.0.0.1:4477/bank"), subprotocols=[Subprotocol("tomada.1")], max_size=None
        )

    def open(self) -> Accepting:
        self.client.send_request(self.client.connect())
        self.say()
        self.client.receive_data(self.below.take())
        (response,) = self.client.events_received()
        assert isinstance(response, Response)
        assert response.status_code == 101
        return self

    def say(self) -> None:
        self.layer.data_received(b"".join(self.client.data_to_send()))

    def heard(self) -> list[Frame]:
        """What the layer has said since, as frames."""
        self.client.receive_data(self.below.take())
        return [frame for frame in self.client.events_received() if isinstance(frame, Frame)]

    def payloads(self) -> bytes:
        return b"".join(bytes(frame.data) for frame in self.heard() if frame.opcode is Opcode.BINARY)


def raw(opcode: int, payload: bytes = b"", *, first: int = 0x80, masked: bool = True) -> bytes:
    """A client's frame, as wrong as one likes; the mask is zero."""
    size = len(payload)
    length = (
        bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2) if size < 65_536 else b"\x7f" + size.to_bytes(8)
    )
    head = bytes([first | opcode, length[0] | (0x80 if masked else 0)]) + length[1:]
    return head + (bytes(4) if masked else b"") + payload


class Connecting:
    """The connecting layer, and what a server says to it."""

    def __init__(self, options: Options = OPTIONS) -> None:
        self.below, self.above = Below(), Above()
        self.layer = ConnectingWebSocket(ADDRESS, options, self.above)
        self.layer.connection_made(self.below)
        self.request = self.below.take().decode()

    def why(self) -> str:
        """Why the handshake failed."""
        error = self.layer.opened.exception()
        return f"{type(error).__name__}: {error}"


def meet(kind: type[AcceptingWebSocket] = AcceptingWebSocket) -> tuple[Connecting, Accepting]:
    """Both ends, open."""
    connecting, accepting = Connecting(), Accepting(kind=kind)
    accepting.layer.data_received(connecting.request.encode())
    connecting.layer.data_received(accepting.below.take())
    assert connecting.layer.is_open
    return connecting, accepting
