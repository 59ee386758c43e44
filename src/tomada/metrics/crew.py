"""Reads all workers of a supervisor, and adds up what they tell. What is counted never goes back.

Of a worker that has ended the last reading is there; of one that was killed, what it told last.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

from tomada.errors import UNREADABLE
from tomada.metrics.beside import LAST, NOW
from tomada.metrics.families import Reading, Sum
from tomada.metrics.noted import Noted

if TYPE_CHECKING:
    from pathlib import Path

_PATIENCE: Final = 2.0
"""Seconds in which a worker answers; else what it told last stands for it."""
_LONGEST: Final = 16 << 20
_BURST: Final = 65_536

_NOTHING: Final = Reading([], [])
_decode: Final = msgspec.msgpack.Decoder(Reading).decode


class Crew:
    """The workers, those that are and those that were.

    Args:
        folder: Where each has its socket.
    """

    __slots__ = ("_folder", "_gone", "_known", "_noted")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, Reading] = {}
        """What each that lives has told last, by its name."""
        self._gone = Sum()
        self._noted = Noted(serves=False)

    def close(self) -> None:
        """Count no more events."""
        self._noted.close()

    async def read(self) -> Reading:
        """All of them together."""
        names = {path.stem for path in self._folder.glob(f"*{NOW}")}
        told = dict(zip(names, await asyncio.gather(*map(self._ask, names)), strict=True))
        self._known |= {name: reading for name, reading in told.items() if isinstance(reading, Reading)}
        for last in tuple(self._folder.glob(f"*{LAST}")):
            self._take_last(last)
        for name in {*names, *self._known}:
            if told.get(name, ConnectionError) is ConnectionError:
                self._bury(name, self._known.get(name, _NOTHING))
        total = Sum()
        total.add(self._gone.reading)
        for reading in self._known.values():
            total.add(reading)
        total.add(Reading(self._noted.numbers(), []))
        return total.reading

    async def _ask(self, name: str) -> Reading | type[Exception]:
        """What a worker tells, or what was wrong: `ConnectionError` where it is gone."""
        try:
            async with asyncio.timeout(_PATIENCE):
                reader, writer = await asyncio.open_unix_connection(self._folder / f"{name}{NOW}")
                try:
                    return _decode(await _all(reader))
                finally:
                    writer.close()
        except (ConnectionRefusedError, FileNotFoundError):
            return ConnectionError
        except (OSError, TimeoutError, *UNREADABLE):
            return TimeoutError

    def _take_last(self, path: Path) -> None:
        try:
            reading = _decode(path.read_bytes())
        except (OSError, *UNREADABLE):
            reading = self._known.get(path.stem, _NOTHING)
        self._bury(path.stem, reading)
        with suppress(OSError):
            path.unlink()

    def _bury(self, name: str, reading: Reading) -> None:
        self._gone.add(reading, is_gone=True)
        self._known.pop(name, None)
        with suppress(OSError):
            (self._folder / f"{name}{NOW}").unlink()


async def _all(reader: asyncio.StreamReader) -> bytes:
    data = bytearray()
    while burst := await reader.read(_BURST):
        data += burst
        if len(data) > _LONGEST:
            raise OSError(f"a worker tells more than {_LONGEST} bytes")
    return bytes(data)
