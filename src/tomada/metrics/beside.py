"""Lets a worker be read by its supervisor, through a Unix socket, and leaves its last reading behind when it ends.

Each has a name of its own in a folder that only its user may enter: ``NAME.now``, a socket which gives a reading to
whoever connects, and then ``NAME.last``, a file.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from secrets import token_hex
from typing import TYPE_CHECKING, Final

import msgspec

from tomada.endpoint import log
from tomada.metrics.reader import Reader

if TYPE_CHECKING:
    from pathlib import Path

    from tomada.server import Server

NOW: Final = ".now"
LAST: Final = ".last"
_UNFINISHED: Final = ".new"
_QUEUE: Final = 16
_PATIENCE: Final = 5.0

encode: Final = msgspec.msgpack.Encoder().encode


class Beside:
    """What runs beside a worker's server. Made by `begin`."""

    __slots__ = ("_now", "_reader", "_served")

    def __init__(self, now: Path, reader: Reader) -> None:
        self._now = now
        self._reader = reader
        self._served: asyncio.Server | None = None

    @classmethod
    async def begin(cls, folder: Path, server: Server) -> Beside:
        """Let `server` be read from now on.

        Raises:
            OSError: There can be no socket in the folder.
        """
        beside = cls(folder / f"{os.getpid()}-{token_hex(4)}{NOW}", Reader(server))
        beside._served = await asyncio.start_unix_server(beside._meet, sock=_listening(beside._now))
        return beside

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader  # nothing is asked
        with suppress(OSError, TimeoutError):
            writer.write(encode(await self._reader.gather()))
            async with asyncio.timeout(_PATIENCE):
                await writer.drain()
        writer.close()

    async def close(self) -> None:
        """Leave the last reading behind, and be read no more."""
        try:
            self._leave(encode(await self._reader.gather()))
        except OSError as error:
            log.warning("what was counted since the metrics were read last is lost: %s", error)
        finally:
            self._reader.close()
            if self._served is not None:
                self._served.close()
            with suppress(OSError):
                self._now.unlink()

    def _leave(self, last: bytes) -> None:
        unfinished = self._now.with_suffix(_UNFINISHED)
        unfinished.write_bytes(last)
        unfinished.rename(self._now.with_suffix(LAST))


def _listening(path: Path) -> socket.socket:
    """A listening socket that appears only once it listens: one that refuses is taken for a dead worker's."""
    unfinished = path.with_suffix(_UNFINISHED)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.bind(str(unfinished))
        made.listen(_QUEUE)
        unfinished.rename(path)
    except BaseException:
        made.close()
        raise
    return made
