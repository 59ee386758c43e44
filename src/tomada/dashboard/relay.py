"""A WebSocket at one side, a Unix socket at the other: bytes go both ways, and who is slow keeps itself waiting."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from starlette.websockets import WebSocketDisconnect

from tomada.endpoint import SUBPROTOCOL

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

_PIECE: Final = 65_536
_BINARY_ONLY: Final = 1003
_GOING_AWAY: Final = 1001


class Unreachable(Exception):
    """Nobody listens there."""


async def connected(path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Both ways to who listens at a socket file.

    Raises:
        Unreachable: Nobody does.
    """
    try:
        return await asyncio.open_unix_connection(path, limit=_PIECE)
    except OSError as error:
        raise Unreachable(str(error)) from error


async def relay(websocket: WebSocket, way: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
    """Carry bytes until one side ends; then end the other.

    Args:
        websocket: Not accepted yet.
        way: To the other side; it is closed here.
    """
    reader, writer = way
    try:
        offered = websocket.scope.get("subprotocols", ())
        await websocket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
        inward = asyncio.create_task(_inward(websocket, writer))
        outward = asyncio.create_task(_outward(reader, websocket))
        try:
            await asyncio.wait([inward, outward], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (inward, outward):
                task.cancel()
            await asyncio.gather(inward, outward, return_exceptions=True)
        code = inward.result() if inward.done() and not inward.cancelled() and not inward.exception() else _GOING_AWAY
        if code:
            with suppress(RuntimeError, WebSocketDisconnect):  # it is closed already
                await websocket.close(code)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _inward(websocket: WebSocket, writer: asyncio.StreamWriter) -> int:
    """The code to close with; 0 where the other side has closed."""
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return 0
        data = message.get("bytes")
        if data is None:
            return _BINARY_ONLY
        writer.write(data)
        await writer.drain()


async def _outward(reader: asyncio.StreamReader, websocket: WebSocket) -> None:
    while data := await reader.read(_PIECE):
        await websocket.send_bytes(data)
