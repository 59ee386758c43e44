"""Where the dashboard's WebSockets lead to: the feed for watchers, that for who may act, and the application."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final

from tomada.address import Address
from tomada.dashboard.relay import Unreachable, connected
from tomada.errors import AddressError
from tomada.feed.beside import APPLICATION

if TYPE_CHECKING:
    from pathlib import Path

    from tomada.dashboard.access import Rights
    from tomada.feed.source import Source

WATCH: Final = "watch.socket"
ACT: Final = "act.socket"
_PATIENCE: Final = 2.0
_ALL: Final = {"": "localhost", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - as listeners name them


class Ways:
    """Knows the socket files.

    Args:
        folder: Where they are.
        source: Knows what the server tells of itself.
    """

    def __init__(self, folder: Path, source: Source) -> None:
        self._folder = folder
        self._source = source

    def feed(self, rights: Rights) -> str:
        """The socket file of the feed for who has these rights."""
        return str(self._folder / (ACT if rights.act else WATCH))

    async def is_open(self) -> bool:
        """Whether any program of this machine may speak to the application, so that a page may, too."""
        return (await self._source.introduction()).is_open

    async def application(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The way to the application in one of the processes that serve it.

        Raises:
            Unreachable: None does.
        """
        files = await asyncio.to_thread(_files, self._folder)
        random.shuffle(files)
        for file in files:
            try:
                return await connected(file)
            except Unreachable:
                continue  # it has been killed, or ends just now
        return await self._by_its_own_address()

    async def _by_its_own_address(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Where connections are served in child processes there is no other way."""
        overview = await self._source.overview(-1)
        for text in overview.summary.addresses:
            way = await _plainly(text)
            if way is not None:
                return way
        raise Unreachable("no process of the server has an address that leads to its messages")


async def _plainly(text: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    """The way to an address, where nothing but tomada's frames travels there."""
    try:
        address = Address.parse(text)
        if address.scheme == "unix":
            return await connected(address.path)
        if address.scheme == "tcp":
            async with asyncio.timeout(_PATIENCE):
                return await asyncio.open_connection(_ALL.get(address.host, address.host), address.port)
    except (AddressError, Unreachable, OSError):
        return None
    return None


def _files(folder: Path) -> list[str]:
    try:
        return [str(file) for file in folder.iterdir() if file.name.endswith(APPLICATION)]
    except OSError:
        return []
