"""Keeps pictures of a server coming: asks anew when the question changes, and connects anew when the server is back."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec

import tomada
from tomada.cli.output import UsageError
from tomada.feed.messages import Close, Drain, Picture, Watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tomada.cli.top.place import Place
    from tomada.connection import Connection
    from tomada.settings import TLS

ACT_SECONDS: Final = 10.0
_PAUSES: Final = (0.5, 1.0, 2.0)
"""Seconds between attempts to connect; the last one from then on."""
_LONGEST_PICTURE: Final = 4 << 20
_DEADLINES: Final = tomada.Deadlines(connect=5, heartbeat=5, drain=1)


@asynccontextmanager
async def opened(place: Place, tls: TLS | None, *, wait: float = 0) -> AsyncIterator[Connection]:
    """A connection to the feed; a lost one has ended, as a feed keeps no sessions.

    Raises:
        ConnectFailed: Nobody is there.
        HandshakeFailed: Somebody is who is no dashboard, or lets nobody in with this token.
    """
    limits = tomada.Limits(message_bytes=_LONGEST_PICTURE)
    opening = tomada.connect(place.address, wait=wait, tls=tls, limits=limits, deadlines=_DEADLINES, sessions=False)
    try:
        connection = await opening
    except (tomada.ConnectFailed, tomada.HandshakeFailed) as error:
        raise type(error)(place.hiding(error)) from None
    async with connection:
        yield connection


def check(connection: Connection, place: Place) -> None:
    """That somebody answers there who knows what a feed is.

    Raises:
        UsageError: It is another server.
    """
    entry = connection.peer_types.get(Watch.__name__)
    if entry is None or not entry.handled or entry.items != Picture.__name__:
        what = "give the address of its dashboard: `tomada serve FILE --dashboard 127.0.0.1:4480`"
        raise UsageError(f"{place.shown} is no dashboard, but another server of tomada; {what}")


class Watcher:
    """Shows what a server says of itself, for as long as `run` runs.

    Args:
        place: Where the feed is.
        tls: Whom to trust there.
        wanted: What is asked first.
        show: Is given each picture.
        connected: Is called before the first picture of each connection.
    """

    def __init__(
        self,
        place: Place,
        tls: TLS | None,
        wanted: Watch,
        show: Callable[[Picture], None],
        connected: Callable[[], None] = lambda: None,
    ) -> None:
        self.place = place
        self.wanted = wanted
        self.trouble = ""
        """Why there are no pictures; empty while they come."""
        self._tls = tls
        self._show = show
        self._connected = connected
        self._goes = asyncio.Event()
        self._goes.set()
        self._connection: Connection | None = None
        self._taking: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Until it is cancelled."""
        attempt = 0
        while True:
            try:
                async with opened(self.place, self._tls) as connection:
                    self._connection = connection
                    attempt = 0
                    self._connected()
                    await self._follow(connection)
            except tomada.TomadaError as error:
                self.trouble = self.place.hiding(error)
            finally:
                self._connection = None
            await asyncio.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
            attempt += 1

    def ask(self, **changes: Any) -> None:
        """Ask for something else from now on: fields of `Watch` by name."""
        wanted = msgspec.structs.replace(self.wanted, **changes)
        if wanted != self.wanted:
            self.wanted = wanted
            self._begin_anew()

    @property
    def is_paused(self) -> bool:
        """Whether the server is left alone."""
        return not self._goes.is_set()

    def pause(self) -> None:
        """Ask for nothing until `go_on`."""
        self._goes.clear()
        self._begin_anew()

    def go_on(self) -> None:
        """Ask again."""
        self._goes.set()

    async def close(self, connection: str) -> bool:
        """Close a connection of the server; whether there was one. Raises `TomadaError`."""
        return await self._act(Close(connection))

    async def drain(self, worker: int) -> bool:
        """Let a worker of the server end and be replaced; whether there was one. Raises `TomadaError`."""
        return await self._act(Drain(worker))

    async def _act(self, request: Close | Drain) -> bool:
        if self._connection is None:
            raise tomada.ConnectionLost(self.trouble or "there is no connection just now; try again")
        return await self._connection.ask(request, timeout=ACT_SECONDS)

    def _begin_anew(self) -> None:
        if self._taking is not None:
            self._taking.cancel()

    async def _follow(self, connection: Connection) -> None:
        while True:
            await self._goes.wait()
            self._taking = asyncio.create_task(self._take(connection, self.wanted))
            try:
                await asyncio.wait({self._taking})
            finally:
                self._taking.cancel()
            if not self._taking.cancelled():
                self._taking.result()
                return

    async def _take(self, connection: Connection, wanted: Watch) -> None:
        async with connection.stream(wanted) as pictures:
            async for picture in pictures:
                self.trouble = ""
                self._show(picture)
