"""What the Autobahn test suite is run against: tomada's WebSocket layers, that send every message back.

``python tests/autobahn/echo.py serve PORT`` for its fuzzing client, ``python tests/autobahn/echo.py connect PORT`` for
its fuzzing server. Beside what the layers do for tomada, they take text and compression here.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import json
import sys

from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State

from tomada.address import Address
from tomada.transports.options import Options
from tomada.transports.websocket import WebSocketLayer
from tomada.transports.websocket_client import ConnectingWebSocket
from tomada.transports.websocket_server import AcceptingWebSocket

AGENT = "tomada"
LONGEST = 64 * 1024 * 1024
OPTIONS = Options(handshake=5)


class Echo(WebSocketLayer):
    """Sends every message back when it is whole."""

    _text = codecs.getincrementaldecoder("utf-8")()
    _kind = Opcode.BINARY
    _parts: list[bytes]

    def take_frame(self, frame: Frame, chunks: list[bytes]) -> bool:  # noqa: ARG002 - nothing stands above
        if frame.opcode in {Opcode.TEXT, Opcode.BINARY}:
            self._kind, self._parts = frame.opcode, []
            self._text = codecs.getincrementaldecoder("utf-8")()
        if frame.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            return self._echo(frame)
        return True

    def _echo(self, frame: Frame) -> bool:
        self._parts.append(bytes(frame.data))
        if self._kind is Opcode.TEXT:
            try:
                self._text.decode(bytes(frame.data), final=frame.fin)
            except UnicodeDecodeError as error:
                return self._refuse(CloseCode.INVALID_DATA, error.reason)
        if frame.fin and self.protocol.state is State.OPEN:
            send = self.protocol.send_text if self._kind is Opcode.TEXT else self.protocol.send_binary
            send(b"".join(self._parts))
        return True


class AcceptingEcho(Echo, AcceptingWebSocket):
    extensions = (ServerPerMessageDeflateFactory(),)


class ConnectingEcho(Echo, ConnectingWebSocket):
    extensions = (ClientPerMessageDeflateFactory(),)


class Listener(asyncio.Protocol):
    """Knows only the last message of a connection, and its end."""

    def __init__(self) -> None:
        self.heard = b""
        self.lost = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the suite knows why
        self.lost.set_result(None)


async def serve(port: int) -> None:
    def accept() -> AcceptingEcho:
        echo = AcceptingEcho(Address("ws", "127.0.0.1", port, "/"), OPTIONS, Listener(), set())
        echo.protocol.max_message_size = LONGEST
        return echo

    server = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", port)
    await server.serve_forever()


async def visit(port: int, path: str) -> bytes:
    """One connection, up to its end: the last message."""
    address = Address("ws", "127.0.0.1", port, path)
    upper = Listener()
    last = b""

    class Noting(ConnectingEcho):
        def _echo(self, frame: Frame) -> bool:
            nonlocal last
            goes_on = super()._echo(frame)
            last = b"".join(self._parts)
            return goes_on

    def connect() -> Noting:
        noting = Noting(address, OPTIONS, upper)
        noting.protocol.max_message_size = LONGEST
        return noting

    _, layer = await asyncio.get_running_loop().create_connection(connect, "127.0.0.1", port)
    await layer.opened
    await upper.lost
    return last


async def connect(port: int) -> None:
    count = json.loads(await visit(port, "/getCaseCount"))
    for number in range(1, count + 1):
        with contextlib.suppress(Exception):  # the suite notes what went wrong
            await visit(port, f"/runCase?case={number}&agent={AGENT}")
    await visit(port, f"/updateReports?agent={AGENT}")


if __name__ == "__main__":
    asyncio.run({"serve": serve, "connect": connect}[sys.argv[1]](int(sys.argv[2])))
