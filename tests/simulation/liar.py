"""Somebody who knows all of a session but its token, and wants to go on with it: nobody lets him."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from tomada.protocol import handshake
from tomada.protocol.frames import CONTROL, HEADER, HEADER_BYTES, Kind

if TYPE_CHECKING:
    from tests.simulation.world import World
    from tomada.protocol import Engine

HOST: Final = "10.0.9.9"
_PATIENCE: Final = 20.0


class Liar(asyncio.Protocol):
    """A connection of his.

    Args:
        world: Told when he gets through.
        victim: At the client's end of the session.
    """

    def __init__(self, world: World, victim: Engine) -> None:
        session = victim.session
        assert session is not None, "whoever calls has looked"
        self._world = world
        self._heard = bytearray()
        self.end = asyncio.get_running_loop().create_future()
        resume = handshake.Resume(
            session.id, bytes(len(session.token)), victim.epoch, victim.generation + 1_000, victim.positions()
        )
        payload = handshake.encode(handshake.Hello(features=("session",), session=resume))
        self._hello = HEADER.pack(len(payload), Kind.HELLO, CONTROL, 0, 0, 0) + payload

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._hello)

    def data_received(self, data: bytes) -> None:
        self._heard += data
        if len(self._heard) < HEADER_BYTES:
            return
        length, kind, *_ = HEADER.unpack_from(self._heard)
        if kind != Kind.GOODBYE:
            self._world.violate(f"who did not know its token went on with a session: he heard a frame of kind {kind}")
        elif len(self._heard) >= HEADER_BYTES + length and not self.end.done():
            self._world.history.note("a liar was refused")
            self.end.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        del error
        if not self.end.done():
            self.end.set_result(None)


async def lie(world: World, victim: Engine, address: tuple[str, int]) -> None:
    """Try once."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_PATIENCE):
            transport, liar = await loop.create_connection(lambda: Liar(world, victim), *address)
            try:
                await liar.end
            finally:
                transport.abort()
    except (TimeoutError, OSError) as error:
        world.history.note(f"a liar heard nothing: {error!r}")
